"""Live through one case: alerts as they fire, the engine, and people who approve what is shown.

The people know nothing of the truth. A plan that still stands when they have read it is approved,
by two of them where its class asks for two; one that was withdrawn meanwhile is not.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from copilot import settings, wiring
from copilot.case.engine import Engine
from copilot.case.guards import ObjectionError
from copilot.sources.deployment import Sources
from copilot.types.incident import Incident
from evals.recovery.answering import AnsweringModel, answering
from evals.recovery.cases import RecoveryCase
from evals.report import EvalArm
from evals.simulator import SimulatedRunner, SimulatedSource, World
from tools.playbook_executor import step_key
from tools.types import (
    Alert,
    Approval,
    Plan,
    PlanStep,
    PlaybookOutcome,
    StepResult,
    Timestamp,
    Window,
)

TICK_S = 30.0
"""How often alerts are delivered and the people look."""

READ_S = 30.0
"""A person reads a plan for this long before approving it."""

GIVEN_UP_S = 900.0
"""What has not recovered this long after its onset counts as not recovered."""

FALSE_ALARM_S = 60.0
PEOPLE = ("anna", "bob")


@dataclass(frozen=True, slots=True)
class ExecutedPlan:
    """A plan that touched the system, and what the copilot made of it."""

    plan: Plan
    verdict: str
    rolled_back: bool
    judged_at: Timestamp


@dataclass(frozen=True, slots=True)
class RecoveryEpisode:
    """How a case ended."""

    case: RecoveryCase
    incidents: tuple[Incident, ...]
    ranked: tuple[str, ...]  # the located cause when people first approved, else at the end
    approved: tuple[Plan, ...]
    executed: tuple[ExecutedPlan, ...]
    outcomes: tuple[PlaybookOutcome, ...]  # of this case and of all before it


class WorldRunner:
    """Carries out steps on the world and remembers which; clumsy ones set every amount to one."""

    def __init__(self, world: World, *, clumsy: bool) -> None:
        self._runner = SimulatedRunner(world)
        self._clumsy = clumsy
        self.done: list[str] = []

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Do the step, or its opposite; a roll-back is always done as written."""
        rollback = key.rpartition(":")[2].startswith("r")
        wanted = step if rollback or not self._clumsy else _botched(step)
        result = self._runner.run(wanted, key)
        if result.ok:
            self.done.append(key)
        return result

    def touches(self, step: PlanStep) -> bool:
        """The simulated world is what there is."""
        return True


def _botched(step: PlanStep) -> PlanStep:
    amounts: dict[str, JsonValue] = {
        name: 1
        for name, value in step.arguments.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return step.model_copy(update={"arguments": {**step.arguments, **amounts}})


@dataclass(slots=True)
class _Desk:
    """The people, and what they have approved."""

    engine: Engine
    approved: list[Plan] = field(default_factory=list)
    ranked: tuple[str, ...] = ()

    def look(self) -> None:
        """Approve every plan that has been read and that no guard objects to."""
        now = self.engine.now()
        for request in self.engine.store.approvals.pending():
            plan = request.plan
            if now - plan.created_at < READ_S or now > plan.expires_at:
                continue
            if not self.approved:
                self.ranked = located(self.engine.store.incidents.require(plan.incident_id))
            try:
                for person in PEOPLE[: self.engine.deps.policy.needed[plan.risk]]:
                    self.engine.decide(_yes(plan, person, now))
            except ObjectionError:
                continue  # A guard objects for now (a cool-down): the plan is read again later.
            self.approved.append(plan)


def _yes(plan: Plan, person: str, now: Timestamp) -> Approval:
    return Approval(
        plan_id=plan.id, digest=plan.digest, decision="approve", approver=person, decided_at=now
    )


def located(incident: Incident) -> tuple[str, ...]:
    """The component the copilot holds for the cause; nothing where it abstains."""
    if incident.ranking.abstained:
        return ()
    return tuple(candidate.component for candidate in incident.ranking.candidates[:1])


def live(
    case: RecoveryCase,
    arm: EvalArm,
    past: Sequence[PlaybookOutcome] = (),
    who: AnsweringModel | None = None,
) -> RecoveryEpisode:
    """Play the case from its quiet past to its end; `past` is what earlier cases taught."""
    world = World(case.script)
    source = SimulatedSource(world)
    hands = WorldRunner(world, clumsy=case.sort == "mishandled")
    with _engine(source, hands, arm, who) as engine:
        for number, outcome in enumerate(past):
            engine.store.outcomes.record(f"past-{number}", outcome)
        desk = _Desk(engine)
        source.sleep(case.begins - source.now())
        while source.now() < case.begins + GIVEN_UP_S and not _over(engine):
            source.sleep(TICK_S)
            engine.accept(_alerts(case, source), engine.now())
            engine.drain()
            engine.upkeep()
            engine.drain()
            desk.look()
            engine.drain()
        return _lived(case, desk, hands)


@contextmanager
def _engine(
    source: SimulatedSource, hands: WorldRunner, arm: EvalArm, who: AnsweringModel | None
) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as home, answering(who) as model:
        loaded = settings.load(data_dir=Path(home), arm=arm, refresh_s=0.0, **model)
        sources = Sources(source, source, source, source, source, source)
        with wiring.engine(
            loaded, "recovery suite", sources=sources, clock=source, runner=hands
        ) as engine:
            yield engine


def _over(engine: Engine) -> bool:
    """Recovered, every incident of it: nobody looks any longer."""
    found = engine.store.incidents.list()
    return bool(found) and all(one.status == "recovered" for one in found)


def _alerts(case: RecoveryCase, source: SimulatedSource) -> list[Alert]:
    """What fires by now; on a day without a fault also one alert about nothing."""
    fired = list(source.alerts(Window(start=case.script.start, end=source.now())))
    if case.kind is None and source.now() >= case.begins + FALSE_ALARM_S:
        fired.append(_false_alarm(case))
    return fired


def _false_alarm(case: RecoveryCase) -> Alert:
    names = World(case.script).topology().nodes
    drawn = np.random.default_rng((case.script.seed, 7))
    return Alert(
        fingerprint=f"false-{case.script.seed}",
        name="HighLatencyP99",
        service=names[int(drawn.integers(len(names)))],
        severity="warning",
        starts_at=case.begins + FALSE_ALARM_S,
    )


def _lived(case: RecoveryCase, desk: _Desk, hands: WorldRunner) -> RecoveryEpisode:
    store = desk.engine.store
    incidents = tuple(store.incidents.list())
    ranked = desk.ranked or tuple(name for one in incidents for name in located(one))[:1]
    # The first verdict on a plan: what comes after it is about its way back.
    events = [
        one
        for one in store.journal.events(limit=10_000)
        if one.kind == "verified" and one.detail.get("outcome") != "recovering"
    ]
    executed = []
    for plan in desk.approved:
        done = {key for key in hands.done if plan.digest in key}
        back = {step_key(plan, step.index, rollback=True) for step in plan.rollback}
        judged = [one for one in events if one.detail.get("plan") == plan.id]
        if done:
            executed.append(
                ExecutedPlan(
                    plan=plan,
                    verdict=str(judged[0].detail["outcome"]) if judged else "unknown",
                    rolled_back=bool(back) and back <= done,
                    judged_at=judged[0].at if judged else desk.engine.now(),
                )
            )
    return RecoveryEpisode(
        case=case,
        incidents=incidents,
        ranked=ranked,
        approved=tuple(desk.approved),
        executed=tuple(executed),
        outcomes=store.outcomes.all(),
    )
