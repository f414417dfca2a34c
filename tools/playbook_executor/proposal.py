"""What becomes of a model's proposal: it fills a gap that the rules left, or it is only remarked.

Nothing it says takes effect unless something independent of it says the same: the catalogue offers
the playbook for this cause, a measured item that outsiders cannot write shows each value the facts
lack, and a trusted document about this cause names the playbook.
"""

import re
from collections.abc import Collection, Iterator, Sequence

from pydantic import Field

from tools.playbook_executor.offers import Offer, scaled
from tools.playbook_executor.parameters import checked
from tools.playbook_executor.subject import PlaybookSubject
from tools.types import (
    Choice,
    ConsideredPlaybook,
    Evidence,
    EvidenceKind,
    FrozenModel,
    Owner,
    Parameter,
    Proposal,
    Scalar,
)

MEASURED: frozenset[EvidenceKind] = frozenset({"metric", "edge", "change", "topology", "cluster"})
"""Kinds whose text nobody outside can write, as they can a log line, a path or an annotation."""

_NUMBER = re.compile(r"(?<![\w.\-/@:#])-?\d+(?:\.\d+)?(?![\w\-@:/#]|\.\d)", re.ASCII)
_NO_PLAYBOOK = "something that is no playbook of the catalogue"


class ProposalContext(FrozenModel):
    """A proposal and what it is held against.

    `recalled` are trusted documents about the located cause: playbook id to the document's id.
    """

    proposal: Proposal
    evidence: tuple[Evidence, ...] = ()
    recalled: dict[str, str] = Field(default_factory=dict)


def weigh(
    choice: Choice,
    consulted: ProposalContext,
    offered: Sequence[Offer],
    subject: PlaybookSubject,
    catalogue: Collection[str],
) -> Choice:
    """The rules' choice with what the model said of it; the model's where it fills their gap."""
    proposal = consulted.proposal
    named = proposal.playbook_id if proposal.playbook_id in catalogue else _NO_PLAYBOOK
    if not choice.abstained:
        return _compared(choice, proposal, named)
    if not proposal.playbook_id:
        return _remarked(choice, "the model abstains too", "模型同样不建议执行任何预案")
    offer = next((one for one in offered if one.playbook.id == proposal.playbook_id), None)
    problem = next(_problems(offer, consulted, subject), "")
    if offer is None or problem:
        said = f"the model proposes {named}, which does not count: {problem}"
        return _remarked(choice, said, f"模型的建议未被采纳（{named}）", named)
    return _taken(choice, offer, consulted)


def _compared(choice: Choice, proposal: Proposal, named: str) -> Choice:
    if not proposal.playbook_id:
        return _remarked(choice, "the model would not act", "模型不建议执行")
    if proposal.playbook_id != choice.playbook_id:
        return _remarked(choice, f"the model would take {named}", f"模型倾向于 {named}", named)
    other = sorted(
        name for name, value in proposal.parameters.items() if choice.parameters.get(name) != value
    )
    if other:
        names = ", ".join(name for name in other if name in choice.parameters) or "others"
        said = f"the model agrees on the playbook, not on {names}; the facts stand"
        return _remarked(choice, said, "模型同意该预案，但参数不同；以事实为准")
    return _remarked(choice, "the model agrees", "模型同意")


def _remarked(choice: Choice, said: str, said_zh: str, about: str = "") -> Choice:
    """The choice as it stands, with the model's remark beside it."""
    considered = choice.considered
    if about and about != _NO_PLAYBOOK:
        row = ConsideredPlaybook(playbook_id=about, taken=False, reason="a model would take it")
        considered = (*(one for one in considered if one.playbook_id != about), row)
    return choice.model_copy(
        update={
            "reason": f"{choice.reason}; {said}",
            "reason_zh": f"{choice.reason_zh}；{said_zh}",
            "considered": considered,
        }
    )


