"""The nearest known question: understood where it is near enough, offered where it is not.

A question is held beside the examples that ship, by the cosine of two vectors. Without a semantic
model these count n-grams of characters, weighted by how rare each is among the examples (Salton and
Buckley, 1988); a model of sentences that is at hand is used instead. Service names are one word to
it. It is asked only where the phrases are silent; what each way measured: docs/decisions/chat.md.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import yaml

from copilot.ports import Embedder
from copilot.surfaces.chat.understand.entities import entities, without_names
from copilot.surfaces.chat.understand.rules import CALLS, understood_as
from copilot.surfaces.chat.understand.scene import ChatScene, Understood, language_of
from prompts import Language
from tools.types import FloatArray

SERVICE = "X"
"""What stands for a service in an example."""

OFFERED = 3

CELLS = 1 << 12
"""Places that n-grams are hashed into: ten times those of an example set, so that few collide."""

LATIN_GRAMS, HAN_GRAMS = (3, 4), (1, 2)
"""Lengths of n-grams. A Chinese word has about two characters, a Latin stem three or four."""

_WORDS = re.compile(r"[a-z0-9']+|[\u3400-\u9fff]+")


class ExampleQuestion(NamedTuple):
    """A question as somebody types it, and what it wants."""

    text: str
    intent: str
    language: Language


@cache
def examples() -> tuple[ExampleQuestion, ...]:
    """The examples that ship."""
    path = resources.files("copilot.surfaces.chat.understand") / "examples.yaml"
    read: dict[str, dict[Language, list[str]]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(
        ExampleQuestion(text, intent, language)
        for intent, said in read.items()
        for language, texts in said.items()
        for text in texts
        if intent in CALLS
    )


class GramEmbedder:
    """An `Embedder` without a model: rare n-grams of characters count more than common ones."""

    model = "character n-grams"
    dimension = CELLS

    def __init__(self, texts: Sequence[str]) -> None:
        counts = np.stack([_counted(text) for text in texts])
        self._rarity = np.log((1.0 + len(texts)) / (1.0 + (counts > 0).sum(axis=0))) + 1.0

    def passages(self, texts: Sequence[str]) -> FloatArray:
        """One row of unit length for each text, zero where it has no letters."""
        weighed = np.stack([np.sqrt(_counted(text)) for text in texts]) * self._rarity
        length = np.linalg.norm(weighed, axis=1, keepdims=True)
        units: FloatArray = np.divide(weighed, length, out=np.zeros_like(weighed), where=length > 0)
        return units

    def question(self, text: str) -> FloatArray:
        """The same of one text."""
        return np.asarray(self.passages([text])[0])

    def reads(self, text: str) -> bool:
        """Whether there is a letter in it."""
        return any(_grams(text))


def _counted(text: str) -> FloatArray:
    counts = np.zeros(CELLS)
    for gram in _grams(text):
        counts[zlib.crc32(gram.encode()) % CELLS] += 1.0
    return counts


def _grams(text: str) -> Iterator[str]:
    for word in _WORDS.findall(text.lower()):
        lengths, padded = (HAN_GRAMS, word) if word[0] >= "\u3400" else (LATIN_GRAMS, f" {word} ")
        for length in lengths:
            yield from (padded[at : at + length] for at in range(max(0, len(padded) - length + 1)))


LEAST_LIKE = 0.25
"""Cosine below which an example is no nearer than any other: questions about lunch, jokes and
flights reach 0.22. source: docs/decisions/chat.md."""

NEAR_ENOUGH = {"character n-grams": 0.75}
"""Cosine from which the nearest example is what was meant, by embedder. By n-grams it is the same
question but for its spelling: of examples held out, four of six at 0.6 meant something else.
source: docs/decisions/chat.md."""

NEAR_ENOUGH_BY_MODEL = 0.91
"""The same for a model of sentences. source: multilingual-e5-small, docs/decisions/chat.md."""


@dataclass(frozen=True, slots=True)
class NearQuestion:
    """An example and its cosine to what was asked."""

    example: ExampleQuestion
    cosine: float


class NearestUnderstanding:
    """Takes a question for the nearest example of its language, where that is near enough."""

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._known = examples()
        texts = [one.text for one in self._known]
        self._embedder: Embedder = embedder or GramEmbedder(texts)
        self._rows = self._embedder.passages(texts)
        self._enough = NEAR_ENOUGH.get(self._embedder.model, NEAR_ENOUGH_BY_MODEL)

    def understand(self, question: str, scene: ChatScene) -> Understood | None:
        """Return what the nearest example wants, of what the question names."""
        near = self.nearest(question, scene)
        if not near or near[0].cosine < self._enough:
            return None
        named = entities(question, scene)
        found = understood_as((near[0].example.intent,), question, named, scene)
        return replace(found, arm="ml")

    def nearest(self, question: str, scene: ChatScene, skipped: str = "") -> list[NearQuestion]:
        """Return the nearest example of each intent, the nearest first."""
        language = language_of(question, scene.language)
        asked = without_names(question, scene.services, f" {SERVICE} ")
        cosines = self._rows @ self._embedder.question(asked)
        best: dict[str, NearQuestion] = {}
        for at in np.argsort(-cosines, kind="stable"):
            one = self._known[at]
            if one.language == language and one.text != skipped:
                best.setdefault(one.intent, NearQuestion(one, float(cosines[at])))
        return list(best.values())

    def offers(self, question: str, scene: ChatScene) -> tuple[str, ...]:
        """Return the three nearest intents, each as a question that can be typed as it stands."""
        language, named = language_of(question, scene.language), entities(question, scene)
        near = [one for one in self.nearest(question, scene) if one.cosine > LEAST_LIKE]
        wanted = [one.example.intent for one in near][:OFFERED]
        wanted += [one for one in USUAL if one not in wanted][: OFFERED - len(wanted)]
        about = next(iter((*named.services, scene.leading, *scene.services)), "")
        return tuple(_typed(intent, language, about) for intent in wanted)


USUAL = ("status", "changes", "plan")
"""Offered where nothing is near: what is asked first of any incident."""


def _typed(intent: str, language: Language, service: str) -> str:
    """The example that is offered of an intent, about a service that exists."""
    fitting: Iterable[str] = (
        one.text for one in examples() if one.intent == intent and one.language == language
    )
    first = next(iter(fitting))
    return re.sub(rf"\b{SERVICE}\b", service, first) if service else first
