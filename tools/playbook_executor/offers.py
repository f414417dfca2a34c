"""Which playbooks may be run on the located component, with which parameters, or why not."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from tools.playbook_executor.parameters import checked
from tools.playbook_executor.subject import PlaybookSubject, broken
from tools.types import (
    Applicability,
    Candidate,
    Fact,
    FaultKind,
    Parameter,
    Playbook,
    PlaybookEffect,
    PlaybookOutcome,
    Scalar,
    Timestamp,
)

_RISK_ORDER = {"A": 0, "B": 1, "C": 2}


@dataclass(frozen=True)
class Offer:
    """A playbook for the fault, its parameters, and what keeps it from being run.

    `barred` is a reason that holds whatever is known; `underived` are the parameters whose value no
    fact gives, each with what is lacking.
    """

    playbook: Playbook
    preference: int
    parameters: dict[str, JsonValue]
    barred: str = ""
    underived: Mapping[str, str] = field(default_factory=dict)
    effect: PlaybookEffect = "mends"

    @property
    def obstacle(self) -> str:
        """Why it may not be run; empty if it may."""
        return self.barred or next(iter(self.underived.values()), "")

    @property
    def order(self) -> tuple[int, int, str]:
        """Preferred first, then the lower risk; the id only makes the order total."""
        return (-self.preference, _RISK_ORDER[self.playbook.risk], self.playbook.id)


def offers_for(
    playbooks: Sequence[Playbook], candidate: Candidate, facts: Mapping[str, Fact]
) -> list[Offer]:
    """The playbooks meant for a located cause; none where its kind is not known."""
    if candidate.fault_kind is None:
        return []
    return offers(playbooks, candidate.fault_kind, PlaybookSubject.of(candidate.component, facts))


def offers(
    playbooks: Sequence[Playbook],
    kind: FaultKind,
    subject: PlaybookSubject,
    tried: Collection[str] = (),
) -> list[Offer]:
    """The playbooks meant for this case, or tried in such cases, in the rules' order."""
    found = []
    for playbook in playbooks:
        case = _best_case(playbook, kind, subject)
        if case is not None:
            found.append(_offer(playbook, case.preference, subject, case.effect))
        elif playbook.id in tried:
            found.append(_offer(playbook, 0, subject))
    return sorted(found, key=lambda offer: offer.order)


def offer_with_bar(
    offer: Offer,
    subject: PlaybookSubject,
    history: Sequence[PlaybookOutcome],
    excluded: Mapping[str, str],
    now: Timestamp | None,
) -> Offer:
    """The offer with what bars it: the reason it is excluded for, or its cool-down here."""
    playbook = offer.playbook
    if playbook.id in excluded:
        return replace(offer, barred=excluded[playbook.id])
    if now is None:
        return offer
    for past in history:
        age = now - past.at
        if (past.playbook_id, past.component) != (playbook.id, subject.service):
            continue
        if 0 <= age < playbook.cooldown_s:
            wait = f"ran {age:.0f} s ago, its cool-down is {playbook.cooldown_s:.0f} s"
            return replace(offer, barred=wait)
    return offer


def _best_case(
    playbook: Playbook, kind: FaultKind, subject: PlaybookSubject
) -> Applicability | None:
    cases = (case for case in playbook.applies if _applies(case, kind, subject))
    return max(cases, key=lambda case: case.preference, default=None)


def _applies(case: Applicability, kind: FaultKind, subject: PlaybookSubject) -> bool:
    if kind not in case.faults or (case.components and subject.kind not in case.components):
        return False
    return not any(broken(condition, subject.facts) for condition in case.when)


def _offer(
    playbook: Playbook,
    preference: int,
    subject: PlaybookSubject,
    effect: PlaybookEffect = "mends",
) -> Offer:
    parameters: dict[str, JsonValue] = {}
    underived: dict[str, str] = {}
    for parameter in playbook.parameters:
        try:
            parameters[parameter.name] = derived(parameter, subject)
        except ValueError as error:
            underived[parameter.name] = f"parameter {parameter.name!r}: {error}"
    barred = next(_obstacles(playbook, subject), "")
    return Offer(playbook, preference, parameters, barred, underived, effect)


def _obstacles(playbook: Playbook, subject: PlaybookSubject) -> Iterator[str]:
    for condition in playbook.preconditions:
        problem = broken(condition, subject.facts)
        if problem:
            yield problem


def derived(parameter: Parameter, subject: PlaybookSubject) -> Scalar:
    """The parameter's value from where it is declared to come from; `ValueError` if unknown."""
    if parameter.source == "component":
        return checked(parameter, subject.service)
    if parameter.source == "fact" and parameter.fact in subject.facts:
        return checked(parameter, scaled(parameter, subject.facts[parameter.fact]))
    if parameter.default is not None:
        return checked(parameter, parameter.default)
    raise ValueError(f"the fact {parameter.fact!r} of {subject.service!r} is not known")


def scaled(parameter: Parameter, fact: str | float) -> Scalar:
    """The value a fact makes: a number times the factor, within the bounds; a name as it is.

    What is not multiplied says what there is, for the way back: that is not bent into the bounds.
    """
    low, high = parameter.minimum, parameter.maximum
    if isinstance(fact, str) or low is None or high is None:
        return fact
    if not math.isfinite(fact):
        raise ValueError(f"the fact {parameter.fact!r} is {fact!r}")
    clamped = fact if parameter.factor == 1 else min(max(fact * parameter.factor, low), high)
    # 3 * 1.1 is 3.3000000000000003: round away the last bits before rounding up.
    return math.ceil(round(clamped, 9)) if parameter.type == "integer" else clamped
