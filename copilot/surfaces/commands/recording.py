"""A closed incident as a recorded one: what was seen of it, read again, and the confirmed cause.

What the sources have forgotten meanwhile is taken from what was found at the time.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np
from pydantic import JsonValue

from copilot.alerts.admission import ORIGIN_LABEL
from copilot.case.confirming import check_over
from copilot.case.nodes.gather import without_own_changes
from copilot.ports import SourceError
from copilot.sources.deployment import CHANGES_S, Sources, UnconfiguredSource
from copilot.sources.recorded.writer import RecordedIncident
from copilot.store import PolicyRefusedError, Store
from copilot.types.incident import Incident
from copilot.types.time_format import date_time
from tools.types import (
    Alert,
    Edge,
    EvidenceKind,
    Finding,
    Owner,
    Series,
    Timestamp,
    Topology,
    Window,
)

AnswerT = TypeVar("AnswerT")

_LOOKED: frozenset[EvidenceKind] = frozenset({"edge", "trace", "log", "alert"})
"""Findings whose window is that of the whole look."""

_TOLD_BY: dict[str, frozenset[EvidenceKind]] = {
    "metrics": frozenset({"metric", "edge"}),
    "logs": frozenset({"log"}),
    "traces": frozenset({"trace", "edge"}),
}
"""What the telemetry of a source shows; where it is gone, what was found then is kept."""


class NotConfirmedError(PolicyRefusedError):
    """Nobody has said what the cause was, so there is no answer to record."""

    def __init__(self, incident: Incident) -> None:
        super().__init__(
            f"nobody has confirmed the cause of incident {incident.id!r}: say it with --cause and "
            "--kind, or by: copilot cause"
        )


def recorded(
    store: Store, sources: Sources, incident: Incident, lookback_s: float, system: str
) -> RecordedIncident:
    """Read again what was seen of a closed incident; `missing` says what is not to be had."""
    check_over(incident)
    alerts = _alerts(store, incident)
    onset = incident.clocks.onset or incident.opened_at
    window = _window(incident, onset, alerts, lookback_s)
    lost: dict[str, str] = {}
    series = _asked(lost, "metrics", lambda: sources.metrics.series(window))
    lost |= _not_kept(series, window, onset)
    logs = _asked(lost, "logs", lambda: sources.logs.lines(window).lines)
    spans = _asked(lost, "traces", lambda: sources.traces.spans(window, onset))
    topology = sources.topology()
    if not topology.edges:
        topology, lost["topology"] = _seen_graph(incident), "put together from the evidence"
    # What changed is stored where nobody else tells it.
    told = store.changes if isinstance(sources.changes, UnconfiguredSource) else sources.changes
    day = Window(start=onset - CHANGES_S, end=window.end)
    changes = _asked({}, "changes", lambda: told.changes(day))
    gone = {kind for name, kinds in _TOLD_BY.items() if name in lost for kind in kinds}
    return RecordedIncident(
        id=incident.id,
        system=system,
        window=window,
        topology=topology,
        services=tuple(dict.fromkeys((*topology.nodes, *incident.services))),
        series=series,
        normal=_before(_asked({}, "normal", lambda: sources.metrics.baseline(onset)), window.start),
        logs=logs,
        normal_logs=_asked({}, "normal", lambda: sources.logs.baseline_lines(window.start).lines),
        spans=spans,
        changes=without_own_changes(changes, store, day),
        commits=sources.commits(onset),
        alerts=alerts,
        findings=_findings(incident, {*gone, "cluster"}),
        missing=tuple(f"{name}: {why}" for name, why in lost.items()),
    )


def answer(incident: Incident, alerts: Sequence[Alert]) -> dict[str, JsonValue]:
    """The line of `truth/truth.jsonl`; raises where nobody has confirmed a cause."""
    if incident.cause is None:
        raise NotConfirmedError(incident)
    clocks = incident.clocks
    paged = min((one.starts_at for one in alerts), default=incident.opened_at)
    return {
        "root_cause": incident.cause.component,
        "fault_type": incident.cause.fault_kind,
        "alert_ts": paged,
        "inject_ts": clocks.onset if clocks.measurable else None,
        "source_case": f"incident:{incident.id}",
    }


def _asked(
    lost: dict[str, str], name: str, question: Callable[[], Iterable[AnswerT]]
) -> tuple[AnswerT, ...]:
    try:
        told = tuple(question())
    except SourceError as error:
        lost[name] = error.problem
        return ()
    if not told:
        lost[name] = "nothing is kept of this window"
    return told


def _alerts(store: Store, incident: Incident) -> tuple[Alert, ...]:
    """Each alert once, with its end, as it was before it was marked as one of a recording."""
    found: dict[tuple[str, Timestamp], Alert] = {}
    for one in chain(*store.alerts.with_restarts(incident.id)):
        labels = {name: text for name, text in one.labels.items() if name != ORIGIN_LABEL}
        key = one.fingerprint, one.starts_at
        known = found.get(key)
        if known is None or one.status == "resolved":
            found[key] = one.model_copy(update={"labels": labels})
    return tuple(sorted(found.values(), key=lambda one: (one.starts_at, one.fingerprint)))


def _window(
    incident: Incident, onset: Timestamp, alerts: Sequence[Alert], lookback_s: float
) -> Window:
    """From as far back as was looked to the last look: what came later did not decide."""
    looked = [one.window for one in incident.evidence if one.kind in _LOOKED]
    measured = [one.window.end for one in incident.evidence if one.kind == "metric"]
    first = min((onset, *(one.starts_at for one in alerts)))
    ends = [*measured, *(one.end for one in looked)]
    return Window(
        start=min((first - lookback_s, *(one.start for one in looked))),
        end=max(ends, default=max(onset, incident.opened_at)),
    )


def _not_kept(series: Sequence[Series], window: Window, onset: Timestamp) -> dict[str, str]:
    """What is said of metrics that begin late: the store has dropped them, or had none then."""
    firsts = [float(one.times[0]) for one in series if one.times.size]
    steps = [float(np.median(np.diff(one.times))) for one in series if one.times.size > 1]
    if not firsts or not steps:
        return {}
    began = min(firsts)
    if began >= onset:
        return {"metrics": f"kept only from {date_time(began)} on, after the onset"}
    # A grid may begin up to a step after the window does.
    late = began - window.start > 2 * max(steps)
    return {"earlier metrics": f"kept only from {date_time(began)} on"} if late else {}


def _before(series: Sequence[Series], end: Timestamp) -> tuple[Series, ...]:
    cut = []
    for one in series:
        keep = one.times < end
        cut.append(Series(one.owner, one.metric, one.times[keep], one.values[keep], one.unit))
    return tuple(one for one in cut if one.times.size)


def _seen_graph(incident: Incident) -> Topology:
    """The calls that the evidence speaks of."""
    owners = (Owner.parse(one.subject) for one in incident.evidence)
    calls = dict.fromkeys((one.caller, one.service) for one in owners if one.kind == "edge")
    edges = tuple(Edge(caller=a, callee=b, source="evidence") for a, b in calls)
    return Topology(nodes=incident.services, edges=edges)


def _findings(incident: Incident, kinds: set[EvidenceKind]) -> tuple[Finding, ...]:
    return tuple(
        Finding.model_validate(one.model_dump(exclude={"id"}))
        for one in incident.evidence
        if one.kind in kinds
    )
