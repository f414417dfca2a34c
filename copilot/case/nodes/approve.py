"""approve: one interrupt and nothing else. Who may answer, and what, is checked before resuming."""

from typing import TypedDict

from langgraph.types import interrupt
from pydantic import TypeAdapter

from copilot.case.state import IncidentState
from tools.types import Approval

ANSWERS = TypeAdapter(list[Approval])


class ApproveUpdate(TypedDict):
    approvals: list[Approval]


def approve(state: IncidentState) -> ApproveUpdate:
    """Wait for people; the engine resumes with the recorded answers to this very plan."""
    plan = state["plan"]
    asked = {"plan_id": plan.id, "digest": plan.digest} if plan else {}
    return {"approvals": ANSWERS.validate_python(interrupt(asked))}
