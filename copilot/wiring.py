"""Who is given what: the one place that knows concrete adapters."""

import os
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.case import wiring as case_wiring
from copilot.case.engine import Engine
from copilot.case.graph import NODES, NodeFunction, build
from copilot.case.loops import EVERY_ROLE, Role
from copilot.case.rights import by_accounts
from copilot.deps import Deps
from copilot.hands import (
    ActionRunner,
    ConfirmationPrompt,
    DryRunRunner,
    KubernetesTarget,
    RunnersFile,
    Surroundings,
    lacking,
    nobody_confirms,
    read_runners,
    runners,
)
from copilot.hands.credentials import SecretReader
from copilot.hands.database import FactsWithSessions
from copilot.hands.declared import with_passwords
from copilot.hands.kubernetes import Cluster
from copilot.hands.switch import DnsRecord, Switchable
from copilot.knowledge import Knowledge, Library, Memory
from copilot.knowledge import wiring as knowledge_wiring
from copilot.model import MeteredModel
from copilot.model.tie_break import RecordingTieBreaker
from copilot.ports import (
    Clock,
    ClusterSource,
    Runner,
    SourceError,
)
from copilot.settings import Settings, SettingsError
from copilot.sources import connected as live
from copilot.sources.alertmanager import AlertmanagerSource
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources, UnconfiguredSource
from copilot.sources.merged import DeclaredTopology
from copilot.sources.on_call import OnCallRoster
from copilot.sources.patience import Patience
from copilot.sources.received import ReceivedTelemetry
from copilot.sources.recorded import RecordedBundle
from copilot.sources.resources import ResourceOutlook
from copilot.sources.watch import Watch, WatchShards
from copilot.store import Store, opened
from copilot.types.checks import Check
from copilot.types.errors import install
from copilot.types.home import owner
from copilot.types.incident import Incident
from knowledge_base import playbooks
from tools.playbook_executor import PlaybookError, Policy
from tools.types import Playbook

RECORDED_AS = {"metrics": "metrics", "logs": "logs", "traces": "spans", "changes": "changes"}
"""What a bundle calls the recordings of our sources."""

_NO_CLIENT = f"but the client is missing: {install('kubernetes')}"


def recorded_sources(bundle: RecordedBundle) -> Sources:
    """A recorded incident as every source it recorded; the others are not configured."""
    full = Sources(bundle, bundle, bundle, bundle, bundle, cluster=bundle, repository=bundle)
    recorded = frozenset(bundle.description.modalities)
    silent = (name for name, kind in RECORDED_AS.items() if kind not in recorded)
    absent: dict[str, Any] = {name: UnconfiguredSource(name) for name in silent}
    return replace(full, **absent)


def configured_sources(settings: Settings, received: ReceivedTelemetry | None = None) -> Sources:
    """The sources that the settings name; what is not named stands in as not configured.

    `received` is what a service holds of what exporters post to it.
    """
    sources = Sources()
    if settings.bundle is not None:
        sources = recorded_sources(RecordedBundle(settings.bundle))
    sources = live.connected(settings, SystemClock(), sources, received)
    if settings.topology_file is not None:
        sources = replace(sources, graph=DeclaredTopology(settings.topology_file))
    if settings.kubernetes_namespace:
        sources = replace(sources, cluster=_cluster(settings))
    sources = live.with_declared(settings, sources)
    declared, path = declared_runners(settings), settings.runners_file
    if declared is not None and path is not None and declared.database:
        reader = SecretReader(path, os.environ, declared.vault)
        named = with_passwords(declared.database, "database", reader)
        sources = replace(sources, configuration=FactsWithSessions(sources.configuration, named))
    return sources


def outlook(settings: Settings, sources: Sources | None = None) -> ResourceOutlook | None:
    """What tells when resources are full: Prometheus, a recording, or what exporters post."""
    if settings.bundle is not None:
        return ResourceOutlook(RecordedBundle(settings.bundle), None)
    clock = SystemClock()
    if settings.prometheus_url:
        return ResourceOutlook(*live.resources(settings, clock))
    told = sources.metrics if sources is not None else UnconfiguredSource("metrics")
    return None if isinstance(told, UnconfiguredSource) else ResourceOutlook(told, None)


def received(settings: Settings) -> ReceivedTelemetry:
    """Room for what exporters will post to this service."""
    return ReceivedTelemetry(
        SystemClock(), keep_s=settings.otlp_keep_s, most_bytes=settings.otlp_most_bytes
    )


def on_call(settings: Settings) -> OnCallRoster | None:
    """Who is on call, where the settings name a file of schedules; nothing is read yet."""
    if settings.on_call_file is None:
        return None
    try:
        from copilot.sources.on_call_remote import roster  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise SettingsError(f"on_call_file is set, but {install('oncall')}") from error
    return roster(settings.on_call_file, os.environ, settings.telemetry_timeout_s)


