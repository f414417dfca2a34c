"""A step's arguments as the type its runner works with."""

from typing import TypeVar

from copilot.hands.report import StepFailedError
from tools.playbook_executor import ArgumentsError, arguments
from tools.types import FrozenModel, PlanStep

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
