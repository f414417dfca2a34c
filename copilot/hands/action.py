"""Hand each step to the runner of its action, or rehearse it there."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from copilot.hands.declared import RunnersFile, meaning
from copilot.hands.report import Rehearsal, StepFailedError, reported, shown
from copilot.ports import Clock, Runner
from tools.types import PlanStep, StepAction, StepResult


@runtime_checkable
class RehearsingRunner(Protocol):
    """A runner that can read what a step would meet, and change nothing."""

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """What was seen and would be refused; `StepFailedError` where it is refused at once."""
        ...


class ActionRunner:
    """Hands a step to its action's runner; an action without one fails and says so.

    A step whose names meant something else when it was approved is not run.
    """

    def __init__(
        self,
        runners: Mapping[StepAction, Runner],
        clock: Clock,
        declared: RunnersFile | None = None,
    ) -> None:
        self._runners = dict(runners)
        self._clock = clock
        self._declared = declared

    def stands_for(self, step: PlanStep) -> str:
        """What its names mean now."""
        return meaning(self._declared, step)

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Run the step where it belongs."""
        runner, now = self._runners.get(step.action), self.stands_for(step)
        if runner is not None and now == step.stands_for:
            return runner.run(step, key)

        def refuse() -> str:
            if runner is not None:
                raise StepFailedError(
                    "its program or the runners file was changed since it was approved, so have it "
                    f"planned again; approved: {step.stands_for or 'nothing'}, now: {now}"
                )
            configured = ", ".join(sorted(self._runners)) or "none"
            raise StepFailedError(f"no runner for {step.action!r}; configured: {configured}")

        return reported(self._clock, key, refuse)

    def runner_of(self, step: PlanStep) -> Runner | None:
        """What runs steps of its action."""
        return self._runners.get(step.action)

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """What the step would meet now; where its runner can read nothing, that is said."""
        runner = self._runners.get(step.action)
        if runner is None:
            return Rehearsal("", f"the runners file turns no {step.action!r} steps on")
        if self.stands_for(step) != step.stands_for:
            return Rehearsal("", "its names mean something else than when it was planned")
        if not isinstance(runner, RehearsingRunner):
            return Rehearsal("nothing to read before it is run")
        try:
            return runner.rehearse(step)
        except StepFailedError as refusal:
            return Rehearsal("", shown(str(refusal)))

    def touches(self, step: PlanStep) -> bool:
        """Whether there is a runner for it, and that one acts."""
        runner = self._runners.get(step.action)
        return runner is not None and runner.touches(step)
