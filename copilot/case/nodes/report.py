"""report: what happened, from the journal, with the three clocks and a postmortem draft."""

from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.case.briefing import publish
from copilot.case.reasoning.narrative import narrate
from copilot.case.reporting import render
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.types.incident import CLOSED, Incident, IncidentStatus
from prompts import LANGUAGES


class ReportUpdate(TypedDict):
    pass


def report(state: IncidentState, runtime: Runtime[Deps]) -> ReportUpdate:
    """Close the incident if it recovered, else hand it over; the report says which and why."""
    deps, incident_id = runtime.context, state["incident_id"]
    now = deps.clock.now()
    incident = deps.store.incidents.update(incident_id, now, status=_status(deps, incident_id))
    if incident.plan is not None:
        publish(deps, state, incident.plan)
    deps.note(incident_id, "reported", f"run {state['run_id']} ended: {incident.status}")
    events = deps.store.journal.events(incident_id, limit=10_000)
    texts = {language: render(incident, events, state, language) for language in LANGUAGES}
    deps.store.incidents.update(incident_id, deps.clock.now(), report=dict(texts))
    # The report is there already; a model that holds tells the same in better words.
    told = narrate(deps, state)
    if told is not None:
        texts[deps.language] = render(incident, events, state, deps.language, told)
        deps.store.incidents.update(incident_id, deps.clock.now(), report=dict(texts))
    return {}


def _status(deps: Deps, incident_id: str) -> IncidentStatus:
    incident: Incident = deps.store.incidents.require(incident_id)
    if incident.status in CLOSED:
        return incident.status
    return "recovered" if incident.outcome == "recovered" else "handed_over"
