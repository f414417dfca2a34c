"""Runners that reach nothing outside this process: wait, check, ask a person, and the dry run."""

import json
from collections.abc import Callable

import numpy as np

from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock, MetricSource, SourceError
from tools.playbook_executor import ArgumentsError, arguments
from tools.playbook_executor.vocabulary import CheckArguments, ManualArguments, WaitArguments
from tools.types import PlanStep, StepResult, Window


class WaitRunner:
    """Runs `wait` steps: whoever carries the plan out has let the time pass; see `act`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Say that the step's seconds are over."""
        return reported(
            self._clock, key, lambda: f"waited {of_type(step, WaitArguments).seconds:g} s"
        )

    def touches(self, step: PlanStep) -> bool:
        """The time really passes."""
        return True


class CheckRunner:
    """Runs `check` steps: compares the latest value of a series with a bound."""

    def __init__(self, metrics: MetricSource, clock: Clock, lookback_s: float = 120.0) -> None:
        self._metrics = metrics
        self._clock = clock
        self._lookback_s = lookback_s

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Pass if the comparison holds; a series without a recent point does not pass."""
        return reported(self._clock, key, lambda: self._check(of_type(step, CheckArguments)))

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Read the value; whether the comparison holds is for the night of the incident."""
        check, now = of_type(step, CheckArguments), self._clock.now()
        value = self._latest(check, Window(start=now - self._lookback_s, end=now))
        return Rehearsal(f"{check.owner}|{check.metric} is {value:g}")

    def touches(self, step: PlanStep) -> bool:
        """The series is really read."""
        return True

    def _check(self, check: CheckArguments) -> str:
        now = self._clock.now()
        value = self._latest(check, Window(start=now - self._lookback_s, end=now))
        holds = value < check.value if check.comparison == "<" else value > check.value
        said = (
            f"{check.owner}|{check.metric} is {value:g}; wanted {check.comparison} {check.value:g}"
        )
        if not holds:
            raise StepFailedError(said)
        return said

    def _latest(self, check: CheckArguments, window: Window) -> float:
        try:
            found = self._metrics.series(window)
        except SourceError as error:
            raise StepFailedError(str(error)) from error
        for series in found:
            if (series.owner, series.metric) != (check.owner, check.metric):
                continue
            finite = series.values[np.isfinite(series.values)]
            if finite.size:
                return float(finite[-1])
        raise StepFailedError(f"no recent point of {check.owner}|{check.metric}")


ConfirmationPrompt = Callable[[str, str], str]
"""(instruction, key) -> who confirmed that it was done; empty if nobody did."""


def nobody_confirms(_instruction: str, _key: str) -> str:
    """Confirm nothing: the prompt where no person can be asked."""
    return ""


class ManualRunner:
    """Runs `manual` steps: shows the instruction to a person and waits for a name."""

    def __init__(self, confirm: ConfirmationPrompt, clock: Clock) -> None:
        self._confirm = confirm
        self._clock = clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Put the instruction to a person; no answer is a no."""

        def ask() -> str:
            instruction = of_type(step, ManualArguments).instruction
            who = self._confirm(instruction, key)
            if not who:
                raise StepFailedError(f"nobody confirmed: {instruction}")
            return f"{who} confirmed: {instruction}"

        return reported(self._clock, key, ask)

    def touches(self, step: PlanStep) -> bool:
        """A person really does it."""
        return True


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

    def touches(self, step: PlanStep) -> bool:
        """Never: a step is only shown."""
        return False
