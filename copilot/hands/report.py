"""How every runner reads its arguments, and reports: timed, in output that is safe to show."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from copilot.ports import Clock
from tools.log_retriever import redact, sanitize
from tools.playbook_executor import ArgumentsError, arguments
from tools.types import FrozenModel, PlanStep, StepResult

LINES = 60
CHARACTERS = 4000
TRIES = 5
"""Looks at one object and changes of it, as client-go's `retry.DefaultRetry` has them."""


class Rehearsal(NamedTuple):
    """What a step met when it only read: what it saw, and why it would be refused, or nothing."""

    seen: str
    refused: str = ""


class StepFailedError(Exception):
    """The step did not do what it should; `output` is what was seen until then."""

    def __init__(self, problem: str, output: str = "") -> None:
        super().__init__(problem)
        self.output = output


def shown(text: str) -> str:
    """Make foreign text fit to show: without secrets and control characters, at most 60 lines.

    >>> shown("ok\\x1b[2J\\npassword=hunter2")
    'ok\\npassword=<SECRET_1>'
    """
    lines = text[: 4 * CHARACTERS].splitlines()
    kept = [sanitize(redact(line)) for line in lines[:LINES]]
    joined = "\n".join(kept)
    cut = len(text) > 4 * CHARACTERS or len(lines) > LINES or len(joined) > CHARACTERS
    return f"{joined[:CHARACTERS]}\n… cut" if cut else joined


def reported(clock: Clock, key: str, act: Callable[[], str], dry_run: bool = False) -> StepResult:
    """Call `act` and return a timed result; a `StepFailedError` becomes one that is not ok."""
    started = clock.now()
    output, error = "", ""
    try:
        output = act()
    except StepFailedError as failure:
        output, error = failure.output, shown(str(failure)) or "failed"
    return StepResult(
        key=key,
        ok=not error,
        dry_run=dry_run,
        output=shown(output),
        error=error,
        started_at=started,
        ended_at=max(started, clock.now()),
    )


ArgumentsT = TypeVar("ArgumentsT", bound=FrozenModel)


def of_type(step: PlanStep, shape: type[ArgumentsT]) -> ArgumentsT:
    """The arguments, validated again before anything is touched; `StepFailedError` if unfit."""
    try:
        found = arguments(step)
    except ArgumentsError as error:
        raise StepFailedError(str(error)) from error
    if not isinstance(found, shape):
        raise StepFailedError(f"a {step.action!r} step is not for the runner of {shape.__name__}")
    return found
