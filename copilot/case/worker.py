"""Takes one run at a time through the graph, as far as it goes without a person.

What goes wrong is of three kinds. The store did not answer: the run is not to blame, and is put
back once the store answers again. A node broke, or ended the process: the run is tried again later,
so many times at the same place, then it is set aside until a person lifts it. The run's time has
not come, or a person has to speak: it is laid down.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command, Interrupt, StateSnapshot

from copilot.case.graph import RECURSION_LIMIT, IncidentGraph
from copilot.case.state import IncidentState
from copilot.case.waiting import DueLaterError, PersonNeededError
from copilot.deps import Deps
from copilot.ports import Clock
from copilot.store import LeaseLostError, Run, StoreError
from copilot.types.incident import CLOSED
from tools.types import Timestamp

log = logging.getLogger(__name__)

LEASE_S = 60.0
"""A worker that is silent for this long is taken for dead and its run for free."""

GRACE_S = 25.0
"""How long a running step may take to end at shutdown; Kubernetes kills 30 s after its SIGTERM
(`terminationGracePeriodSeconds`)."""

DEATHS = 5
"""A run whose process ended this often, each time at the same place, is set aside."""

TRIES = 3
"""A run that broke this often at the same place is set aside."""

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.01, 600.0
"""A Unix time in a double is exact to 0.2 µs, so that a shorter wait might be none; and no node
waits longer than a step may take (`timeout_s`)."""

PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
"""Before the next try of a run that broke; doubled each time, up to the longest."""


RunInput = IncidentState | Command[Any]
RunOutcome = Literal["done", "waiting", "failed", "stopped"]


class MarkingSaver(SqliteSaver):
    """Keeps beside each checkpoint where the journal ended when it was made.

    On a file the two may get to the disk in any order (docs/decisions/store.md).
    """

    def __init__(
        self, connection: sqlite3.Connection, serde: SerializerProtocol, mark: Callable[[], str]
    ) -> None:
        super().__init__(connection, serde=serde)
        self._mark = mark

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint."""
        marked = cast(CheckpointMetadata, {**metadata, "journal": self._mark()})
        return super().put(config, checkpoint, marked, new_versions)

    @staticmethod
    def mark_of(snapshot: StateSnapshot) -> str:
        """Where the journal ended at that checkpoint; its beginning where nothing is known."""
        return str((snapshot.metadata or {}).get("journal", "0:"))


@dataclass(frozen=True, slots=True)
class PendingInterrupt:
    """The run stands at its interrupt and nobody has decided yet."""


