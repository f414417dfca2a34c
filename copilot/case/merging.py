"""A person says that two incidents are one, or that alerts of one are another: merged and split."""

from pydantic import Field

from copilot.alerts.regrouping import fold, part, services_of, worst
from copilot.case.answers import check_right
from copilot.deps import Deps
from copilot.store import PolicyRefusedError, Store
from copilot.types.incident import CLOSED, Clocks, Incident
from tools.log_retriever import sanitize
from tools.types import FrozenModel, Timestamp

LONGEST_WHY = 500

MOST_SPLIT = 200
"""Alerts that are chosen at once: as many as the page shows."""


class MergeWish(FrozenModel):
    """Which incident is part of which other one, by whom it is said, and why."""

    incident_id: str
    into: str = Field(min_length=1)
    by: str = Field(min_length=1)
    reason: str = ""


class SplitWish(FrozenModel):
    """Which alerts of an incident, by their keys, are another one, by whom it is said, and why."""

    incident_id: str
    alerts: tuple[int, ...] = Field(max_length=MOST_SPLIT)
    by: str = Field(min_length=1)
    reason: str = ""


def merge(deps: Deps, wish: MergeWish, now: Timestamp) -> Incident:
    """Close an incident into another, whole or not at all; the other. `PolicyRefusedError`.

    Its alerts, and those that come to its group later, are the other's; its page points there.
    There is no way back but to split them off again, into an incident of their own.
    """
    store, why = deps.store, _why(deps, wish.by, "merge", wish.reason)
    with store.transaction():
        old, home = (_movable(store, one) for one in (wish.incident_id, wish.into))
        if old.id == home.id:
            raise PolicyRefusedError(f"incident {old.id!r} cannot be merged into itself")
        if old.origin != home.origin:
            raise PolicyRefusedError("one of them is of a recording: they have no world in common")
        fold(store, old.id, home.id, f"merged into {home.id}: {why}", wish.by, now)
        detail = {"reason": f"took in {old.id}: {why}", "from": old.id}
        store.journal.append(home.id, "absorbed", wish.by, {**detail}, now)
        services = tuple(sorted({*home.services, *old.services}))
        severity = worst((home.severity, old.severity))
        return store.incidents.update(home.id, now, services=services, severity=severity)


def split(deps: Deps, wish: SplitWish, new_id: str, now: Timestamp) -> Incident:
    """Open an incident with chosen alerts, to be looked at anew; it. `PolicyRefusedError`.

    Every firing of a chosen alert goes along. What is left is looked at again, too.
    """
    store, why = deps.store, _why(deps, wish.by, "split", wish.reason)
    with store.transaction():
        old = _movable(store, wish.incident_id)
        held = store.alerts.decisions(old.id)
        names = {one.alert.fingerprint for one in held if one.key in wish.alerts}
        chosen = [one for one in held if one.alert.fingerprint in names]
        left = [one for one in held if one.alert.fingerprint not in names]
        if not chosen:
            raise PolicyRefusedError("no alert of this incident is chosen (`alerts`: their keys)")
        if not services_of(left) and not any(one.incident_id for one in left):
            raise PolicyRefusedError("every alert is chosen: nothing would be left of the incident")
        first = chosen[0].alert
        new = Incident(
            id=new_id,
            title=f"{first.name} on {first.service}" if first.service else first.name,
            severity=worst([one.alert.severity for one in chosen]),
            services=services_of(chosen),
            opened_at=now,
            updated_at=now,
            clocks=Clocks(detected=min(one.accepted_at for one in chosen)),
            origin=old.origin,
            split_from=old.id,
        )
        part(store, old, chosen, new, now)
        told = {"reason": f"split off {old.id}: {why}", "alert": first.name, "from": old.id}
        store.journal.append(new.id, "opened", wish.by, {**told}, now)
        said = {"reason": f"split off into {new.id}: {why}", "into": new.id}
        store.journal.append(old.id, "split", wish.by, {**said}, now)
        store.incidents.update(old.id, now, services=services_of(left))
        return new


def _why(deps: Deps, by: str, wish: str, reason: str) -> str:
    """The reason, cleaned; raises where there is none, or no right."""
    check_right(deps.policy, by, wish)
    why = sanitize(deps.store.redactor.text(reason), LONGEST_WHY).strip()
    if not why:
        raise PolicyRefusedError("say why (`reason`): the next one reads it in the timeline")
    return why


def _movable(store: Store, incident_id: str) -> Incident:
    """An open incident of which no step runs, or may have run: its evidence must not change."""
    found = store.incidents.require(incident_id)
    if found.status in CLOSED:
        raise PolicyRefusedError(f"incident {found.id!r} is {found.status}: it is over")
    if found.status == "acting" or found.unsettled is not None:
        raise PolicyRefusedError(
            f"a step of incident {found.id!r} runs, or nobody knows whether it ran: "
            "merge or split when it has ended"
        )
    return found
