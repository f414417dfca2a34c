"""triage: one group out of the incident's alerts, and its onset in the metrics or the log."""

from math import inf
from statistics import median
from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.case.briefing import UNSURE
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.ports import SourceError
from copilot.sources.deployment import MetricSnapshot, Sources
from copilot.types.incident import FILE, Incident, MeasuredFrom
from tools.clusterer import Clusterer
from tools.detector import Onset, onset
from tools.log_retriever.error_onset import error_onset
from tools.topology_walker import is_little
from tools.types import AlertGroup, Timestamp, Window

LONGEST_LOOK_S = 15 * 86_400.0
"""No look goes further back, whatever start an alert names: Prometheus keeps that much by default
(`--storage.tsdb.retention.time`)."""


class TriageUpdate(TypedDict):
    group: AlertGroup
    onset: Onset


def triage(state: IncidentState, runtime: Runtime[Deps]) -> TriageUpdate:
    """Summarise the storm and find when it began: by the metrics, else the error lines, else the
    alerts' own time.
    """
    deps, incident_id = runtime.context, state["incident_id"]
    alerts, again = deps.store.alerts.with_restarts(incident_id)
    storm = Clusterer(deps.sources.topology())
    storm.restore([(alert, incident_id) for alert in (*alerts, *again)])
    group = storm.group(incident_id)
    alerted_at = max(min(one.starts_at for one in alerts), deps.clock.now() - LONGEST_LOOK_S)
    window = Window(
        start=alerted_at - deps.limits.lookback_s, end=max(alerted_at, deps.clock.now())
    )
    measured = deps.sources.in_common().measure(window, normal_before=alerted_at)
    incident = deps.store.incidents.require(incident_id)
    found = onset(measured.series, measured.baseline, alerted_at)
    shown_by: MeasuredFrom = "metrics"
    if found.confidence < UNSURE:
        logged = _from_logs(deps.sources, window, alerted_at)
        found, shown_by = (logged, "logs") if logged else (found, "alert")
    began = _no_later(found, incident.clocks.onset)
    history_s = _history_s(measured, began.at)
    with deps.store.transaction(lazily=True):
        deps.store.incidents.update(
            incident_id,
            deps.clock.now(),
            history_s=history_s,
            title=group.title,
            services=group.services,
            clocks=incident.clocks.model_copy(
                update={
                    "onset": began.at,
                    "measured_from": _measured_from(incident, found, shown_by, history_s),
                }
            ),
        )
        deps.note(incident_id, "triaged", began.reason, alerts=float(len(alerts)), onset=began.at)
    return {"group": group, "onset": began}


ERRORS_SINCE = 0.5
"""Confidence of an onset that only error lines show: they may lag behind what users felt."""


def _from_logs(sources: Sources, window: Window, alerted_at: Timestamp) -> Onset | None:
    """Since when error lines come more often; None where they do not, or no log answers."""
    try:
        lines = sources.log_lines(Window(start=window.start, end=alerted_at))
    except SourceError:
        return None
    at = error_onset(lines, alerted_at)
    if at is None:
        return None
    reason = f"error lines come more often since {alerted_at - at:.0f} s before the alert"
    return Onset(at=at, confidence=ERRORS_SINCE, reason=reason)


def _history_s(measured: MetricSnapshot, began: Timestamp) -> float | None:
    """How far back from the onset the series reach, in seconds: half of them farther.

    None where there are no metrics.
    """
    firsts: dict[str, Timestamp] = {}
    for one in (*measured.baseline, *measured.series):
        if one.times.size:
            firsts[one.name] = min(firsts.get(one.name, inf), float(one.times[0]))
    return max(0.0, began - median(firsts.values())) if firsts else None


def _measured_from(
    incident: Incident, found: Onset, shown_by: MeasuredFrom, history_s: float | None
) -> MeasuredFrom:
    if incident.origin.startswith(FILE):
        return "file"
    if is_little(history_s):
        return "history"
    known = incident.clocks
    if known.onset is not None and known.onset < found.at:
        return known.measured_from
    return shown_by


def _no_later(found: Onset, known: Timestamp | None) -> Onset:
    """The onset of an earlier run where that was earlier: the more fault, the more it is normal."""
    if known is None or known >= found.at:
        return found
    reason = f"{found.reason}; an earlier run found it {found.at - known:.0f} s before that"
    return found.model_copy(update={"at": known, "reason": reason})
