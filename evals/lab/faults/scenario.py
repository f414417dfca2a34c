"""Scenario: one thing that happens to the shop, by which acts, and what a right answer would be."""

from dataclasses import dataclass, field
from typing import Literal

from evals.lab.blueprint import FlagValue
from tools.types import FaultKind


@dataclass(frozen=True, slots=True)
class Act:
    """One act, `after_s` from the onset: of a saboteur, of a person at work, or of monitoring."""

    by: Literal["saboteur", "person", "monitoring"]
    verb: str
    service: str = "shop"
    body: dict[str, FlagValue] = field(default_factory=dict)
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LabScenario:
    """What happens, and for scorers only: who is the cause, of which kind, and what mends it.

    `components` are all that may rightly be called the cause, `kinds` what it may be called, the
    best answer first. A scenario
    without a kind needs no action: any step that changes something would be a mistake.
    """

    name: str
    acts: tuple[Act, ...]
    components: tuple[str, ...] = ()
    kinds: tuple[FaultKind, ...] = ()
    cures: frozenset[str] = frozenset()
    lasts_s: float = 0.0  # of a no-action scenario: how long it is watched

    @property
    def needs_action(self) -> bool:
        """Whether there is something to mend."""
        return bool(self.kinds)


def condition(
    service: str, name: str, value: float, *, after_s: float = 0.0, **bound: FlagValue
) -> Act:
    """A condition of a service sets in; `life="process"` or `version=...` bind it."""
    body: dict[str, FlagValue] = {"name": name, "value": value, **bound}
    return Act("saboteur", "condition", service, body, after_s)


def relieved(service: str, name: str, after_s: float) -> Act:
    """A condition ends by itself."""
    return Act("saboteur", "condition/end", service, {"name": name}, after_s)


def sabotage(service: str, verb: str, *, after_s: float = 0.0, **body: FlagValue) -> Act:
    """Another act of the saboteur's."""
    return Act("saboteur", verb, service, body, after_s)


def done_by_person(service: str, verb: str, *, after_s: float = 0.0, **body: FlagValue) -> Act:
    """A change that somebody makes in good faith."""
    return Act("person", verb, service, body, after_s)