def open_alerts(settings: Settings) -> AlertmanagerSource | None:
    """Who is asked for open alerts, where the settings name somebody."""
    return live.alertmanager(settings, SystemClock())


def _cluster(settings: Settings) -> ClusterSource:
    try:
        from copilot.sources.kubernetes.clusters import connected  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise SettingsError(f"kubernetes_namespace is set, {_NO_CLIENT}") from error
    return connected(settings, SystemClock())


def time_of(sources: Sources, wall: Clock) -> Clock:
    """A recording brings its own time: what it shows did not happen today."""
    return sources.metrics if isinstance(sources.metrics, RecordedBundle) else wall


def _watch(sources: Sources, settings: Settings, opened: Store) -> Watch | WatchShards | None:
    """The copilot's own eyes, where there is anything to look at."""
    if isinstance(sources.metrics, UnconfiguredSource) or not settings.watch_every_s:
        return None
    metrics, every, learn = sources.metrics, settings.watch_every_s, settings.watch_learn_s
    if not opened.shared:
        return Watch(metrics, every, learn)
    number = settings.watch_shards
    share = partial(opened.leadership.shards, "watch", number)
    return WatchShards(metrics, every, learn, number, share)


def policy(settings: Settings, opened: Store) -> Policy:
    """Who may decide on plans: by the accounts of the store, else by the settings."""
    declared = declared_runners(settings)
    target = declared.kubernetes if declared else None
    accounts = by_accounts(
        opened,
        owner(settings.home),
        outside=settings.signs_in_outside,
        cluster=target.namespace if target else "",
    )
    return Policy(
        accounts=accounts,
        approvers=None if settings.approvers is None else frozenset(settings.approvers),
        responders=frozenset(settings.responders),
        automatic=settings.auto_approve_reading,
        four_eyes=settings.four_eyes,
    )


def catalogue(settings: Settings) -> tuple[Playbook, ...]:
    """The playbooks that ship, and the operator's own, which stand in for them."""
    own = settings.playbooks_dir
    if own is not None and not own.is_dir():
        raise SettingsError(f"playbooks_dir {str(own)!r} is not a folder")
    try:
        return playbooks(own)
    except PlaybookError as error:
        raise SettingsError(f"playbooks_dir: {error}") from error


def declared_runners(settings: Settings) -> RunnersFile | None:
    """What may really be touched; None where every step is a dry run."""
    return None if settings.runners_file is None else read_runners(settings.runners_file)


def dry_runner(clock: Clock) -> Runner:
    """What runs steps where nothing may be touched."""
    return DryRunRunner(clock)


def configured_runner(
    settings: Settings,
    sources: Sources,
    wall: Clock,
    seen: Clock,
    confirm: ConfirmationPrompt = nobody_confirms,
) -> Runner:
    """What runs steps: what the runners file turns on, or one that only says what it would do."""
    declared, path = declared_runners(settings), settings.runners_file
    if declared is None or path is None:
        return DryRunRunner(wall)
    around = Surroundings(wall, seen, sources.metrics, confirm, _acting, _record, dict(os.environ))
    return ActionRunner(runners(declared, path, around), wall, declared)


def unrunnable(settings: Settings, known: tuple[Playbook, ...]) -> Mapping[str, str]:
    """The playbooks that could not be run to their end here, each with the reason."""
    declared = declared_runners(settings)
    if declared is None:
        return {}
    return {one.id: problem for one in known if (problem := lacking(declared, one))}


def _acting(target: KubernetesTarget) -> Cluster:
    try:
        from copilot.hands.kubernetes_client import acting  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise SettingsError(f"runners_file has [kubernetes], {_NO_CLIENT}") from error
    return acting(target.namespace, target.context)


def _record(record: DnsRecord, secret: str) -> Switchable:
    try:
        from copilot.hands.dns import DnsRecordSet  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        problem = f"runners_file has a DNS name, but dnspython is missing: {install('dns')}"
        raise SettingsError(problem) from error
    return DnsRecordSet(record, secret)


def library(settings: Settings) -> Library:
    """The documents that ship, and those in the data folder."""
    return Library(settings.home / "knowledge")


@contextmanager
def knowledge(settings: Settings) -> Iterator[Knowledge]:
    """The knowledge base; by words alone, and saying so, where `auto` finds no way to embed or
    what embeds, or keeps the vectors, is away."""
    documents = library(settings).documents()
    with ExitStack() as stack:
        try:
            by_meaning, why = stack.enter_context(knowledge_wiring.dense(settings))
        except SourceError as error:
            if settings.embedder != "auto" and not error.recoverable:
                raise
            by_meaning, why = None, str(error)
        if by_meaning is not None and (lacking := by_meaning.lacks(documents)):
            why = f"{why}; {lacking} passages are not indexed yet: copilot kb index"
        yield Knowledge(documents, by_meaning, why, knowledge_wiring.reranker(settings))


