"""Incidents: one document each, changed by reading, validating and writing in one transaction."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args

from pydantic_core import from_json
from sqlalchemy import Connection, bindparam, func, select, tuple_, update

from copilot.store.canonical import document
from copilot.store.database import Database, StoreError
from copilot.store.tables import incidents
from copilot.types.incident import CLOSED, Incident, IncidentStatus
from tools.types import Timestamp

READ = 128
"""Documents whose reading is kept, 0.2 MB each: pages and alerts look at the same open incidents
again and again, and reading one takes a millisecond and more."""

_OPEN = sorted(set(get_args(IncidentStatus)) - CLOSED)

# Built once: SQLAlchemy takes longer to put such a statement together than SQLite to run it.
_DOCUMENT = select(incidents.c.document).where(incidents.c.id == bindparam("this"))
_LOCKED = _DOCUMENT.with_for_update()
_CHANGE = update(incidents).where(incidents.c.id == bindparam("this"))


class UnknownIncidentError(StoreError):
    """There is no incident of that id."""

    def __init__(self, incident_id: str) -> None:
        super().__init__(f"there is no incident {incident_id!r}")
        self.incident_id = incident_id


class Incidents:
    """The incidents, newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, incident: Incident) -> None:
        """Write a new incident; opening the same id twice is an error."""
        insert = self._database.insert(incidents).values(_row(incident))
        statement = insert.on_conflict_do_nothing().returning(incidents.c.id)
        with self._database.write() as connection:
            if connection.execute(statement).first() is None:
                raise StoreError(f"incident {incident.id!r} exists already; update it instead")

    def get(self, incident_id: str) -> Incident | None:
        """The incident as it is now."""
        with self._database.read() as connection:
            return _read(connection, incident_id)

    def require(self, incident_id: str) -> Incident:
        """The incident as it is now; raises `UnknownIncidentError` where there is none."""
        found = self.get(incident_id)
        if found is None:
            raise UnknownIncidentError(incident_id)
        return found

    def list(
        self, limit: int = 50, before: str | None = None, status: IncidentStatus | None = None
    ) -> tuple[Incident, ...]:
        """A page, newest first; `before` is the id of the last incident of the page before."""
        position = (incidents.c.opened_at, incidents.c.id)
        query = select(incidents.c.document).order_by(*(c.desc() for c in position)).limit(limit)
        if status is not None:
            query = query.where(incidents.c.status == status)
        with self._database.read() as connection:
            if before is not None:
                last = _read(connection, before)
                if last is None:
                    raise UnknownIncidentError(before)
                query = query.where(tuple_(*position) < tuple_(last.opened_at, last.id))
            return tuple(_incident(row.document) for row in connection.execute(query))

    def active(self, limit: int | None = None) -> tuple[Incident, ...]:
        """The incidents an alert may still be attached to, newest first."""
        return self._standing(_OPEN, limit)

    def ended(self, limit: int) -> tuple[Incident, ...]:
        """The incidents that are over, newest first."""
        return self._standing(sorted(CLOSED), limit)

    def _standing(
        self, statuses: Sequence[IncidentStatus], limit: int | None
    ) -> tuple[Incident, ...]:
        order = (incidents.c.opened_at.desc(), incidents.c.id.desc())
        # Documents are large: those that are shown are chosen before any is read.
        chosen = (
            select(incidents.c.id).where(incidents.c.status.in_(statuses)).order_by(*order)
        ).limit(limit)
        query = select(incidents.c.document).where(incidents.c.id.in_(chosen)).order_by(*order)
        with self._database.read() as connection:
            return tuple(_incident(row.document) for row in connection.execute(query))

    def open_ids(self) -> frozenset[str]:
        """The ids of `active`, without reading their documents."""
        query = select(incidents.c.id).where(incidents.c.status.in_(_OPEN))
        with self._database.read() as connection:
            return frozenset(connection.scalars(query))

    def resolved_since(self, at: Timestamp) -> tuple[Incident, ...]:
        """Incidents that their sources ended after `at`, oldest first."""
        found = self.list(status="resolved")
        return tuple(reversed([one for one in found if one.updated_at >= at]))

    def update(self, incident_id: str, now: Timestamp, **fields: object) -> Incident:
        """Change some fields and leave the others as another writer may have left them.

        One that is over stays over: it may have ended while a run, which looked before, was about
        to say how far it is.
        """
        return self._changed(incident_id, now, fields)

    def reopen(self, incident_id: str, now: Timestamp, **fields: object) -> Incident:
        """Change it as `update` does, also one that is over: its alerts came back."""
        return self._changed(incident_id, now, fields, reopen=True)

    def _changed(
        self,
        incident_id: str,
        now: Timestamp,
        fields: Mapping[str, object],
        *,
        reopen: bool = False,
    ) -> Incident:
        with self._database.write() as connection:
            old = _read(connection, incident_id, lock=True)
            if old is None:
                raise UnknownIncidentError(incident_id)
            changed = Incident.model_validate({**dict(old), **fields, "updated_at": now})
            if changed.id != incident_id:
                raise StoreError(f"the id of incident {incident_id!r} cannot change")
            if old.status in CLOSED and changed.status not in CLOSED and not reopen:
                changed = changed.model_copy(update={"status": old.status})
            connection.execute(_CHANGE, {"this": incident_id, **_row(changed)})
            return changed

    def count(self) -> dict[IncidentStatus, int]:
        """How many incidents are in each status."""
        query = select(incidents.c.status, func.count()).group_by(incidents.c.status)
        with self._database.read() as connection:
            return {status: number for status, number in connection.execute(query)}


def _read(connection: Connection, incident_id: str, *, lock: bool = False) -> Incident | None:
    found = connection.execute(_LOCKED if lock else _DOCUMENT, {"this": incident_id}).scalar()
    return None if found is None else _incident(found)


@lru_cache(maxsize=READ)
def _incident(text: str) -> Incident:
    # Documents of earlier builds hold fields that an incident of today would refuse.
    if '"verdict":' in text or '"abstained":' in text:
        return Incident.model_validate(_of_earlier_build(from_json(text)))
    return Incident.model_validate_json(text)


def _of_earlier_build(old: dict[str, Any]) -> dict[str, Any]:
    if "verdict" in old:
        old["outcome"] = old.pop("verdict")
    ranking = old.get("ranking", {})
    if "abstained" in ranking:
        ranking["certainty"] = "insufficient" if ranking.pop("abstained") else "likely"
    for one in (*old.get("hypotheses", ()), *(old.get("opinion") or {}).get("hypotheses", ())):
        one.pop("confidence", None)
    return old


def _row(incident: Incident) -> dict[str, object]:
    return {
        "id": incident.id,
        "status": incident.status,
        "opened_at": incident.opened_at,
        "document": document(incident),
    }
