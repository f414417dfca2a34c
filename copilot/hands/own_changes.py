"""Changes the copilot made itself: what it did about an incident is no cause of one."""

from collections.abc import Sequence

from copilot.store import Store
from tools.types import Change, Owner, Timestamp, Window

SLACK_S = 5.0
"""Two clocks differ, and a platform tells of a change when it is done."""


def without_own_changes(
    changes: Sequence[Change], store: Store, window: Window
) -> tuple[Change, ...]:
    """Without those that one of our own steps made: its component, while it ran."""
    ours = _steps(store, window)
    return tuple(
        change
        for change in changes
        if not any(
            change.service == service and during.start <= change.at <= during.end
            for service, during in ours
        )
    )


def _steps(store: Store, window: Window) -> list[tuple[str, Window]]:
    found = []
    for intent in store.outbox.since(window.start - SLACK_S):
        request = store.approvals.get(str(intent.payload.get("plan", "")))
        if request is not None:
            end: Timestamp = intent.result.ended_at if intent.result else window.end
            during = Window(start=intent.started_at - SLACK_S, end=end + SLACK_S)
            found.append((Owner.parse(request.plan.component).service, during))
    return found
