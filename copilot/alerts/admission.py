"""Admission: written alerts become incidents, and incidents get runs.

Alerts are on disk before this looks at them, and every decision is written with its reason in one
transaction with the incident and the run it opens; a process killed in between decides again.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from copilot.alerts import subjects
from copilot.alerts.arrival import missed
from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.alerts.regrouping import URGENCY, fold, regrouped
from copilot.ports import Clock
from copilot.store import Assignment, DueAlert, Store, StoredAlert
from copilot.types.incident import Clocks, Incident, IncidentStatus
from tools.clusterer import (
    Action,
    Clusterer,
    Decision,
    NoiseModel,
    TieBreaker,
    matching_labels,
)
from tools.types import Alert, Timestamp, Topology

log = logging.getLogger(__name__)

REMEMBER_S = 300.0
"""How often what was learned of noise is written down."""

GRACE_S = 300.0
"""Leases that ran out while nobody listened last so long after a start: senders repeat within it
(`resolve_timeout` of Alertmanager's default configuration)."""

ORIGIN_LABEL = "copilot_origin"
"""Names the file or recording that alerts were read from; live ones do not carry it."""

AGAIN: frozenset[Action] = frozenset({"reopened", "flapping"})
"""Decisions on alerts that go on in the incident they were in."""


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """What one pass of the intake did to incidents; `decided` counts alerts."""

    decided: int = 0
    opened: tuple[str, ...] = ()
    grown: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


class Intake:
    """Decides on accepted alerts, one batch at a time; its memory is rebuilt from the store.

    Alerts of one `origin` (a file, a recording; empty: what is sent to us) are grouped apart: they
    join no incident of another, and end none. Of several processes on one database one decides.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        topology: Topology,
        new_id: Callable[[], str],
        memory: Path | None = None,
        judge: TieBreaker | None = None,
        announced: MaintenanceSchedule | None = None,
        origin: str = "",
    ) -> None:
        self._origin = origin
        self._scope = f"intake {origin}"
        self._leading = not store.shared
        self._silences = (0, 0.0)
        self._open: frozenset[str] = frozenset()
        self._followed = clock.now()
        self._announced = announced or MaintenanceSchedule()
        self._store = store
        self._judge = judge
        self._clock = clock
        self._topology = topology
        self._components = _components(topology)
        self._new_id = new_id
        self._memory = memory
        self._remembered_at = clock.now()
        self._noise = _remembered(memory)
        self._listening_since = clock.now()
        self._held: set[str] = set()
        self._renewed: dict[str, Alert] = {}
        self._renewing = threading.Lock()
        self._stale = self._regrouped = False
        # Who does not lead has nothing to go on with, and may never.
        self._clusterer = self._rebuilt() if self._leading else Clusterer()

    def renew(self, delivered: Sequence[Alert]) -> None:
        """A repeated source of inhibition inhibits on: repetitions are not decided on again."""
        rules = self._announced.inhibitions
        leased = [one for one in delivered if one.lease is not None and one.status != "resolved"]
        sources = {
            one.fingerprint: one
            for one in leased
            if any(rule.is_source(matching_labels(one)) for rule in rules)
        }
        with self._renewing:
            self._renewed |= sources

    def decide(self, limit: int = 1000) -> IntakeResult:
        """Decide on the next undecided alerts; nothing to do is an empty `IntakeResult`."""
        waiting = self._store.alerts.unassigned(limit) if self.leads() else ()
        if not waiting:
            return IntakeResult()
        self._follow()
        if self._clock.now() - self._remembered_at > REMEMBER_S:
            self.remember()
        self._recall()
        # Until this batch is written, what the clusterer remembers of it may have to be forgotten.
        self._stale = True
        result = self._record(waiting)
        self._stale, self._regrouped = self._regrouped, False
        return result

    def leads(self) -> bool:
        """Whether this process decides; who takes over goes on with the groups of the store."""
        leads = self._store.leadership.leads(self._scope)
        if leads and not self._leading:
            log.info("this process decides on alerts from now on")
            self._listening_since = self._clock.now()
            self._clusterer = self._rebuilt()
        self._leading = leads
        return leads

    def _follow(self) -> None:
        """Take up what other processes, and people, did meanwhile."""
        now, going = self._clock.now(), self._store.incidents.open_ids()
        for incident_id in self._open - going:
            self._clusterer.close(incident_id, now)
        self._stale |= self._store.shared and regrouped(self._store, self._open ^ going)
        self._open = going
        if self._store.shared and self._announced.inhibitions:
            since, self._followed = self._followed, now
            self.renew(self._store.alert_leases.renewed(since))
        if self._store.shared and (stamp := self._store.silences.stamp()) != self._silences:
            self._announced.keep(self._store.silences.standing(now))
            self.heed()
            self._silences = stamp

    def remember(self) -> None:
        """Write down what was learned of noise, so that a restart need not learn it again."""
        self._remembered_at = self._clock.now()
        if self._memory is None:
            return
        beside = self._memory.with_suffix(".new")
        try:
            beside.write_text(self._noise.dump(), encoding="utf-8")
            beside.replace(self._memory)
        except OSError as problem:
            # It can be learned again; alerts must be decided on and runs handed back all the same.
            log.warning("what was learned of noise is not kept: %s", problem)

    def recognised(self, alerts: Sequence[Alert]) -> Sequence[Alert]:
        """Give an alert its component where the service graph has its subject, such as a host."""
        return [
            alert
            if alert.service or not (service := subjects.component(alert.subject, self._components))
            else alert.model_copy(update={"service": service})
            for alert in alerts
        ]

    def heed(self) -> None:
        """Go by what is announced now."""
        self._clusterer.silence(self._announced.mutes)

    def learn(self, topology: Topology) -> None:
        """Another service graph: what is open is grouped on by it, as after a restart."""
        if set(topology.edges) != set(self._topology.edges):
            self._topology = topology
            self._components = _components(topology)
            self._stale = True
            self._recall()

    def regroup(self) -> None:
        """A person has merged or split incidents: alerts are grouped on by what is written."""
        self._stale = True

    def close(self, incident_id: str) -> None:
        """The incident is over: no alert joins it any more."""
        self._clusterer.close(incident_id, self._clock.now())

    def expire(self) -> None:
        """What time alone ends: leases nobody renewed, heartbeats nobody heard, flapping."""
        if not self.leads():
            return
        self._recall()
        now = self._clock.now()
        for due in self._store.alert_leases.due(now):
            if due.seen_at < self._listening_since and now - self._listening_since < GRACE_S:
                continue
            self._expired(due, now)
        for beat in self._store.alert_leases.heard_again():
            with self._store.transaction():
                self._store.alert_leases.hear(beat.fingerprint)
                self._store.alerts.accept([missed(beat, now, now, status="resolved")], now)
        settled = [name for name in self._held if not self._clusterer.flapping(name, now)]
        self._end(settled, now)
        self._held.difference_update(settled)

    def _expired(self, due: DueAlert, now: Timestamp) -> None:
        """An ended lease is an end as any other; of a heartbeat it is an alert of our own."""
        with self._store.transaction():
            if due.alert.heartbeat:
                self._store.alert_leases.miss(due.alert.fingerprint)
                self._store.alerts.accept([missed(due.alert, due.seen_at, now)], now)
            else:
                ended = {"status": "resolved", "ends_at": due.until, "lease": None}
                self._store.alerts.accept([due.alert.model_copy(update=ended)], now)

    def _beat(self, waiting: Sequence[StoredAlert], now: Timestamp) -> None:
        """A heartbeat that its source ends is missed; one that begins anew ends that alert."""
        for alert in (stored.alert for stored in waiting if stored.alert.heartbeat):
            if alert.status == "resolved":
                news = missed(alert, alert.ends_at or now, now)
            else:
                news = missed(alert, now, now, status="resolved")
                if not self._store.alerts.firing(news.fingerprint):
                    continue
            self._store.alerts.accept([news], now)

    def _record(self, waiting: Sequence[StoredAlert]) -> IntakeResult:
        now = self._clock.now()
        with self._renewing:
            renewed, self._renewed = self._renewed, {}
        self._clusterer.announce([*renewed.values()], now)
        decisions = self._clusterer.update([stored.alert for stored in waiting], now)
        pairs = list(zip(waiting, decisions, strict=True))
        opened = tuple(d.group_id for d in decisions if d.action == "opened")
        reopened = tuple(dict.fromkeys(d.group_id for d in decisions if d.action in AGAIN))
        joined = (d.group_id for d in decisions if d.action == "attached")
        grown = tuple(dict.fromkeys(one for one in joined if one not in opened))
        with self._store.transaction():
            self._store.leadership.check(self._scope)
            for stored, decision in pairs:
                if decision.action == "opened":
                    self._begin(stored.alert, decision, now)
            for decision in decisions:
                if decision.action in AGAIN:
                    self._reopen(decision, now)
            self._beat(waiting, now)
            known = self._store.incidents.open_ids()
            self._store.alerts.assign_all(
                [
                    # A held group has an id before it is an incident, and may never become one.
                    Assignment(
                        s.key, d.group_id if d.group_id in known else None, d.action, d.reason
                    )
                    for s, d in pairs
                ],
                now,
            )
            corrections = self._clusterer.corrections()
            moved = self._store.alert_homes.move(corrections, now)
            merged = self._join_merged(now)
            # What was held belongs to a group since it is told, or since it took another in.
            homes = {*opened, *reopened, *(one.group_id for one in corrections), *merged.values()}
            for incident_id in dict.fromkeys((*opened, *reopened, *grown, *moved, *sorted(homes))):
                if incident_id in known and incident_id not in merged:
                    self._grow(incident_id, adopting=incident_id in homes)
            for incident_id in opened:
                if incident_id not in merged:
                    urgency = URGENCY[self._clusterer.group(incident_id).severity]
                    self._store.runs.accept(incident_id, now, urgency)
            # With their alerts, which are not decided on again.
            ended = {d.group_id for d in decisions if d.action == "resolved" and d.group_id}
            over = self._end(sorted(ended), now)
        return IntakeResult(decided=len(pairs), opened=opened, grown=grown, ended=over)

    def _begin(self, alert: Alert, decision: Decision, now: Timestamp) -> None:
        self._store.incidents.open(
            Incident(
                id=decision.group_id,
                title=self._clusterer.group(decision.group_id).title,
                severity=alert.severity,
                opened_at=now,
                updated_at=now,
                clocks=Clocks(detected=now),
                origin=self._origin,
            )
        )
        said: dict[str, str] = {"reason": decision.reason, "alert": alert.name}
        self._store.journal.append(decision.group_id, "opened", "copilot", {**said}, now)

    def _reopen(self, decision: Decision, now: Timestamp) -> None:
        """An incident whose source had ended it goes on; what flaps is not looked at anew."""
        incident = self._store.incidents.get(decision.group_id)
        if incident is None or incident.status != "resolved":
            return
        # A plan of before is superseded: it is looked at again, or a person has it.
        status: IncidentStatus = "investigating" if decision.action == "reopened" else "handed_over"
        self._store.incidents.reopen(incident.id, now, status=status, plan=None)
        reason = {"reason": decision.reason}
        self._store.journal.append(incident.id, "reopened", "copilot", {**reason}, now)
        if decision.action == "reopened":
            self._store.runs.accept(incident.id, now, URGENCY[incident.severity])

    def _join_merged(self, now: Timestamp) -> dict[str, str]:
        """Close the incidents whose alerts an alert showed to be of another one; old to new."""
        merged = self._clusterer.merged()
        for old, home in [*merged.items()]:
            found, into = self._store.incidents.get(old), self._store.incidents.get(home)
            if found is None or into is None:
                continue
            if home == found.split_from or old == into.split_from:
                # A person has parted them, who knows better than a later alert.
                self._regrouped = bool(merged.pop(old))
                continue
            reason = f"merged into {home}: its alerts are of one incident"
            fold(self._store, old, home, reason, "copilot", now)
        return merged

    def _grow(self, incident_id: str, *, adopting: bool) -> None:
        """Bring the incident up to its group, with what was held."""
        now, group = self._clock.now(), self._clusterer.group(incident_id)
        if adopting:
            self._store.alert_homes.adopt(group.fingerprints, group.started_at, incident_id, now)
        self._store.incidents.update(
            incident_id, now, services=group.services, severity=group.severity, title=group.title
        )

    def _end(self, incident_ids: Sequence[str], now: Timestamp) -> tuple[str, ...]:
        """Resolve incidents whose every alert was resolved by its source, unless we act on them."""
        over = []
        for incident_id in incident_ids:
            incident = self._store.incidents.get(incident_id)
            if incident is None or incident.status == "acting":
                continue
            if not self._store.alerts.all_ended(incident_id):
                continue
            if self._clusterer.flapping(incident_id, now):
                self._held.add(incident_id)
                continue
            with self._store.transaction():
                self._store.incidents.update(incident_id, now, status="resolved")
                self._store.approvals.supersede(incident_id, now)
                reason = "every alert of it was resolved by its source"
                self._store.journal.append(
                    incident_id, "resolved", "copilot", {"reason": reason}, now
                )
            self._clusterer.close(incident_id, now)
            over.append(incident_id)
        return tuple(over)

    def _recall(self) -> None:
        """Go by what is written; raises, and is due still, while the store does not answer."""
        if self._stale:
            self._clusterer = self._rebuilt()
            self._stale = False

    def _rebuilt(self) -> Clusterer:
        clusterer = Clusterer(
            self._topology,
            silences=self._announced.mutes,
            inhibitions=self._announced.inhibitions,
            new_id=self._new_id,
            noise=self._noise,
            judge=self._judge,
        )
        over = self._store.incidents.resolved_since(self._clock.now() - GRACE_S)
        clusterer.restore(
            [
                (alert, incident.id)
                for incident in (*over, *reversed(self._store.incidents.active()))
                if incident.origin == self._origin
                for alert in self._store.alerts.of(incident.id)
            ],
            closed=[incident.id for incident in over],
        )
        for firing in self._store.firing.all(self._clock.now()):
            # Also what belongs to no incident inhibits: InfoInhibitor, and what is silenced.
            if firing.alert.labels.get(ORIGIN_LABEL, "") == self._origin:
                clusterer.announce([firing.alert], firing.seen_at)
        return clusterer


def _components(topology: Topology) -> frozenset[str]:
    """Every name that the service graph has."""
    ends = (name for edge in topology.edges for name in (edge.caller, edge.callee))
    return frozenset((*topology.nodes, *ends))


def _remembered(memory: Path | None) -> NoiseModel:
    """What was written down; a file that cannot be read is learned anew, and said so."""
    if memory is None or not memory.exists():
        return NoiseModel()
    try:
        return NoiseModel.load(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        log.warning("what was learned of noise is lost, %s: %s", memory, problem)
        return NoiseModel()
