"""brief: publish the first-responder summary. It needs no model and is out seconds after."""

from langgraph.runtime import Runtime

from copilot.case.briefing import publish
from copilot.case.state import GatherProgress, IncidentState
from copilot.deps import Deps


def brief(state: IncidentState, runtime: Runtime[Deps]) -> None:
    """Render the brief in both languages and put it where every surface reads it."""
    deps = runtime.context
    again = bool(state.get("gathered", GatherProgress()).follow_ups)
    said = "updated with what was looked at since" if again else "published"
    publish(deps, state, noted=f"first-responder summary {said}")
