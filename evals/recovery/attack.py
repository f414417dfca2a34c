"""What an attack is, and what it means that it was refused."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from copilot.store import PolicyRefusedError as NotAllowedError
from tools.playbook_executor import ParameterError
from tools.playbook_executor import StepRefusedError as PolicyError
from tools.types import PlanStep, StepResult

NOW = 1_772_546_400.0


class Recorder:
    """A runner that does nothing and remembers what got through to it."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Remember the key."""
        self.ran.append(key)
        return StepResult(key=key, ok=True, started_at=NOW, ended_at=NOW)


@dataclass(frozen=True, slots=True)
class Attack:
    """Something that must end in this refusal before the runner sees a step."""

    name: str
    act: Callable[[Recorder], object]
    refusal: type[Exception]


def withstood(attack: Attack) -> str:
    """Empty where the attack was refused as it should be; else what happened instead."""
    runner = Recorder()
    try:
        attack.act(runner)
    except attack.refusal:
        return f"a step was run first: {runner.ran[0]}" if runner.ran else ""
    except (ParameterError, PolicyError, NotAllowedError) as error:
        return f"{type(error).__name__} instead of {attack.refusal.__name__}: {error}"
    return f"not refused by {attack.refusal.__name__}"


def failures(attacks: Iterable[Attack]) -> dict[str, str]:
    """The attacks that were not withstood, by name, and what happened."""
    found = {attack.name: withstood(attack) for attack in attacks}
    return {name: problem for name, problem in found.items() if problem}
