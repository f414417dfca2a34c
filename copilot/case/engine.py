"""The engine: accepted alerts in, incidents worked through the graph, nothing lost in between.

Threads live here and at no other place: one for the intake, some for runs, one that keeps leases,
one for what time brings, one for the watch. None of them waits for an incident: what is due later
has a due time in the store. Everything they do is written down first, so that a process killed at
any instruction comes back, claims what it had accepted, and repeats at most the node it was in.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from copilot.alerts.admission import Intake
from copilot.alerts.arrival import DECIDED_WITHIN_S, WORKED_WITHIN_S, RightOfWay, arrived
from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.case.answers import RetryWish, StepAnswer, decide, expire, retry, settle
from copilot.case.briefing import publish
from copilot.case.counters import Counters
from copilot.case.editing import Edit, edit
from copilot.case.graph import IncidentGraph
from copilot.case.loops import EVERY_ROLE, LONGEST_PAUSE_S, Loop, Role, problem_of
from copilot.case.merging import MergeWish, SplitWish, merge, split
from copilot.case.second_looks import SecondLooks
from copilot.case.terms import terms_in
from copilot.case.worker import GRACE_S, LEASE_S, Worker
from copilot.deps import Deps
from copilot.model import MeteredModel, Usage
from copilot.ports import Clock, OnCallRota, RunQueue
from copilot.sources.business_metrics import EVERY_S
from copilot.sources.deployment import UnconfiguredSource
from copilot.sources.patience import SourceTally
from copilot.sources.watch import Watch, WatchShards
from copilot.store import AcceptedAlerts, ApprovalRequest, Run, StoreError
from copilot.types.incident import CLOSED, Incident, PlanTerms
from tools.clusterer import Silence, TieBreaker
from tools.playbook_executor import Policy
from tools.types import Alert, Approval, Plan, Timestamp

log = logging.getLogger(__name__)

IDLE_S = 1.0
"""How often an idle thread looks by itself; work that arrives wakes it at once."""

PATIENCE_S = 60.0
"""Whoever drains waits this long for what is due later; the rest is left to the next command."""

SWEEP_S = 15.0
"""How often what dead processes left in a queue is offered again, by each that works."""

GATHER_S = 0.1
"""How long a burst may collect before it is decided on: one decision for many deliveries."""


class Engine:
    """Runs incidents through the graph; `start`/`stop` for a service, `drain` for a command."""

    def __init__(
        self,
        deps: Deps,
        graph: IncidentGraph,
        *,
        wall: Clock,
        new_id: Callable[[], str],
        owner: str,
        workers: int = 2,
        refresh_s: float = 30.0,
        watch: Watch | WatchShards | None = None,
        memory: Path | None = None,
        judge: TieBreaker | None = None,
        resolve_timeouts: Mapping[str, float] | None = None,
        skew_s: float = 5.0,
        origin: str = "",
        roles: frozenset[Role] = EVERY_ROLE,
        queue: RunQueue | None = None,
    ) -> None:
        self._roles, self._queue = roles, queue
        self.deps, self.store = deps, deps.store
        self.counters = Counters()
        self._wall = wall
        self._workers, self._new_id = workers, new_id
        self._worker = Worker(deps, graph, wall, owner)
        self._watch = watch
        self._resolve_timeouts = resolve_timeouts or {}
        self._skew_s = skew_s
        services, announced = deps.sources.topology(), deps.announced
        self._intake = Intake(
            deps.store, deps.clock, services, new_id, memory, judge, announced, origin
        )
        self._intake_lock, self._road = threading.Lock(), RightOfWay()
        self._stopping, self._arrived = threading.Event(), threading.Event()
        self._queued = threading.Condition()
        self._looks = SecondLooks(deps.store, deps.clock, wall, refresh_s)
        self.longest_pause_s = LONGEST_PAUSE_S
        self.loops: tuple[Loop, ...] = ()

    def recover(self) -> None:
        """Take back what a killed process of this data folder had claimed."""
        self._worker.release(ended=True)

    def start(self) -> None:
        """Take back what a killed process left, and begin to work."""
        self.recover()
        vital = partial(self.every, vital=True)
        vital("upkeep", self.upkeep, IDLE_S)
        if "intake" in self._roles:
            vital("intake", self._decide)
        if "work" in self._roles:
            vital("leases", self._worker.keep_leases, LEASE_S / 3)
            if (queue := self._queue) is not None:
                vital("queue", lambda: queue.work(self._work, self._stopping, self._queue_works))
                vital("sweep", queue.sweep, SWEEP_S)
            else:
                for _ in range(self._workers):
                    vital("workers", self._work)
        if "watch" in self._roles and (watch := self._watch) is not None:
            self.every("watch", lambda: self._look_around(watch), watch.interval_s)
        business = self.deps.sources.business
        if "watch" in self._roles and not isinstance(business, UnconfiguredSource):
            self.every("business", lambda: self._hear(business.alerts(self.now())), EVERY_S)

    def every(
        self,
        name: str,
        work: Callable[[], None],
        rest_s: float = 0.0,
        first_s: float = 0.0,
        *,
        vital: bool = False,
    ) -> None:
        """Have a thread do something again and again until the engine stops; see `Loop`."""
        stopping, pause_s = self._stopping, self.longest_pause_s
        loop = Loop(name, work, stopping, pause_s, rest_s=rest_s, first_s=first_s, vital=vital)
        self.loops += (loop,)
        loop.start()

    def _queue_works(self) -> None:
        next(one for one in self.loops if one.name == "queue").works()

    def halt(self) -> None:
        """Begin no node and no step any more; what runs now goes on to its end."""
        self._stopping.set()
        self._worker.stop()
        self._arrived.set()
        self._wake()

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Stop between nodes, after `grace_s` anyway; what is unfinished is taken up at the next
        start. A step that still runs then is cut off, and a person will be asked whether it ran.
        """
        self.halt()
        deadline = time.monotonic() + grace_s
        late = [one for one in self.loops if not one.join(max(0.0, deadline - time.monotonic()))]
        if late:
            log.warning("%d threads did not end within %.0f s", len(late), grace_s)
        self._intake.remember()
        try:
            self._worker.release(ended=False)
        except StoreError as problem:
            log.warning("runs are not handed back, their leases end: %s", problem)
        self.store.leadership.close()

    @property
    def usage(self) -> Usage | None:
        """What asking the model came to; None without one."""
        return self.deps.model.usage if isinstance(self.deps.model, MeteredModel) else None

    @property
    def asked(self) -> Mapping[str, SourceTally]:
        """How the sources answered since the start, by name."""
        return self.deps.sources.patience.tallies

    @property
    def leading(self) -> bool:
        """Whether this process decides on alerts; of several on one database, one does."""
        with self._intake_lock:
            return self._intake.leads()

    @property
    def policy(self) -> Policy:
        """Who may decide."""
        return self.deps.policy

    @property
    def rota(self) -> OnCallRota | None:
        """Who is on call; None where nobody says."""
        return self.deps.rota

    def now(self) -> Timestamp:
        """The engine's time: the wall clock, or where a replay stands."""
        return self.deps.clock.now()

    def accept(self, alerts: Sequence[Alert], now: Timestamp) -> AcceptedAlerts:
        """Write alerts read at `now`; on disk on return. Deciding happens behind the door."""
        with self._road:
            alerts = self.store.redactor.models(alerts)
            known = self._intake.recognised(alerts)
            read = arrived(known, now, self._skew_s, self._resolve_timeouts)
            accepted = self.store.alerts.accept(read, now)
            self._intake.renew(alerts)
        self.counters.heard(alerts, now)
        self.counters.add(
            alerts_accepted=len(accepted.new) + len(accepted.resolved),
            alerts_repeated=accepted.repeated,
        )
        self._arrived.set()
        return accepted

    @property
    def announced(self) -> MaintenanceSchedule:
        """What mutes alerts: windows, inhibitions, silences of ours and of others."""
        return self.deps.announced

    def silence(self, silences: Sequence[Silence]) -> None:
        """What people asked another Alertmanager; it keeps them, so nothing is on our disk."""
        with self._intake_lock:
            self.deps.announced.silence(self.store.redactor.models(silences))
            self._intake.heed()

    def heed(self) -> None:
        """Go by the silences of the store from now on."""
        with self._intake_lock:
            self.deps.announced.keep(self.store.silences.standing(self.now()))
            self._intake.heed()

    def decide(self, approval: Approval) -> ApprovalRequest:
        """Record a person's answer and let its run go on; raises `RefusedError` with the reason."""
        request = decide(self.deps, approval, self.terms, self.deps.clock.now())
        state = self._worker.state(request.run_id) if request.status == "pending" else {}
        if "ranking" in state:
            publish(self.deps, state, request.plan)
        self.counters.add(approvals_decided=1)
        self._wake()
        return request

    def terms(self, plan: Plan) -> PlanTerms:
        """Whether a yes to the plan touches anything, and how many people have to agree."""
        return terms_in(self.deps, plan)

    def edit(self, wanted: Edit) -> ApprovalRequest:
        """Put another plan in place of one that waits; raises `RefusedError` with the reason."""
        request = edit(self.deps, wanted, self.deps.clock.now())
        self._wake()
        return request

    def settle(self, answer: StepAnswer) -> Incident:
        """Take a person's word on a step whose end nobody saw; raises `RefusedError`."""
        incident = settle(self.deps, answer, self.deps.clock.now())
        self._wake()
        return incident

    def retry(self, wish: RetryWish) -> Incident:
        """Work again on an incident that was set aside; raises `RefusedError`."""
        incident = retry(self.deps, wish, self.deps.clock.now())
        self._wake()
        return incident

    def merge(self, wish: MergeWish) -> Incident:
        """Close an incident into another one; raises `PolicyRefusedError`."""
        return self._regroup(lambda now: merge(self.deps, wish, now))

    def split(self, wish: SplitWish) -> Incident:
        """Open an incident with some alerts of another one; raises `PolicyRefusedError`."""
        new_id = self._new_id()
        made = self._regroup(lambda now: split(self.deps, wish, new_id, now))
        self._looks.grown((wish.incident_id,))
        return made

    def _regroup(self, change: Callable[[Timestamp], Incident]) -> Incident:
        with self._intake_lock:  # no batch is decided on by the groups of before
            incident = change(self.deps.clock.now())
            self._intake.regroup()
        self._looks.grown((incident.id,))
        self._wake()
        return incident

    def drain(self) -> None:
        """Decide and work in this thread until only people or new alerts could change anything.

        What is due soon is waited for, by the engine's time.
        """
        self.group()
        while (run := self._worker.claim() or self._next_due()) is not None:
            self._advance(run)
            self.group()

    def _next_due(self) -> Run | None:
        due = self.store.runs.next_due()
        wait = PATIENCE_S if due is None else due - self._wall.now()
        if due is None or wait >= PATIENCE_S:
            return None
        self._wall.sleep(max(0.0, wait))
        return self._worker.claim(at=due)

    def upkeep(self) -> None:
        """What time brings: incidents that grew are looked at again, leases and plans expire."""
        if self._looks.take():
            self._wake()
        self.deps.sources.forget()
        self.store.database.settle()
        if expire(self.deps, self.deps.clock.now()):
            self._wake()
        if "intake" in self._roles:  # a worker that began first must not lead what it never does
            with self._intake_lock:
                self._intake.expire()

    def settled(self, timeout_s: float) -> bool:
        """Wait until started threads have nothing left to do; False where time ran out."""
        deadline = self._wall.now() + timeout_s
        while self._wall.now() < deadline:
            waiting = self.store.alerts.unassigned(limit=1)
            if not waiting and not self.store.runs.unfinished():
                return True
            self._wall.sleep(0.05)
        return False

    def ready(self) -> dict[str, str]:
        """What a readiness probe asks: each check with `ok` or what is wrong."""
        self.store.ping()
        return {"store": "ok", "workers": problem_of(self.loops) or "ok"}

    def _decide(self) -> None:
        if self._arrived.wait(IDLE_S):
            self._stopping.wait(GATHER_S)
        self._arrived.clear()
        self._road.give_way(DECIDED_WITHIN_S)
        again = True  # what fails still has to be decided: after the loop's pause, and no later
        try:
            again = self._decide_once() > 0
        finally:
            if again:
                self._arrived.set()

    def _work(self, only: str = "") -> None:
        self._road.give_way(WORKED_WITHIN_S)
        run = self._worker.claim(only=only)
        if run is not None:
            self._advance(run)
        elif not only:
            with self._queued:
                self._queued.wait(IDLE_S)

    def _hear(self, alerts: Sequence[Alert]) -> None:
        if alerts:
            self.accept(alerts, self.now())

    def _look_around(self, watch: Watch | WatchShards) -> None:
        self._hear(watch.look(self.now()))
        # A live system tells its graph bit by bit, and after we started.
        graph = self.deps.sources.topology()
        if graph.edges:
            with self._intake_lock:
                self._intake.learn(graph)

    def _advance(self, run: Run) -> None:
        outcome = self._worker.advance(run)
        done, failed = int(outcome == "done"), int(outcome == "failed")
        self.counters.add(runs_finished=done, runs_failed=failed)
        incident = self.store.incidents.get(run.incident_id)
        if incident is not None and incident.status in CLOSED:
            with self._intake_lock:
                self._intake.close(run.incident_id)
        elif incident is not None and outcome == "done" and incident.ranking.abstained:
            self._looks.undecided(run.incident_id)

    def group(self) -> None:
        """Decide on every accepted alert, in this thread."""
        while self._decide_once():
            pass

    def _decide_once(self) -> int:
        """Decide on one batch; returns how many alerts it was."""
        with self._intake_lock:
            changed = self._intake.decide()
        self.counters.add(incidents_opened=len(changed.opened))
        self._looks.grown(changed.grown)
        if changed.decided:
            self._wake()
        return changed.decided

    def _wake(self) -> None:
        with self._queued:
            self._queued.notify_all()
