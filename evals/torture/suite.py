"""Torture: a real service is killed, stopped, starved and lied to, and its answers are counted.

Each round gets a fresh data folder (and schema). What is counted is read as a user reads it, over
HTTP, after the faults are over: accepted alerts that are nowhere, alerts kept twice, programs of
one step started twice, incidents that do not move on, innocent incidents given up, answers of 5xx.
"""

import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue
from rich.progress import Progress

from copilot import __version__
from evals.report import Options, Result, Table, number
from evals.torture.databases import Databases, databases
from evals.torture.kinds import KINDS, Round, deaf, environment
from evals.torture.service import Nursery, Service, TortureError

COUNTS = ("lost", "doubled", "steps_twice", "stuck", "failed_innocent", "fivexx")


class TortureOptions(Options):
    """How long, and on which databases: `sqlite`, `postgresql` (a throw-away server), or a URL."""

    minutes: float = 3.0
    database: str = ""


def run(options: TortureOptions, progress: Progress) -> Result:
    """Run rounds of every kind on every database in turn until the time is over."""
    started = time.monotonic()
    until, chance = started + 60.0 * options.minutes, random.Random(options.seed)
    cases: list[dict[str, JsonValue]] = []
    with ExitStack() as stack:
        found = stack.enter_context(databases(options.database))
        nursery = stack.enter_context(_nursery())
        plan = [(kind, one) for kind in KINDS for one in found]
        task = progress.add_task("torture", total=60.0 * options.minutes)
        turn = 0
        while time.monotonic() < until or turn < len(plan):
            kind, database = plan[turn % len(plan)]
            turn += 1
            # A first turn that takes longer than it may is cut, and what was left out is said.
            if turn <= len(plan) and time.monotonic() > until + 60.0 * options.minutes:
                turn -= 1
                break
            cases.append(_round(nursery, kind, database, chance))
            progress.update(task, completed=time.monotonic() - started)
    left_out = [f"{kind}, {database.name}" for kind, database in plan[turn:]]
    if not options.database and not any(one.name == "postgresql" for one in found):
        left_out.append("all on PostgreSQL, which is not installed (no initdb)")
    return result_of(options, cases, left_out, time.monotonic() - started)


def failures(result: Result) -> list[str]:
    """One line per count that is not 0, with the rounds where it was counted."""
    said = []
    for name in COUNTS:
        where = ", ".join(str(one["id"]) for one in result.cases if _figure(one, name))
        if where:
            said.append(f"{name}: {result.summary[name]:.0f} ({where})")
    return said


@contextmanager
def _nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    try:
        yield nursery
    finally:
        nursery.close()


def _round(
    nursery: Nursery, kind: str, database: Databases, chance: random.Random
) -> dict[str, JsonValue]:
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture")))
        unheard = stack.enter_context(deaf()) if kind == "sources" else 0
        variables = {**environment(folder, kind, unheard), "COPILOT_DATABASE_URL": database.fresh()}
        service = Service(nursery, folder, variables)
        stack.callback(service.close)
        at = Round(service, chance, database)
        service.start()
        try:
            KINDS[kind](at)
            at.settle()
        except TortureError as error:
            at.counts["stuck"] += 1
            at.notes["problem"] = str(error)
    counts: dict[str, JsonValue] = {name: at.counts[name] for name in COUNTS}
    seconds = round(time.monotonic() - began, 1)
    name = f"{kind}, {database.name}"
    return {"id": name, "database": database.name, **counts, "seconds": seconds, **at.notes}


def result_of(
    options: TortureOptions,
    cases: Sequence[dict[str, JsonValue]],
    left_out: Sequence[JsonValue],
    seconds: float,
) -> Result:
    """Sum the rounds up; `left_out` names those for which there was no time."""
    summary = {name: float(sum(_figure(one, name) for one in cases)) for name in COUNTS}
    summary["rss_growth"] = max((_figure(one, "rss_growth") for one in cases), default=0.0)
    return Result(
        suite="torture",
        version=__version__,
        data=", ".join(dict.fromkeys(str(one["database"]) for one in cases)),
        seconds=seconds,
        cases=tuple(cases),
        summary=summary,
        tables=(_table(cases, summary),),
        notes={
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            **({"left_out": list(left_out)} if left_out else {}),
        },
    )


def _figure(case: Mapping[str, JsonValue], name: str) -> float:
    found = case.get(name, 0)
    return float(found) if isinstance(found, int | float) else 0.0


def _table(cases: Sequence[Mapping[str, JsonValue]], summary: Mapping[str, float]) -> Table:
    names = dict.fromkeys(str(one["id"]) for one in cases)
    rows = []
    for name in names:
        same = [one for one in cases if one["id"] == name]
        counted = [f"{sum(_figure(one, count) for one in same):.0f}" for count in COUNTS]
        rss = max(_figure(one, "rss_growth") for one in same)
        rows.append((name, str(len(same)), *counted, number(rss)))
    total = [f"{summary[count]:.0f}" for count in COUNTS]
    rows.append(("all", str(len(cases)), *total, number(summary["rss_growth"])))
    return Table(
        title="Torture: what was counted after the faults were over",
        columns=("fault", "rounds", *COUNTS, "rss_growth"),
        rows=tuple(rows),
    )
