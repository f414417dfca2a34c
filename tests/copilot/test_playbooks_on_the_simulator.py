"""From a located cause to a verified recovery, with every fault the simulator knows."""

import pytest

from evals.simulator import (
    RIGHT_PLAYBOOK,
    SimulatedFault,
    SimulatedRunner,
    SimulatedSource,
    World,
    scenario,
)
from knowledge_base import playbooks
from tools.detector import detect
from tools.playbook_executor import choose, fill, known, run_step, verify
from tools.types import (
    Anomaly,
    Approval,
    Candidate,
    Choice,
    FaultKind,
    Judgement,
    Plan,
    Ranking,
    StepResult,
    Window,
)

BY_ID = {playbook.id: playbook for playbook in playbooks()}
APPROVERS = ("ann", "bo")


class Incident:
    """A world two minutes into a fault, the playbooks, and two people who approve everything."""

    def __init__(self, kind: SimulatedFault) -> None:
        script = scenario(kind, seed=4)
        (self.fault,) = script.faults
        self.start, self.onset = script.start, self.fault.onset
        self.world = World(script)
        self.world.advance(self.onset + 120.0)
        self.source, self.runner = SimulatedSource(self.world), SimulatedRunner(self.world)
        self.baseline = self.source.baseline(self.onset)

    def choose(self, kind: FaultKind) -> Choice:
        first = Candidate(component=self.fault.target, score=1.0, fault_kind=kind)
        before = self.source.changes(Window(start=self.start, end=self.onset))
        facts = known(self.world.topology(), before, self.baseline, self.onset)
        self.facts = {**facts, **self.source.facts()}
        return choose(
            tuple(BY_ID.values()), Ranking(certainty="likely", candidates=(first,)), self.facts
        )

    def plan(self, choice: Choice) -> Plan:
        playbook = BY_ID[choice.playbook_id]
        now = self.world.now
        return fill(playbook, choice.parameters, "inc-1", choice.component, (), now, 900.0)

    def act(self, plan: Plan) -> list[StepResult]:
        approvals = [
            Approval(
                plan_id=plan.id,
                digest=plan.digest,
                decision="approve",
                approver=person,
                decided_at=self.world.now,
            )
            for person in APPROVERS
        ]
        results: list[StepResult] = []
        for index in range(len(plan.steps)):
            result = run_step(
                plan,
                index,
                approvals,
                self.runner,
                self.world.now,
                facts=self.facts,
                results=results,
            )
            results.append(result)
        return results

    def anomalies(self) -> list[Anomaly]:
        normal = {series.name: series for series in self.baseline}
        shown = self.source.series(Window(start=self.start, end=self.world.now))
        found = [a for s in shown for a in detect(s, baseline=normal.get(s.name))]
        return [one for one in found if one.end is None or one.end >= self.onset]

    def verify(self, plan: Plan, anomalies: list[Anomaly], since: float) -> Judgement:
        now = self.world.now
        shown = self.source.series(Window(start=self.start, end=now))
        return verify(
            anomalies,
            self.baseline,
            shown,
            plan.verification,
            component=plan.component,
            since=since,
            now=now,
        )


@pytest.mark.parametrize("kind", RIGHT_PLAYBOOK)
def test_only_the_right_playbook_run_is_a_recovery(kind: SimulatedFault) -> None:
    incident = Incident(kind)
    choice, anomalies, idle = incident.choose(kind), incident.anomalies(), incident.world.now
    assert choice.playbook_id == RIGHT_PLAYBOOK[kind]
    plan = incident.plan(choice)

    incident.world.advance(idle + 90.0)
    assert incident.verify(plan, anomalies, idle).outcome in ("unchanged", "worse")

    acted = incident.world.now
    assert all(result.ok for result in incident.act(plan))
    incident.world.advance(acted + 240.0)
    assert incident.verify(plan, anomalies, acted).outcome == "recovered"
