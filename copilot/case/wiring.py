"""Where work is kept and handed out: beside a file, or in PostgreSQL with others."""

import os
import secrets
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from copilot.case.loops import Role
from copilot.case.state import STATE_TYPES
from copilot.case.worker import MarkingSaver
from copilot.deps import Limits
from copilot.ports import RunQueue, Spans, no_spans
from copilot.settings import Settings, SettingsError
from copilot.sources.deployment import Sources
from copilot.store import Store, StoreError
from copilot.store.retention import Retention, RetentionLimits
from copilot.types.home import made, owned


def _state_types() -> JsonPlusSerializer:
    """What reads back the state's types and no others."""
    return JsonPlusSerializer(
        allowed_msgpack_modules=[(one.__module__, one.__name__) for one in STATE_TYPES]
    )


@contextmanager
def checkpointer(path: Path, mark: Callable[[], str]) -> Iterator[SqliteSaver]:
    """The one saver of this process over a file."""
    connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
    # A checkpoint survives kill -9 so, and a power cut may take the last ones: then nodes are
    # repeated. What must not be, a plan, a yes, a step, stands in the store, which is on disk.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    try:
        yield MarkingSaver(connection, _state_types(), mark)
    finally:
        connection.close()


@contextmanager
def working(
    settings: Settings, opened: Store, home: Path
) -> Iterator[tuple[BaseCheckpointSaver[Any], RunQueue | None]]:
    """Checkpoints, and the queue where other processes share the work: beside the store."""
    if not opened.shared:
        with checkpointer(home / "checkpoints.sqlite", opened.journal.mark) as saver:
            yield saver, None
        return
    try:
        from copilot.store import postgresql  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise StoreError(
            f"PostgreSQL needs {error.name}; install incident-copilot[postgres]"
        ) from error
    postgresql.prepare(opened.database)
    # A thread that works holds one connection at a time; a look at a run's state takes another.
    with postgresql.saver(opened.database, _state_types(), settings.workers + 2) as saver:
        yield saver, postgresql.ProcrastinateQueue(opened.database, settings.workers)


@contextmanager
def spans(settings: Settings) -> Iterator[Spans]:
    """What traces our own runs; nothing where no receiver is set."""
    if not settings.otlp_traces_url:
        yield no_spans
        return
    try:
        from copilot.case.tracing import SpanExport  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"COPILOT_OTLP_TRACES_URL needs {error.name}; install incident-copilot[otlp]"
        ) from error
    with closing(SpanExport(settings.otlp_traces_url)) as export:
        yield export


@contextmanager
def folder(settings: Settings, purpose: str, roles: frozenset[Role]) -> Iterator[Path]:
    """The data folder: owned by whoever takes alerts in or works on a file."""
    if "intake" not in roles:
        yield made(settings.home)
        return
    with owned(settings.home, purpose) as home:
        yield home


def limits(settings: Settings, sources: Sources) -> Limits:
    """The bounds of a run, from the settings; where nothing measures there is no waiting for it."""
    return Limits(
        lookback_s=settings.lookback_s,
        evidence=settings.evidence_limit,
        plans=settings.plans_limit,
        plan_ttl_s=settings.plan_ttl_s,
        verify_limit_s=settings.verify_limit_s,
        settle_s=settings.settle_s if sources.measured else 0.0,
        model_calls=settings.model_calls,
        model_s=settings.model_s,
    )


def owner(settings: Settings, opened: Store) -> str:
    """Who has a run: of a file the one process there is, else each process by itself."""
    name = f"{socket.gethostname()}:{settings.home}"
    return f"{name}:{os.getpid()}:{secrets.token_hex(4)}" if opened.shared else name


def retention(settings: Settings, opened: Store) -> tuple[Retention, RetentionLimits]:
    """What takes out of the store what is too old, and what is."""
    limits = RetentionLimits(
        settings.keep_incidents_days,
        settings.keep_evidence_days,
        settings.keep_alerts_days,
        settings.keep_journal_days,
        settings.keep_bytes,
    )
    return Retention(opened.database, settings.home / "journal-archive"), limits


def sweep_checkpoints(settings: Settings, opened: Store, *, dry_run: bool = False) -> int:
    """Drop the checkpoints of runs that ended, or are no more; how many runs.

    A run drops its own when it ends: these are of processes that were ended just before, and of
    versions that kept them.
    """
    with working(settings, opened, settings.home) as (saver, _queue):
        query = "SELECT DISTINCT thread_id FROM checkpoints"
        if isinstance(saver, SqliteSaver):
            saver.setup()
            threads = {row[0] for row in saver.conn.execute(query)}
        else:
            with opened.database.read() as connection:
                threads = set(connection.exec_driver_sql(query).scalars())
        over = threads - opened.runs.going()
        for thread in () if dry_run else over:
            saver.delete_thread(thread)
    return len(over)
