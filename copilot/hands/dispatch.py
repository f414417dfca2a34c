"""One runner for a whole plan: each action goes to the runner that is configured for it."""

from collections.abc import Mapping

from copilot.hands.report import StepFailedError, reported
from copilot.ports import Clock, Runner
from tools.types import PlanStep, StepAction, StepResult


class ActionRunner:
    """Hands a step to its action's runner; an action without one fails and says so."""

    def __init__(self, runners: Mapping[StepAction, Runner], clock: Clock) -> None:
        self._runners = dict(runners)
        self._clock = clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Run the step where it belongs."""
        runner = self._runners.get(step.action)
        if runner is not None:
            return runner.run(step, key)

        def refuse() -> str:
            configured = ", ".join(sorted(self._runners)) or "none"
            raise StepFailedError(f"no runner for {step.action!r}; configured: {configured}")

        return reported(self._clock, key, refuse)
