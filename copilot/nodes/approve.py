"""approve: one interrupt and nothing else. Who may answer, and what, is checked before resuming."""

from typing import TypedDict

from langgraph.types import interrupt

from copilot.state import IncidentState
from tools.types import Approval


class Approved(TypedDict):
    approval: Approval


def approve(state: IncidentState) -> Approved:
    """Wait for a person; the engine resumes with the recorded decision on this very plan."""
    plan = state["plan"]
    asked = {"plan_id": plan.id, "digest": plan.digest} if plan else {}
    return {"approval": Approval.model_validate(interrupt(asked))}
