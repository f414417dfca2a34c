"""Alerts that change their incident: in one transaction with what becomes of the incidents."""

from collections.abc import Iterable, Sequence

from copilot.store import Store, StoredAlert
from copilot.types.incident import Incident
from tools.clusterer import SUPPRESSED
from tools.types import Severity, Timestamp

URGENCY: dict[str, int] = {"critical": 0, "high": 1, "warning": 2, "info": 3, "low": 4}
"""Whose first look comes first; the least number is the most urgent."""


def fold(store: Store, old: str, home: str, reason: str, by: str, now: Timestamp) -> None:
    """Close an incident into another one: its alerts go there, its runs end, its plan is withdrawn.

    A run that works on it now notices before its next node: its lease is gone.
    """
    with store.transaction():
        store.alert_homes.give(old, home, now)
        for run in store.runs.of(old):
            if run.status in ("accepted", "waiting", "running"):
                store.runs.finish(run.id, "superseded", now)
        store.approvals.supersede(old, now)
        store.incidents.update(old, now, status="resolved", merged_into=home)
        detail = {"reason": reason, "into": home}
        store.journal.append(old, "merged", by, {**detail}, now)


def part(
    store: Store, old: Incident, chosen: Sequence[StoredAlert], new: Incident, now: Timestamp
) -> None:
    """Open an incident with chosen alerts of another one, and queue its first look."""
    with store.transaction():
        store.incidents.open(new)
        store.alert_homes.part(old.id, {one.alert.fingerprint for one in chosen}, new.id, now)
        store.runs.accept(new.id, now, URGENCY[new.severity])


def services_of(alerts: Sequence[StoredAlert]) -> tuple[str, ...]:
    """The services that alerts which count are about, each once."""
    counted = (one.alert for one in alerts if one.action not in SUPPRESSED)
    return tuple(sorted({one.service for one in counted if one.service}))


def worst(severities: Sequence[Severity]) -> Severity:
    """The most urgent of them."""
    return min(severities, key=lambda one: URGENCY[one])


def regrouped(store: Store, changed: Iterable[str]) -> bool:
    """Whether somebody merged or split one of the incidents that opened or ended."""
    found = map(store.incidents.get, changed)
    return any(one.merged_into or one.split_from for one in found if one)
