"""What a question is understood as, by each way, on paraphrases of our own; no incident is opened.

The first call counts. `right`: it is a look that answers, of the service that is named; `silent`:
not understood; `wrong`: another look. `offered`: of those not right, the look is among the three
questions that are offered. Where nothing is to be understood, `silent` is right.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Literal, NamedTuple

import yaml
from pydantic import Field

from copilot.surfaces.chat.understand import (
    ChatScene,
    NearestUnderstanding,
    RuleUnderstanding,
    UnderstandingChain,
    Understood,
)
from evals.report import Table, number
from prompts import LANGUAGES, Language
from tools.types import FrozenModel

UnderstandingGrade = Literal["right", "silent", "wrong"]

SERVICES = (
    "gateway", "checkout", "cart", "payment", "shipping", "carrier", "store", "catalog"
)  # fmt: skip
SCENE = ChatScene(
    now=1_764_100_000.0,
    services=SERVICES,
    onset=1_764_099_000.0,
    incident_id="inc-1",
    involved=("gateway", "checkout", "shipping"),
    leading="shipping",
    databases=lambda: ("store",),
)


class ParaphraseSet(FrozenModel):
    """Ways to ask the same, and the looks that answer it; `round`: see the file's comments."""

    looks: tuple[str, ...]
    names: str = ""
    after: str = ""
    round: int = Field(default=1, ge=1)
    en: tuple[str, ...]
    zh: tuple[str, ...]


def paraphrases() -> tuple[ParaphraseSet, ...]:
    """The paraphrases that ship."""
    path = resources.files("evals.chat") / "paraphrases.yaml"
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(ParaphraseSet.model_validate(one) for one in read)


class UnderstandingCase(NamedTuple):
    """One paraphrase and what became of it."""

    question: str
    language: Language
    round: int
    grade: UnderstandingGrade
    offered: bool


@dataclass(frozen=True, slots=True)
class UnderstandingWay:
    """A name for the table, and the chain that is tried."""

    name: str
    chain: UnderstandingChain


def graded(way: UnderstandingWay, every: int = 1) -> Iterator[UnderstandingCase]:
    """Each paraphrase in each language, or only every fourth set, for `every=4`."""
    for asked in paraphrases()[::every]:
        for language in LANGUAGES:
            for question in asked.zh if language == "zh" else asked.en:
                scene = _scene(asked, language, way.chain)
                found = way.chain.understood(question, scene)
                offered = {_look(way.chain.understood(one, scene)) for one in found.near}
                yield UnderstandingCase(
                    question,
                    language,
                    asked.round,
                    _grade(asked, found),
                    bool(offered & {*asked.looks}),
                )


def _scene(asked: ParaphraseSet, language: Language, chain: UnderstandingChain) -> ChatScene:
    scene = replace(SCENE, language=language)
    if not asked.after:
        return scene
    named = chain.understood(asked.after, scene).named.services
    return replace(scene, before=(asked.after,), recent=named)


def _look(found: Understood) -> str:
    """The first look; help needs none."""
    if not found.intents and not found.named.evidence:
        return ""
    return found.calls[0].tool if found.calls else found.intents[0]


def _grade(asked: ParaphraseSet, found: Understood) -> UnderstandingGrade:
    look = _look(found)
    if not asked.looks:
        return "wrong" if look else "right"
    if not look:
        return "silent"
    named = not asked.names or any(asked.names in str(one.arguments) for one in found.calls)
    return "right" if look in asked.looks and named else "wrong"


def ways(best: NearestUnderstanding) -> tuple[UnderstandingWay, ...]:
    """Each way alone, and the rules before the nearest question."""
    from_rules = UnderstandingChain(RuleUnderstanding(), nearest=best)
    return (
        UnderstandingWay("rules", from_rules),
        UnderstandingWay(f"ml alone ({best.model})", UnderstandingChain(best, nearest=best)),
        UnderstandingWay(f"rules, then ml ({best.model})", UnderstandingChain(nearest=best)),
    )


def shares(cases: Sequence[UnderstandingCase]) -> Mapping[str, float]:
    """Shares of the grades, and how many of those not right were offered."""
    most, missed = max(1, len(cases)), [one for one in cases if one.grade != "right"]
    by_grade = {
        grade: sum(one.grade == grade for one in cases) / most
        for grade in ("right", "silent", "wrong")
    }
    return {**by_grade, "offered": sum(one.offered for one in missed) / max(1, len(missed))}


def table(found: Mapping[str, Sequence[UnderstandingCase]]) -> Table:
    """A row for each way, language and round."""
    rows = []
    for name, cases in found.items():
        for language in LANGUAGES:
            for round_ in sorted({one.round for one in cases}):
                part = [one for one in cases if (one.language, one.round) == (language, round_)]
                figures = [number(one) for one in shares(part).values()]
                rows.append((name, language, str(round_), str(len(part)), *figures))
    columns = ("way", "language", "round", "questions", "right", "silent", "wrong", "offered")
    return Table(title="Paraphrases of ours (measured)", columns=columns, rows=tuple(rows))
