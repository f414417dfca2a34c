"""Where the graph goes next; routers name their targets, so the drawing needs no other table."""

from typing import Literal

from langgraph.runtime import Runtime

from copilot.case.nodes.act import remaining
from copilot.case.nodes.diagnose import wants_more
from copilot.case.state import IncidentState
from copilot.deps import Deps


def after_diagnose(state: IncidentState, runtime: Runtime[Deps]) -> Literal["gather", "plan"]:
    """Look again while there is little to see, nothing decides, or a model asked; then plan."""
    return "gather" if wants_more(state, runtime.context.limits) else "plan"


def after_plan(state: IncidentState) -> Literal["approve", "report"]:
    """A plan goes to a person; without one there is nothing to approve."""
    return "approve" if state.get("plan") is not None else "report"


def after_approve(state: IncidentState) -> Literal["act", "plan"]:
    """Approved: act. Rejected or not answered: the next plan, which heeds the reason."""
    answers = {answer.decision for answer in state.get("approvals", [])}
    return "act" if answers == {"approve"} else "plan"


def after_act(state: IncidentState) -> Literal["act", "verify"]:
    """One approved step per pass; a failed step ends the plan."""
    return "verify" if remaining(state) is None else "act"


def after_verify(state: IncidentState) -> Literal["act", "gather", "report", "verify"]:
    """Not over: verify again. Better: report. Worse: roll back, as approved. Else look anew.

    By now there is more to see than there was; the first cause named may have been the wrong one.
    """
    verified = state.get("verified")
    if verified is not None and not verified.over:
        return "verify"
    if verified is None or verified.outcome in ("recovered", "recovering", "unknown"):
        return "report"
    return "gather" if remaining(state) is None else "act"
