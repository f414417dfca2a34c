"""A plan in dry run against the read side of its targets: what would be refused tonight."""

from collections.abc import Iterator, Mapping
from typing import Literal

from copilot.hands.action import ActionRunner
from copilot.hands.report import Rehearsal
from copilot.ports import Runner
from tools.playbook_executor import PlaybookSubject
from tools.playbook_executor.subject import broken
from tools.types import Fact, FrozenModel, Plan, PlanStep, Playbook

RehearsedPart = Literal["playbook", "precondition", "step", "roll_back"]


class RehearsedLine(FrozenModel):
    """One thing that was tried: what was seen there, and why it would be refused."""

    part: RehearsedPart
    title: str
    title_zh: str = ""
    action: str = ""
    seen: str = ""
    refused: str = ""


class PlanRehearsal(FrozenModel):
    """What a plan would meet now."""

    playbook: str
    component: str
    lines: tuple[RehearsedLine, ...]

    @property
    def refused(self) -> tuple[RehearsedLine, ...]:
        """The lines that would be refused."""
        return tuple(line for line in self.lines if line.refused)


def impossible(playbook: str, component: str, why: str) -> PlanRehearsal:
    """A playbook of which no plan can be made here."""
    line = RehearsedLine(part="playbook", title=playbook, refused=why)
    return PlanRehearsal(playbook=playbook, component=component, lines=(line,))


def rehearsed(
    plan: Plan, playbook: Playbook, runner: Runner, facts: Mapping[str, Fact], lacking: str = ""
) -> PlanRehearsal:
    """Read what each step and roll-back step would meet; nothing is changed.

    `lacking` is why nothing here runs the playbook to its end. A later step is read in the world as
    it is now, not as the earlier ones would leave it.
    """
    return PlanRehearsal(
        playbook=playbook.id,
        component=plan.component,
        lines=tuple(_lines(plan, runner, facts, lacking)),
    )


def _lines(
    plan: Plan, runner: Runner, facts: Mapping[str, Fact], lacking: str
) -> Iterator[RehearsedLine]:
    if lacking:
        yield RehearsedLine(part="playbook", title=plan.playbook_id, refused=lacking)
    known = PlaybookSubject.of(plan.component, facts).facts
    for condition in plan.preconditions:
        title = f"{condition.fact} {condition.comparison} {condition.value}"
        seen = str(known.get(condition.fact, ""))
        problem = broken(condition, known)
        yield RehearsedLine(part="precondition", title=title, seen=seen, refused=problem)
    parts: tuple[tuple[RehearsedPart, tuple[PlanStep, ...]], ...] = (
        ("step", plan.steps),
        ("roll_back", plan.rollback),
    )
    for part, steps in parts:
        for step in steps:
            found = _rehearsal(runner, step)
            yield RehearsedLine(
                part=part,
                title=step.title,
                title_zh=step.title_zh,
                action=step.action,
                seen=found.seen,
                refused=found.refused,
            )


def _rehearsal(runner: Runner, step: PlanStep) -> Rehearsal:
    if isinstance(runner, ActionRunner):
        return runner.rehearse(step)
    return Rehearsal("dry run: no runners file, so nothing is read either")
