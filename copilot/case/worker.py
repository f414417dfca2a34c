"""Takes one run at a time through the graph, as far as it goes without a person."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command, Interrupt

from copilot.case.graph import RECURSION_LIMIT, IncidentGraph
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.ports import Clock
from copilot.store import LeaseLostError, Run
from copilot.types.incident import CLOSED

log = logging.getLogger(__name__)

LEASE_S = 60.0
"""A worker that is silent for this long is taken for dead and its run for free."""

ATTEMPTS = 5
"""A run that took its process down this often is not tried again; a person looks at it."""


RunOutcome = Literal["done", "waiting", "failed", "stopped"]


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
        self._lock = threading.Lock()

    def release(self) -> None:
        """Hand back what this owner had when its process ended."""
        self._store.runs.release_all(self._owner, self._wall.now())

    def claim(self, only: str = "") -> Run | None:
        """The next run that nobody works on, leased to this owner; `only` that one."""
        return self._store.runs.claim(self._owner, self._wall.now(), LEASE_S, only)

    def state(self, run_id: str) -> IncidentState:
        """What a run has concluded so far."""
        config: RunnableConfig = {"configurable": {"thread_id": run_id}}
        return cast(IncidentState, self._graph.get_state(config).values)

    def keep_leases(self) -> None:
        """Say that this process is alive; a run that another one has by now is stopped here."""
        for run_id, control in self._controls().items():
            try:
                self._store.runs.heartbeat(run_id, self._owner, self._wall.now(), LEASE_S)
            except LeaseLostError:
                control.request_drain("another worker has the run")

    def stop(self) -> None:
        """Ask every run of this process to stop before its next node."""
        for control in self._controls().values():
            control.request_drain("shutdown")

    def advance(self, run: Run) -> RunOutcome:
        """Invoke the graph until the run ends, waits for a person, breaks or is stopped."""
        control = RunControl()
        with self._lock:
            self._active[run.id] = control
        try:
            return self._invoke(run, control)
        except (GraphDrained, LeaseLostError) as stopped:
            log.info("run %s stopped: %s", run.id, stopped)
        except Exception as error:  # noqa: BLE001 - the boundary: a run may break, the service not
            self._fail(run, error)
            return "failed"
        finally:
            with self._lock:
                self._active.pop(run.id, None)
        return "stopped"

    def _controls(self) -> dict[str, RunControl]:
        with self._lock:
            return dict(self._active)

    def _invoke(self, run: Run, control: RunControl) -> RunOutcome:
        config: RunnableConfig = {
            "configurable": {"thread_id": run.id},
            "recursion_limit": RECURSION_LIMIT,
        }
        if run.attempt > ATTEMPTS:
            raise RuntimeError(f"run {run.id!r} ended its process {ATTEMPTS} times; given up")
        if foreign(self._graph.get_state(config).values):
            self._begin_anew(run)
            return "done"
        given = self._next_input(run, config)
        if not isinstance(given, PendingInterrupt):
            self._graph.invoke(
                given, config, context=self._deps, durability="sync", control=control
            )
        now = self._wall.now()
        if not self._graph.get_state(config).next:
            self._store.runs.finish(run.id, "done", now, owner=self._owner)
            return "done"
        self._store.runs.finish(run.id, "waiting", now, owner=self._owner)
        # A decision made between the interrupt and this line found no waiting run to resume.
        if not isinstance(self._next_input(run, config), PendingInterrupt):
            self._store.runs.resume(run.id, now)
        return "waiting"

    def _next_input(
        self, run: Run, config: RunnableConfig
    ) -> IncidentState | Command[Any] | PendingInterrupt | None:
        """A fresh start, a recorded decision, None (go on from the checkpoint), an interrupt."""
        snapshot = self._graph.get_state(config)
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

    def _fail(self, run: Run, error: Exception) -> None:
        log.exception("run %s failed", run.id)
        now, problem = self._deps.clock.now(), f"{type(error).__name__}: {error}"
        incident = self._store.incidents.get(run.incident_id)
        with self._store.transaction():
            if incident is not None and incident.status in CLOSED:
                # Merged or ended under its hands: there was nothing left to work on.
                self._store.runs.finish(run.id, "superseded", self._wall.now(), error=problem)
                return
            self._store.runs.finish(run.id, "failed", self._wall.now(), error=problem)
            self._store.incidents.update(run.incident_id, now, status="failed")
            self._store.journal.append(
                run.incident_id, "failed", "copilot", {"reason": problem, "run": run.id}, now
            )


def foreign(values: Mapping[str, Any]) -> bool:
    """Whether a checkpoint holds what this version cannot read: types that moved come as dicts."""
    return any(isinstance(value, dict) for value in values.values())
