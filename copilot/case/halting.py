"""The emergency stop: set and lifted by people, read before every step."""

from copilot.store import HaltRecord, NoRightError, Store
from tools.playbook_executor import Policy
from tools.types import Timestamp

EVERYWHERE = ""
"""The journal's incident for what concerns all of them."""


def halt(store: Store, by: str, reason: str, now: Timestamp) -> str:
    """Stop every execution before its next step; the sentence for whoever did it."""
    reason = store.redactor.text(reason)
    with store.transaction():
        halted = store.halt.set(HaltRecord(by=by, reason=reason, at=now))
        store.journal.append(EVERYWHERE, "stopped", by, {"reason": reason}, now)
    return f"Stopped by {halted.by}: {halted.reason}. No step is run until: copilot resume"


def lift(store: Store, policy: Policy, by: str, now: Timestamp) -> str:
    """Let executions go on; empty where nothing was stopped. Raises `NoRightError`."""
    if not policy.may_approve(by):
        raise NoRightError(f"{by!r} may not resume executions; see COPILOT_APPROVERS")
    with store.transaction():
        lifted = store.halt.lift()
        if lifted is None:
            return ""
        detail = {"reason": f"lifts the stop by {lifted.by}: {lifted.reason}"}
        store.journal.append(EVERYWHERE, "resumed", by, {**detail}, now)
    return f"Resumed: steps that are approved are run again (stopped by {lifted.by})."