def _taken(choice: Choice, offer: Offer, consulted: ProposalContext) -> Choice:
    proposal, playbook = consulted.proposal, offer.playbook
    filled = {name: proposal.parameters[name] for name in offer.underived}
    values = ", ".join(f"{name}={value}" for name, value in filled.items())
    cited, document = ", ".join(proposal.evidence), consulted.recalled[playbook.id]
    considered = tuple(
        one.model_copy(update={"taken": True, "reason": "proposed by a model, and confirmed"})
        if one.playbook_id == playbook.id
        else one
        for one in choice.considered
    )
    return choice.model_copy(
        update={
            "playbook_id": playbook.id,
            "parameters": {**offer.parameters, **filled},
            "evidence": tuple(dict.fromkeys((*choice.evidence, *proposal.evidence))),
            "reason": f"{playbook.id}: a model proposes it with {values}; {cited} shows that, and "
            f"{document} names the same playbook for this cause",
            "reason_zh": f"{playbook.id}：模型建议 {values}；证据 {cited} 与文档 {document} 一致",
            "check": playbook.check,
            "considered": considered,
        }
    )


def _problems(
    offer: Offer | None, consulted: ProposalContext, subject: PlaybookSubject
) -> Iterator[str]:
    """Why the proposal does not count, first reason first."""
    if offer is None or offer.preference <= 0:
        yield f"it is not for this cause on a {subject.kind} component"
        return
    if offer.barred:
        yield offer.barred
    if offer.playbook.id not in consulted.recalled:
        yield "no trusted document about this cause names it"
    yield from _citation_problems(consulted)
    yield from _parameter_problems(offer, consulted, subject)


def _citation_problems(consulted: ProposalContext) -> Iterator[str]:
    known = {item.id for item in consulted.evidence}
    if not consulted.proposal.evidence:
        yield "it cites no evidence"
    if set(consulted.proposal.evidence) - known:
        yield "it cites evidence that does not exist"


def _parameter_problems(
    offer: Offer, consulted: ProposalContext, subject: PlaybookSubject
) -> Iterator[str]:
    given, declared = consulted.proposal.parameters, {p.name: p for p in offer.playbook.parameters}
    if set(given) - set(declared):
        yield "it sets a parameter that is not declared"
    for name, value in offer.parameters.items():
        if name in given and given[name] != value:
            yield f"the facts say {name}={value!r}"
    cited = [
        item
        for item in consulted.evidence
        if item.id in consulted.proposal.evidence and _concerns(item, subject)
    ]
    for name, lacking in offer.underived.items():
        yield from _value_problems(declared[name], given.get(name), lacking, cited)


def _value_problems(
    parameter: Parameter, value: Scalar | None, lacking: str, cited: Sequence[Evidence]
) -> Iterator[str]:
    if value is None:
        yield lacking
        return
    if parameter.source == "component":
        yield f"{parameter.name!r} is the component, which no model sets"
        return
    try:
        checked(parameter, value)
    except ValueError as error:
        yield f"{parameter.name!r} {error}"
        return
    if not any(_shows(item, parameter, value) for item in cited):
        yield f"no measured item it cites shows {parameter.name!r}"


def _concerns(item: Evidence, subject: PlaybookSubject) -> bool:
    """Measured, and of the component: what is said of another one proves nothing of this."""
    owner = Owner.parse(item.subject)
    return item.kind in MEASURED and subject.service in (owner.service, owner.caller)


def _shows(item: Evidence, parameter: Parameter, value: Scalar) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return _names(item, value)
    return _speaks_of(item, parameter.fact) and any(
        _gives(parameter, figure, value) for figure in _figures(item)
    )


def _names(item: Evidence, value: str) -> bool:
    owner = Owner.parse(item.subject)
    if value in (owner.service, owner.caller, item.name):
        return True
    whole = re.compile(rf"(?<![\w.\-]){re.escape(value)}(?![\w\-]|\.\w)")
    return any(whole.search(text) for text in (item.statement, item.excerpt))


def _speaks_of(item: Evidence, fact: str) -> bool:
    """Whether the item is about that fact at all: 40 errors are no 40 replicas."""
    said = " ".join((item.name, item.statement, item.excerpt, *item.figures)).lower()
    return all(word.removesuffix("s") in said for word in fact.lower().split("_"))


def _figures(item: Evidence) -> Iterator[float]:
    yield from (figure for figure in (item.value, item.baseline) if figure is not None)
    yield from item.figures.values()
    for text in (item.statement, item.excerpt):
        yield from (float(match[0]) for match in _NUMBER.finditer(text))


def _gives(parameter: Parameter, figure: float, value: float) -> bool:
    """Whether this figure, scaled as declared and not clamped, is the value."""
    low, high = parameter.minimum, parameter.maximum
    if low is None or high is None or not low <= figure * parameter.factor <= high:
        return False
    return scaled(parameter, figure) == value
