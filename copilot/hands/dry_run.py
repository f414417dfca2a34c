"""A runner that changes nothing and says what would be run."""

import json

from copilot.hands.report import StepFailedError, reported
from copilot.ports import Clock
from tools.playbook_executor import ArgumentsError, arguments
from tools.types import PlanStep, StepResult


class DryRunRunner:
    """Prints the step, with every value filled in, instead of running it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Describe the step; one that is not in the vocabulary would fail, and fails here too."""

        def describe() -> str:
            try:
                arguments(step)
            except ArgumentsError as error:
                raise StepFailedError(str(error)) from error
            filled = json.dumps(step.arguments, sort_keys=True, ensure_ascii=False)
            return f"would run {step.action}: {filled}"

        return reported(self._clock, key, describe, dry_run=True)
