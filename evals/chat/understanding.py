"""What a question is understood as, by each way, on paraphrases of our own; no incident is opened.

The first call counts. `right`: it is a look that answers, of the service that is named; `silent`:
not understood; `wrong`: another look. `offered`: of those not right, the look is among the three
questions that are offered. Where nothing is to be understood, `silent` is right.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from types import MappingProxyType
from typing import Literal, NamedTuple

import httpx
import yaml
from pydantic import Field

from copilot.ports import Model
from copilot.surfaces.chat.understand import (
    ChatScene,
    Entities,
    LearnedUnderstanding,
    ModelUnderstanding,
    RuleUnderstanding,
    UnderstandingChain,
    Understood,
)
from copilot.surfaces.chat.understand.learned import NOTHING, examples
from copilot.surfaces.chat.understand.reader import meanings
from copilot.surfaces.chat.understand.rules import CALLS
from copilot.testing.policies import PolicyModel, ReaderPolicy
from evals.reasoning.suite import at
from evals.report import ModelOptions, Table, number
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


HELD_OUT = 5
"""The round that no phrase and no example was made from; the others are among the examples."""


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


def graded(way: UnderstandingWay, most: int | None = None) -> Iterator[UnderstandingCase]:
    """Each paraphrase in each language, or those of `most` sets, spread over all."""
    sets = paraphrases()
    for asked in sets[:: max(1, len(sets) // most) if most else 1]:
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


BEST, WORST = "any reader, at best", "any reader, at worst"
"""Bounds of what a reader can do: it has the key, or it reads the controls and lies of the rest."""

LISTED_S = 5.0


@contextmanager
def opened(options: ModelOptions) -> Iterator[Mapping[str, Model]]:
    """The model at hand by name, size and digest; else stand-ins, good and bad."""
    if options.model_url:
        with at(options.model_url, options.model or "qwen3:30b") as model:
            yield {_listed(options.model_url, model.name): model}
        return
    known = meant()
    yield {
        BEST: PolicyModel(keyed_reader(known)),
        WORST: PolicyModel(keyed_reader(known, lies=True)),
        "scripted, guesses": PolicyModel(ReaderPolicy(guessing)),
        "scripted, always the same": PolicyModel(ReaderPolicy(lambda _text: "status")),
    }


def _listed(url: str, name: str) -> str:
    """As its server lists it; the name alone where a server tells no more, as of OpenAI's API.

    source: Ollama, docs/api.md, `GET /api/tags`.
    """
    try:
        told = httpx.get(f"{url.rstrip('/')}/api/tags", timeout=LISTED_S, trust_env=False).json()
        models = told["models"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return name
    found = next((one for one in models if name in (one.get("model"), one.get("name"))), None)
    return f"{name}, {found.get('size')} bytes, {found.get('digest')}" if found else name


def reader(model: Model) -> ModelUnderstanding:
    """A model as a way to understand, alike in every run."""
    return ModelUnderstanding(model, "5eed")


def guessing(text: str) -> str:
    """A meaning drawn by the text alone."""
    names = [*meanings("en"), NOTHING]
    return names[zlib.crc32(text.encode()[::-1]) % len(names)]


def keyed_reader(known: Mapping[str, tuple[str, str]], *, lies: bool = False) -> ReaderPolicy:
    """One that reads the controls rightly, and others by their meaning and service in `known`.

    Where it lies it says anything but what is known.
    """
    ours = {one.text: one.intent for one in examples()}

    def means(text: str) -> str:
        if text in ours:
            return ours[text]
        right = known.get(text, (NOTHING, ""))[0]
        return right if not lies else "timeline" if right != "timeline" else "paging"

    return ReaderPolicy(means, lambda text: known.get(text, ("", ""))[1])


def meant() -> dict[str, tuple[str, str]]:
    """Of each paraphrase a meaning whose first look is right, and the service it names."""
    about = Entities(services=SERVICES[:1])
    looks = {name: plan("", about, SCENE)[:1] for name, plan in CALLS.items()}
    means = {of[0].tool: name for name, of in looks.items() if of and name in meanings("en")}
    found: dict[str, tuple[str, str]] = {}
    for asked in paraphrases():
        first = next((means[look] for look in asked.looks if look in means), NOTHING)
        found |= dict.fromkeys((*asked.en, *asked.zh), (first, asked.names))
    return found


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


def ways(
    best: LearnedUnderstanding, models: Mapping[str, Model] = MappingProxyType({})
) -> tuple[UnderstandingWay, ...]:
    """The phrases, what is learned, the two together, and each model between the two."""
    from_rules = UnderstandingChain(RuleUnderstanding(), learned=best)
    both = UnderstandingChain(learned=best)
    return (
        UnderstandingWay("rules", from_rules),
        UnderstandingWay("ml alone", UnderstandingChain(best, learned=best)),
        UnderstandingWay("rules, ml", both),
        *(
            UnderstandingWay(f"rules, llm, ml: {name}", both.read_by(reader(model)))
            for name, model in models.items()
        ),
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
    """A row for each way and language; what was learned from apart from what was held out."""
    rows = []
    for name, cases in found.items():
        for language in LANGUAGES:
            for part, held in (("known", False), ("held out", True)):
                of = [c for c in cases if (c.language, c.round == HELD_OUT) == (language, held)]
                figures = [number(one) for one in shares(of).values()]
                if of:
                    rows.append((name, language, part, str(len(of)), *figures))
    columns = ("way", "language", "part", "questions", "right", "silent", "wrong", "offered")
    return Table(title="Paraphrases of ours (measured)", columns=columns, rows=tuple(rows))
