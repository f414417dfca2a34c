"""Which incidents are looked at again without a person: what grew, and what was not decided."""

from collections.abc import Iterable

from copilot.ports import Clock
from copilot.store import Run, Store
from copilot.types.incident import CLOSED

AGAIN_S = 60.0
"""After this long an incident whose evidence did not decide is looked at again."""

LOOKS = 4
"""Most investigations of an incident that were not asked for by new alerts."""


class SecondLooks:
    """Investigations that are due: a storm's alerts do not cause one each."""

    def __init__(self, store: Store, clock: Clock, wall: Clock, refresh_s: float) -> None:
        self._store, self._clock, self._wall = store, clock, wall
        self._refresh_s = refresh_s
        self._due: dict[str, tuple[float, str]] = {}

    def grown(self, incident_ids: Iterable[str]) -> None:
        """Alerts joined them."""
        due = self._wall.now() + self._refresh_s
        for incident_id in incident_ids:
            self._due.setdefault(incident_id, (due, "more alerts joined it"))

    def undecided(self, incident_id: str) -> None:
        """What the first minute does not decide the next ones may: more of it is then recorded."""
        if len(self._store.runs.of(incident_id)) < LOOKS:
            due = self._wall.now() + max(self._refresh_s, AGAIN_S)
            self._due.setdefault(incident_id, (due, "the evidence did not decide yet"))

    def take(self) -> bool:
        """Queue the looks whose time has come; whether there were any."""
        now, queued = self._wall.now(), False
        for incident_id, (at, reason) in list(self._due.items()):
            # A wall clock that was set back does not hold it: nothing is put off for longer.
            if now < at <= now + max(self._refresh_s, AGAIN_S):
                continue
            incident = self._store.incidents.get(incident_id)
            statuses = {run.status for run in self._store.runs.of(incident_id)}
            settled = incident is not None and incident.unsettled is None
            if incident is None or incident.status in (*CLOSED, "acting") or not settled:
                self._due.pop(incident_id)
            elif not statuses & {"accepted", "running"}:
                self._due.pop(incident_id)
                self.queue(incident_id, reason)
                queued = True
        return queued

    def queue(self, incident_id: str, reason: str, by: str = "copilot") -> None:
        """Queue a look; a plan of before does not stand any longer."""
        now = self._clock.now()
        with self._store.transaction():
            self._store.approvals.supersede(incident_id, now)
            for run in self._store.runs.of(incident_id):
                if run.status == "waiting":
                    self._store.runs.finish(run.id, "superseded", now)
            self._store.incidents.update(incident_id, now, status="investigating", plan=None)
            self._store.runs.accept(incident_id, now, Run.AFTER_FIRST_LOOKS)
            self._store.journal.append(incident_id, "refreshed", by, {"reason": reason}, now)