@contextmanager
def model(
    settings: Settings, *, lasting: bool = False
) -> Iterator[tuple[MeteredModel | None, str]]:
    """The language model, with how it stands now.

    Who is `lasting` gets it though it is away, since it may come back, and has it loaded at once.
    """
    if settings.model_use == "off":
        yield None, "switched off by COPILOT_MODEL_USE"
        return
    # Its client takes a third of a second to import; nothing that asks no model pays for it.
    from copilot.model.wiring import connected  # noqa: PLC0415

    found = connected(settings)
    try:
        away = found.why_not()
        if lasting and not away:
            threading.Thread(target=found.load, daemon=True).start()
        asked = not away or lasting or settings.model_use == "on"
        yield (
            MeteredModel(found) if asked else None,
            away or f"{found.name} at {settings.model_url}",
        )
    finally:
        found.close()


def model_checks(settings: Settings) -> Sequence[Check]:
    """What there is to say of the language model and its servers."""
    if settings.model_use == "off":
        return [Check("model", "missing", "switched off by COPILOT_MODEL_USE")]
    from copilot.model.wiring import examined  # noqa: PLC0415 - its client is slow

    return list(examined(settings))


def store(settings: Settings) -> AbstractContextManager[Store]:
    """The store of the settings, its tables made."""
    return opened(settings.home, settings.store_url, settings.redaction_key)


def recorded_in(incident: Incident | None) -> tuple[Sources, Clock] | None:
    """An incident that came from a recording is looked at in that recording again."""
    if incident is None or not incident.recording:
        return None
    return recorded_sources(bundle := RecordedBundle(Path(incident.recording))), bundle


@contextmanager
def engine(
    settings: Settings,
    purpose: str,
    *,
    sources: Sources | None = None,
    clock: Clock | None = None,
    runner: Runner | None = None,
    nodes: dict[str, NodeFunction] | None = None,
    wall: Clock | None = None,
    lasting: bool = False,
    received: ReceivedTelemetry | None = None,
    origin: str = "",
    roles: frozenset[Role] = EVERY_ROLE,
) -> Iterator[Engine]:
    """An engine over the data folder, which it owns until it is done; not started.

    `clock` is the telemetry's time, `wall` that of processes. A `lasting` one looks again for a
    model that is away; exporters post `received`. Alerts of an `origin` stay apart; none is noise.
    With fewer `roles`, other processes on the same PostgreSQL have the others.
    """
    wall = wall or SystemClock()
    with (
        case_wiring.folder(settings, purpose, roles) as home,
        store(settings) as opened,
        case_wiring.working(settings, opened, home) as (saver, queue),
        model(settings, lasting=lasting) as (asked, _how),
        case_wiring.spans(settings) as span,
    ):
        seen = replace(sources or configured_sources(settings, received), redactor=opened.redactor)
        seen = replace(seen, patience=Patience(seen.patience.seconds, span=span))
        if received is not None:
            seen = live.with_changes(settings, wall, seen, opened.changes)
        time = clock or time_of(seen, wall)
        runs = runner or configured_runner(settings, seen, wall, time)
        known = catalogue(settings)
        deps = replace(
            _deps(settings, opened, seen, time, runs, known),
            unrunnable={} if runner else unrunnable(settings, known),
            model=asked,
            doubts=RecordingTieBreaker() if asked is not None else None,
            span=span,
        )
        yield Engine(
            deps,
            build(saver, nodes or NODES),
            wall=wall,
            # Short enough to say aloud, too long to guess or to meet twice.
            new_id=lambda: f"inc-{secrets.token_hex(4)}",
            owner=case_wiring.owner(settings, opened),
            workers=settings.workers,
            refresh_s=settings.refresh_s,
            watch=_watch(deps.sources, settings, opened),
            memory=None if origin else home / "noise.json",
            judge=deps.doubts,
            resolve_timeouts=settings.resolve_timeouts,
            skew_s=settings.clock_skew_s,
            origin=origin,
            roles=roles,
            queue=queue,
        )


def _deps(
    settings: Settings,
    opened: Store,
    seen: Sources,
    time: Clock,
    runner: Runner,
    known: tuple[Playbook, ...],
) -> Deps:
    """What the nodes of every incident are given."""
    return Deps(
        store=opened,
        sources=seen,
        clock=time,
        runner=runner,
        playbooks=known,
        limits=case_wiring.limits(settings, seen),
        arm=settings.arm,
        policy=policy(settings, opened),
        memory=Memory(library(settings).documents),
        announced=MaintenanceSchedule.of(settings.alerting_file, opened.silences, time.now()),
        language=settings.language,
        rota=on_call(settings),
    )