class Worker:
    """Claims runs and advances them; safe to use from several threads."""

    def __init__(self, deps: Deps, graph: IncidentGraph, wall: Clock, owner: str) -> None:
        self._deps = deps
        self._store = deps.store
        self._graph = graph
        self._wall = wall
        self._owner = owner
        self._active: dict[str, RunControl] = {}
        self._unwritten: dict[str, Run] = {}
        self._stopping = False
        self._lock = threading.Lock()

    def release(self, *, ended: bool) -> None:
        """Hand back what this owner has; `ended`: its process was ended over it, not stopped."""
        now = self._wall.now()
        for run in self._store.runs.held(self._owner):
            later = pause_s(run.attempt - 1) if ended else 0.0
            attempt = run.attempt if ended else 0
            self._store.runs.postpone(run, now + later, now, attempt=attempt)

    def claim(self, at: Timestamp = 0.0, only: str = "") -> Run | None:
        """The next run that nobody works on, leased to this owner; also one that is due `at`.

        `only` names the one that is asked for.
        """
        self._give_back()
        now = max(self._wall.now(), at)
        return self._store.runs.claim(self._owner, now, LEASE_S, tuple(self._controls()), only)

    def _give_back(self) -> None:
        """Put back what could not be written when the store did not answer; it is not to blame."""
        # Each is taken by one thread: put back twice it would be taken from who has it by then.
        for run_id in list(self._unwritten):
            if (run := self._unwritten.pop(run_id, None)) is None:
                continue
            now = self._wall.now()
            try:
                self._store.runs.postpone(run, now, now, attempt=run.attempt - 1)
            except LeaseLostError:
                continue
            except StoreError:
                self._unwritten[run.id] = run
                raise

    def state(self, run_id: str) -> IncidentState:
        """What a run has concluded so far."""
        config: RunnableConfig = {"configurable": {"thread_id": run_id}}
        return cast(IncidentState, self._graph.get_state(config).values)

    def keep_leases(self) -> None:
        """Say that this process is alive; a run that another one has by now is stopped here."""
        self._give_back()
        for run_id, control in self._controls().items():
            try:
                self._store.runs.heartbeat(run_id, self._owner, self._wall.now(), LEASE_S)
            except LeaseLostError:
                control.request_drain("another worker has the run")

    def stop(self) -> None:
        """Ask every run of this process to stop before its next node."""
        self._stopping = True
        for control in self._controls().values():
            control.request_drain("shutdown")

    def advance(self, run: Run) -> RunOutcome:
        """Invoke the graph until the run ends, waits, breaks or is stopped.

        Raises what the store raised where it did not answer.
        """
        control = RunControl()
        with self._lock:
            self._active[run.id] = control
        if self._stopping:
            control.request_drain("shutdown")
        about: dict[str, str | int] = {
            "incident": run.incident_id,
            "run": run.id,
            "attempt": run.attempt,
        }
        try:
            with self._deps.span("run", **about):
                try:
                    return self._invoke(run, control)
                except GraphDrained:
                    self._store.runs.postpone(run, 0.0, self._wall.now())
        except LeaseLostError as stopped:
            log.info("run %s stopped: %s", run.id, stopped)
        # Whatever broke a node is the run's: it is logged, counted and tried again (`_broke`).
        except Exception as error:
            if _of_the_store(error):
                self._unwritten[run.id] = run
                raise
            return self._broke(run, error)
        finally:
            with self._lock:
                self._active.pop(run.id, None)
        return "stopped"

    def _controls(self) -> dict[str, RunControl]:
        with self._lock:
            return dict(self._active)

    def _invoke(self, run: Run, control: RunControl) -> RunOutcome:
        config: RunnableConfig = {"configurable": {"thread_id": run.id}}
        snapshot = self._graph.get_state(config)
        if run.attempt > 1:
            run = self._store.runs.stands(run, _place(snapshot))
            if run.attempt > DEATHS:
                node = ", ".join(snapshot.next) or "triage, gather, locate or brief"
                why = f"its process ended {DEATHS} times in {node}"
                return self._set_aside(run, why)
        if not self._store.journal.reaches(MarkingSaver.mark_of(snapshot)):
            # A power cut took from the incident what its nodes had found: they look again.
            self._forget(run)
            snapshot = self._graph.get_state(config)
        if foreign(snapshot.values):
            self._begin_anew(run)
            return "done"
        given = self._next_input(run, snapshot)
        try:
            if not isinstance(given, PendingInterrupt):
                self._go_on(run, given, control, snapshot)
        except DueLaterError as later:
            due = self._due(later.at)
            self._store.runs.postpone(run, due, self._wall.now(), behind=later.behind)
            return "waiting"
        except PersonNeededError as needed:
            log.info("run %s waits: %s", run.id, needed)
            self._store.runs.finish(run.id, "waiting", self._wall.now(), owner=self._owner)
            return "waiting"
        now, snapshot = self._wall.now(), self._graph.get_state(config)
        if not snapshot.next:
            self._store.runs.finish(run.id, "done", now, owner=self._owner)
            # What it concluded stands in the incident; its checkpoints were most of the disk.
            self._forget(run)
            return "done"
        self._store.runs.finish(run.id, "waiting", now, owner=self._owner)
        # A decision made between the interrupt and this line found no waiting run to resume.
        if not isinstance(self._next_input(run, snapshot), PendingInterrupt):
            self._store.runs.resume(run.id, now)
        return "waiting"

    def _go_on(
        self, run: Run, given: RunInput | None, control: RunControl, snapshot: StateSnapshot
    ) -> None:
        """Invoke the graph; raises `DueLaterError` after the brief while others have none yet."""
        config: RunnableConfig = {
            "configurable": {"thread_id": run.id},
            "recursion_limit": RECURSION_LIMIT,
            "max_concurrency": 1,  # nodes follow each other: one thread writes their checkpoints
        }
        if "diagnosis" not in snapshot.values and "diagnose" not in snapshot.next:
            # Up to the brief nodes only find what they find again: one checkpoint for all.
            self._graph.invoke(
                given, config, context=self._deps, durability="exit", control=control,
                interrupt_after=["brief"],
            )  # fmt: skip
            if self._store.runs.crowded(run.id):
                raise DueLaterError(self._deps.clock.now(), behind=True)
            given = None
        self._graph.invoke(given, config, context=self._deps, durability="sync", control=control)

    def _forget(self, run: Run) -> None:
        if isinstance(self._graph.checkpointer, BaseCheckpointSaver):
            self._graph.checkpointer.delete_thread(run.id)

    def _due(self, at: Timestamp) -> Timestamp:
        """When a run that waits for `at` of the engine's time is due by the wall clock.

        A world or a recording is moved on at once: it stands still while nobody sleeps on it.
        """
        clock = self._deps.clock
        wait = min(max(at - clock.now(), SHORTEST_WAIT_S), LONGEST_WAIT_S)
        if clock is self._wall:
            return self._wall.now() + wait
        clock.sleep(wait)
        return self._wall.now()

    def _next_input(self, run: Run, snapshot: StateSnapshot) -> RunInput | PendingInterrupt | None:
        """A fresh start, a recorded decision, None (go on from the checkpoint), an interrupt."""
        if not snapshot.values:
            return IncidentState(incident_id=run.incident_id, run_id=run.id)
        if not snapshot.interrupts:
            return None
        asked: Interrupt = snapshot.interrupts[0]
        request = self._store.approvals.get(asked.value["plan_id"])
        if request is None or request.status == "pending":
            return PendingInterrupt()
        given = [one.model_dump(mode="json") for one in request.given]
        return Command(resume={asked.id: given})

    def _begin_anew(self, run: Run) -> None:
        """Look at an incident anew whose run an earlier version left; raises after a first step.

        Whether a step that began has to be repeated is for a person to say.
        """
        now, store = self._deps.clock.now(), self._store
        asked = store.approvals.of(run.incident_id)
        if any(one.run_id == run.id and one.status == "consumed" for one in asked):
            raise RuntimeError("an earlier version of the copilot left this run after a step of it")
        with store.transaction():
            store.approvals.supersede(run.incident_id, now)
            store.runs.finish(run.id, "superseded", self._wall.now())
            if store.incidents.require(run.incident_id).status in CLOSED:
                return
            store.incidents.update(run.incident_id, now, status="investigating", plan=None)
            store.runs.accept(run.incident_id, now)
            reason = "an earlier version of the copilot left its run; looked at anew"
            store.journal.append(run.incident_id, "refreshed", "copilot", {"reason": reason}, now)

    def _broke(self, run: Run, error: Exception) -> RunOutcome:
        """Try the run again later, or set it aside where it broke too often at this place."""
        problem = f"{type(error).__name__}: {error}"
        config: RunnableConfig = {"configurable": {"thread_id": run.id}}
        run = self._store.runs.stands(run, _place(self._graph.get_state(config)))
        if run.attempt >= TRIES:
            log.exception("run %s is set aside", run.id)
            return self._set_aside(run, problem)
        log.warning("run %s broke and is tried again: %s", run.id, problem, exc_info=error)
        now = self._wall.now()
        due = now + pause_s(run.attempt)
        self._store.runs.postpone(run, due, now, attempt=run.attempt, error=problem)
        return "waiting"

    def _set_aside(self, run: Run, problem: str) -> RunOutcome:
        now = self._deps.clock.now()
        with self._store.transaction():
            incident = self._store.incidents.get(run.incident_id)
            if incident is not None and incident.status in CLOSED:
                # Merged or ended under its hands: there was nothing left to work on.
                self._store.runs.finish(run.id, "superseded", self._wall.now(), error=problem)
                return "failed"
            self._store.runs.finish(run.id, "failed", self._wall.now(), error=problem)
            self._store.incidents.update(run.incident_id, now, status="failed")
            lift = f"to try it again: copilot retry {run.incident_id}"
            detail = {"reason": f"{problem}; {lift}", "run": run.id}
            self._store.journal.append(run.incident_id, "failed", "copilot", {**detail}, now)
        return "failed"


def pause_s(times: int) -> float:
    """Seconds before the next try after `times` that failed; none before the first repetition."""
    return min(PAUSE_S * 2.0 ** (times - 1), LONGEST_PAUSE_S) if times > 0 else 0.0


def _place(snapshot: StateSnapshot) -> str:
    """Node and input: which node comes next, on which checkpoint."""
    found = snapshot.config.get("configurable", {}).get("checkpoint_id", "start")
    return f"{','.join(snapshot.next)}@{found}"


def _of_the_store(error: Exception) -> bool:
    """Whether the store or the checkpoints did not answer: the run is not to blame for it."""
    drivers = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, StoreError) or bool(drivers & {"sqlite3", "psycopg", "psycopg_pool"})


def foreign(values: Mapping[str, Any]) -> bool:
    """Whether a checkpoint holds what this version cannot read: types that moved come as dicts."""
    return any(isinstance(value, dict) for value in values.values())
