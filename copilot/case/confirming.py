"""A person says what the cause of an incident was: checked, written down, and audited by name.

Everything that the site learns rests on this: docs/learning.md.
"""

from typing import Annotated

from pydantic import AfterValidator

from copilot.case.answers import check_right
from copilot.case.learning import lesson_of
from copilot.store import PolicyRefusedError, Store, StoredCause
from copilot.types.incident import CLOSED, ConfirmedCause, Incident
from tools.log_retriever import sanitize
from tools.playbook_executor import Policy
from tools.types import FaultKind, FrozenModel, Owner, Timestamp

NAMED = 8
"""Components named in a refusal; a person looks for one, not for all."""


SAYING = "say what the cause was"


class NotOverError(PolicyRefusedError):
    """The incident goes on: nobody can say for sure yet what it was."""

    def __init__(self, incident: Incident) -> None:
        closing = "; if it is over, close it with the cause" if open_by_hand(incident) else ""
        super().__init__(
            f"incident {incident.id!r} is {incident.status}; its cause is confirmed, and it is "
            f"recorded, once it is recovered or resolved{closing}"
        )


class UnknownComponentError(PolicyRefusedError):
    """The incident has never heard of the component: a slip, or something nobody measures."""

    def __init__(self, component: str, known: tuple[str, ...]) -> None:
        listed = ", ".join(known[:NAMED]) or "none"
        more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
        super().__init__(
            f"nothing in the incident speaks of {component!r}; it knows {listed}{more}. "
            "If it is right, say it again with force"
        )


class NothingConfirmedError(PolicyRefusedError):
    """There is no confirmed cause to take back."""

    def __init__(self, incident_id: str) -> None:
        super().__init__(f"nobody has confirmed a cause of incident {incident_id!r}")


def _named(text: str) -> str:
    clean = sanitize(text, 256).strip()
    if not clean:
        raise ValueError("a name, and it is empty")
    return clean


CleanName = Annotated[str, AfterValidator(_named)]
"""One short line without control characters; empty is no name."""


class CauseStatement(FrozenModel):
    """Who says what was at fault and how; `force` where the incident has not heard of it.

    `close` also ends an incident that nobody works on any more but a person.
    """

    component: CleanName
    fault_kind: FaultKind
    by: CleanName
    note: Annotated[str, AfterValidator(lambda text: sanitize(text, 1024))] = ""
    force: bool = False
    close: bool = False


def confirm(
    store: Store, policy: Policy, incident_id: str, said: CauseStatement, now: Timestamp
) -> Incident:
    """Write down the cause of a closed incident; the journal says who, and what was said before.

    Saying the same again changes nothing. Raises `PolicyRefusedError` with the reason for a no.
    """
    check_right(policy, said.by, SAYING)
    with store.transaction():
        incident = store.incidents.require(incident_id)
        old = incident.cause
        if old and (old.component, old.fault_kind) == (said.component, said.fault_kind):
            return incident
        if incident.status not in CLOSED:
            incident = _closed(store, incident, said, now)
        known = components_of(incident)
        if said.component not in known and not said.force:
            raise UnknownComponentError(said.component, known)
        cause = ConfirmedCause(
            component=said.component, fault_kind=said.fault_kind, by=said.by, at=now, note=said.note
        )
        store.causes.put(
            StoredCause(
                incident_id=incident_id,
                component=cause.component,
                fault_kind=cause.fault_kind,
                by=cause.by,
                at=now,
                lesson=lesson_of(incident, cause.component, cause.fault_kind),
            )
        )
        before = f", no longer {old.component}, {old.fault_kind}, said by {old.by}" if old else ""
        note = f": {said.note}" if said.note else ""
        detail = {
            "reason": f"the cause was {cause.component}, {cause.fault_kind}{before}{note}",
            "component": cause.component,
            "fault_kind": cause.fault_kind,
            "copilot_said": " ".join(answer_of(incident)),
        }
        store.journal.append(incident_id, "confirmed", said.by, {**detail}, now)
        return store.incidents.update(incident_id, now, cause=cause)


def withdraw(
    store: Store, policy: Policy, incident_id: str, by: str, reason: str, now: Timestamp
) -> Incident:
    """Take a confirmed cause back: nothing is learned from it any more."""
    check_right(policy, by, SAYING)
    with store.transaction():
        incident = store.incidents.require(incident_id)
        if incident.cause is None:
            raise NothingConfirmedError(incident_id)
        old = incident.cause
        store.causes.remove(incident_id)
        why = f": {reason}" if reason else ""
        said = f"no longer {old.component}, {old.fault_kind}, said by {old.by}{why}"
        store.journal.append(incident_id, "withdrawn", by, {"reason": said}, now)
        return store.incidents.update(incident_id, now, cause=None)


def forget(store: Store, policy: Policy, by: str, now: Timestamp) -> int:
    """Learn nothing more of what was confirmed so far; returns of how many incidents."""
    check_right(policy, by, SAYING)
    with store.transaction():
        count = store.causes.forget()
        reason = f"forgot what {count} confirmed incidents taught"
        store.journal.append("", "forgotten", by, {"reason": reason}, now)
    return count


def check_over(incident: Incident) -> None:
    """Raise `NotOverError` unless the incident is closed."""
    if incident.status not in CLOSED:
        raise NotOverError(incident)


def components_of(incident: Incident) -> tuple[str, ...]:
    """What the incident has heard of: the located first, then alerts', then the evidence's."""
    located = [one.component for one in incident.ranking.candidates]
    owners = [Owner.parse(one.subject) for one in incident.evidence]
    seen = [name for owner in owners for name in (owner.service, owner.caller)]
    return tuple(name for name in dict.fromkeys([*located, *incident.services, *seen]) if name)


def answer_of(incident: Incident) -> tuple[str, str]:
    """Component and kind the copilot holds for the cause; empty where it does not decide."""
    if incident.ranking.abstained or not incident.ranking.candidates:
        return "", ""
    first = incident.ranking.candidates[0]
    return Owner.parse(first.component).service, first.fault_kind or ""


def open_by_hand(incident: Incident) -> bool:
    """Whether only a person still works on it, so that a person may end it."""
    return incident.status in ("handed_over", "failed")


def _closed(store: Store, incident: Incident, said: CauseStatement, now: Timestamp) -> Incident:
    if not (said.close and open_by_hand(incident)):
        raise NotOverError(incident)
    store.journal.append(incident.id, "resolved", said.by, {"reason": "closed by a person"}, now)
    return store.incidents.update(incident.id, now, status="resolved")
