"""brief: publish the first-responder summary. It needs no model and is out seconds after."""

from langgraph.runtime import Runtime

from copilot.briefing import publish
from copilot.deps import Deps
from copilot.state import IncidentState


def brief(state: IncidentState, runtime: Runtime[Deps]) -> None:
    """Render the brief in both languages and put it where every surface reads it."""
    deps, incident_id = runtime.context, state["incident_id"]
    publish(deps, state)
    deps.note(incident_id, "briefed", "first-responder summary published")
