"""What a question means by what it has in common with known ones: taken, or offered.

A question is described by n-grams of its characters, its words and pairs of them, weighted by how
rare each is among the examples that ship (Salton and Buckley, 1988), and by the classes of words it
has (`word_classes.yaml`) and pairs of these. Service names are one word to it. Ridge regression on
one target for each intent (Hoerl and Kennard, 1970) learns which of these tell the intents apart;
it takes 0.7 s of processor, when it is first asked. It answers where the phrases are
silent, and has a veto on what they understood by a part of the question whose words the examples
have too; what it measured: docs/decisions/chat.md.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib import resources
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import yaml

from copilot.surfaces.chat.understand.entities import entities, quotes, without_names
from copilot.surfaces.chat.understand.rules import (
    CALLS,
    about_its_subject,
    intents,
    rules,
    understood_as,
)
from copilot.surfaces.chat.understand.scene import (
    FOLLOWED,
    ChatScene,
    Entities,
    Understood,
    language_of,
)
from prompts import Language
from tools.types import FloatArray

SERVICE = "X"
"""What stands for a service in an example."""

NOTHING = "none"
"""The intent of questions about no incident."""

OFFERED = 3

LATIN_GRAMS, HAN_GRAMS = (3, 4), (1, 2)
"""Lengths of n-grams. A Chinese word has about two characters, a Latin stem three or four."""

PENALTY = 0.6
"""Of the ridge; 0.3 is as good to within 0.01 of the examples left out."""

MARGIN = 0.1
"""How much likelier than any other an intent has to be. Of examples left out one by one 0.84 are
taken then, 0.85 of these rightly. source: docs/decisions/chat.md."""

OVERRULED = 0.2
"""How much likelier another intent has to be than what the phrases understood. With the examples of
a round left out, 0.84 instead of 0.81 (round 3) and 0.86 instead of 0.83 (round 4) are right."""

STRAY = 0.4
"""How much less likely than another a second intent may be that the phrases found with it: between
`who changed it, and when?`, of which both are, and `at what time did errors start`."""

_JOINED = re.compile(r"\b(?:and|or)\b|[,;,;、]|以及|还有|顺便|并且|另外")
"""Between two questions in one."""

_ASKS = re.compile(r"[??吗呢]|如何|怎么|是否|不就")

ABOUT_AN_ORDER = frozenset({"advise", "decisions"})
"""What a question that begins like an order may be instead: `restart it and done?`."""

WHO_CHANGED = frozenset({"commit", "changes"})
"""A commit is told with the changes it is one of."""

UNCORRECTED = frozenset({"knowledge", "smalltalk", "confirm"})
"""Intents that are said in words of their own, or with a fault that is described."""

LEAST_LIKELY = 0.1
"""Score below which nothing of a question is known. source: as above."""

_WORDS = re.compile(r"[a-z0-9']+|[\u3400-\u9fff]+")


class ExampleQuestion(NamedTuple):
    """A question as somebody types it, and what it wants."""

    text: str
    intent: str
    language: Language


@cache
def examples() -> tuple[ExampleQuestion, ...]:
    """The examples that ship."""
    read: dict[str, dict[Language, list[str]]] = _shipped("examples")
    return tuple(
        ExampleQuestion(text, intent, language)
        for intent, said in read.items()
        for language, texts in said.items()
        for text in texts
    )


def _shipped(name: str) -> dict[str, dict[Language, list[str]]]:
    path = resources.files("copilot.surfaces.chat.understand") / f"{name}.yaml"
    found: dict[str, dict[Language, list[str]]] = yaml.load(
        path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    return found


@cache
def _classes() -> tuple[re.Pattern[str], ...]:
    """Each at the beginning of a word: `log` is not in `topology`."""
    begins = "(?:(?<![a-z])|(?![a-z]))"
    shipped = _shipped("word_classes").values()
    return tuple(re.compile(f"{begins}(?:{one})", re.IGNORECASE) for one in shipped)


class _Description:
    """One way to describe texts: a column for each part that at least two of the known have."""

    def __init__(self, known: Sequence[str], made_of: Callable[[str], Iterator[str]]) -> None:
        self._made_of = made_of
        held = Counter(part for text in known for part in {*made_of(text)})
        shared = {part: count for part, count in held.items() if count > 1}
        self._column = {part: place for place, part in enumerate(shared)}
        self._rarity = np.log((1.0 + len(known)) / (1.0 + np.array([*shared.values()]))) + 1.0

    def __contains__(self, part: str) -> bool:
        return part in self._column

    def rows(self, texts: Sequence[str]) -> FloatArray:
        """A row of unit length for each text, zero where it has no known part."""
        counts = np.zeros((len(texts), len(self._column)), np.float32)
        for row, text in enumerate(texts):
            for part in self._made_of(text):
                if part in self._column:
                    counts[row, self._column[part]] += 1.0
        weighed = np.sqrt(counts) * self._rarity.astype(np.float32)
        length = np.linalg.norm(weighed, axis=1, keepdims=True)
        units: FloatArray = np.divide(weighed, length, out=np.zeros_like(weighed), where=length > 0)
        return units


class LearnedIntents:
    """The intents of examples, told apart by a linear score of what a question is made of."""

    def __init__(self, known: Sequence[ExampleQuestion]) -> None:
        self.intents = tuple(dict.fromkeys(one.intent for one in known))
        texts = [one.text for one in known]
        self._described = [_Description(texts, of) for of in (_grams, _class_pairs)]
        rows = self._rows(texts)
        wanted = np.array([[one.intent == name for name in self.intents] for one in known], float)
        kernel = rows @ rows.T + PENALTY * np.eye(len(known))
        self._weights: FloatArray = rows.T @ np.linalg.solve(kernel, wanted)

    def scores(self, text: str) -> FloatArray:
        """One for each intent, about 1 where it is like its examples and 0 where it is not."""
        scores: FloatArray = (self._rows([text]) @ self._weights)[0]
        return scores

    def knows(self, text: str) -> bool:
        """Whether every word of a text is a part of the examples; its meaning is unknown else."""
        grams = self._described[0]
        return all(any(part in grams for part in parts) for parts in _told_by(text))

    def _rows(self, texts: Sequence[str]) -> FloatArray:
        """Both descriptions side by side, at the same weight."""
        rows: FloatArray = np.hstack([one.rows(texts) for one in self._described])
        rows /= np.sqrt(2.0)
        return rows


def _grams(text: str) -> Iterator[str]:
    words = _WORDS.findall(text.lower())
    for word in words:
        if word[0] >= "\u3400":
            lengths, padded = HAN_GRAMS, f"^{word}$"
        else:
            lengths, padded = LATIN_GRAMS, f" {word} "
            yield f"word {word}"
        for length in lengths:
            yield from (padded[at : at + length] for at in range(max(0, len(padded) - length + 1)))
    yield from (f"words {one} {other}" for one, other in pairwise(words))


def _told_by(text: str) -> Iterator[tuple[str, ...]]:
    """Of each word the part it is known by; of a Chinese character those with a neighbour."""
    for word in _WORDS.findall(text.lower()):
        if word[0] < "\u3400":
            yield (f"word {word}",)
        elif len(word) == 1:
            yield (word,)
        else:
            two = [one + other for one, other in pairwise(word)]
            yield from zip(["", *two], [*two, ""], strict=True)


def _class_pairs(text: str) -> Iterator[str]:
    found = [str(place) for place, said in enumerate(_classes()) if said.search(text)]
    yield from found
    yield from (f"{one} {other}" for one, other in combinations(found, 2))


@cache
def learned() -> LearnedIntents:
    """Of the examples that ship."""
    return LearnedIntents(examples())


SHORTEST_MISSPELLED, AS_SPELLED = 5, 0.85
"""Letters from which on a word is respelled, and the share of them that must stand in the same
order (`difflib.SequenceMatcher.ratio`): one letter too many or too
few of five, one changed or two swapped of seven; less would take `cache` for `catch`."""


MOST_RESPELLED = 12
"""Words of one question that are tried, at most: 0.6 ms each, and a trace may be pasted."""

_TYPED = re.compile(r"(?<![\w./-])[A-Za-z]+(?![\w./-])")


@cache
def _spellings() -> tuple[str, ...]:
    words = {word for one in examples() for word in re.findall(r"[a-z]+", one.text.lower())}
    return tuple(sorted(word for word in words if len(word) >= SHORTEST_MISSPELLED))


def respelled(question: str, scene: ChatScene, *, names_only: bool = False) -> str:
    """The question with words that neither an example nor a service has as the nearest of these.

    Where only names are wanted, a word that is near a service's becomes that one; nothing in
    quotation marks does, which is what is searched for.

    >>> respelled("whats the culrpit", ChatScene(now=0.0))
    'whats the culprit'
    >>> respelled("is shiping ok", ChatScene(now=0.0, services=("shipping",)), names_only=True)
    'is shipping ok'
    """
    parts = {one for name in scene.services for one in re.findall("[a-z]+", name.lower())}
    names = [one for one in sorted(parts) if len(one) >= SHORTEST_MISSPELLED]
    if names_only and (not names or quotes(question)):
        return question
    known, tried = {*_spellings(), *names}, set[str]()

    def nearest(found: re.Match[str]) -> str:
        word = found[0].lower()
        if len(word) < SHORTEST_MISSPELLED or word in known:
            return found[0]
        tried.add(word)
        if len(tried) > MOST_RESPELLED:
            return found[0]
        near = get_close_matches(word, names if names_only else _spellings(), 1, AS_SPELLED)
        return near[0] if near else found[0]

    return _TYPED.sub(nearest, question)


class LearnedUnderstanding:
    """Takes a question for the likeliest intent, where it is likely enough; and offers three."""

    def understand(self, question: str, scene: ChatScene) -> Understood | None:
        """Return what the likeliest intent wants, of what the question names."""
        (first, best), (_, second) = self.likely(question, scene)[:2]
        if best - second < MARGIN or best < LEAST_LIKELY or first not in CALLS:
            return None
        return _taken_as((first,), question, scene)

    def corrected(self, found: Understood, question: str, scene: ChatScene) -> Understood:
        """What the phrases understood, without what is far less likely than something else."""
        several = len(found.intents) > 1 and _JOINED.search(question)
        if not found.intents or {*found.intents} & UNCORRECTED or several:
            return found
        phrases = {*_phrases(question, scene)}
        whole = phrases == {_words(without_names(question, scene.services, f" {SERVICE} "))}
        if whole or not all(learned().knows(one) for one in phrases):
            return found
        likely = dict(self.likely(question, scene))
        first, best = next(iter(likely)), max(likely.get(name, 0.0) for name in found.intents)
        asks = first in ABOUT_AN_ORDER and _ASKS.search(question)
        order = "approve" in found.intents and not asks
        if likely[first] > best + OVERRULED and first in CALLS and not order:
            return _taken_as((first,), question, scene)
        if {*found.intents} == WHO_CHANGED:
            return found
        kept = tuple(n for n in found.intents if likely.get(n, 0.0) > best - STRAY)
        return found if kept == found.intents else _taken_as(kept, question, scene)

    def likely(self, question: str, scene: ChatScene) -> list[tuple[str, float]]:
        """Return every intent with its score, the likeliest first."""
        known = learned()
        asked = without_names(respelled(question, scene), scene.services, f" {SERVICE} ")
        scores = known.scores(asked)
        order = np.argsort(-scores, kind="stable")
        return [(known.intents[at], float(scores[at])) for at in order]

    def offers(self, question: str, scene: ChatScene) -> tuple[str, ...]:
        """Return the three likeliest intents, each as a question that can be typed as it stands."""
        language, named = language_of(question, scene.language), entities(question, scene)
        likely = [name for name, score in self.likely(question, scene) if score > LEAST_LIKELY]
        wanted = [name for name in likely if name in OFFERABLE][:OFFERED]
        wanted += [one for one in USUAL if one not in wanted][: OFFERED - len(wanted)]
        return tuple(_typed(intent, language, _about(named, scene)) for intent in wanted)

    def go_on(self, asked: Sequence[str], scene: ChatScene) -> tuple[str, ...]:
        """Three questions to go on with: what is nearest to the last one, of what nobody asked yet.

        `asked` are the questions so far, the newest first; without any it is what is asked first.
        """
        ranked = [[name for name, _ in self.likely(one, scene)] for one in asked[:FOLLOWED]]
        done = {names[0] for names in ranked}
        near = ranked[0] if ranked else USUAL
        wanted = [name for name in near if name in OFFERABLE and name not in done][:OFFERED]
        about = next(iter((*scene.recent, scene.leading, *scene.services)), "")
        return tuple(_typed(intent, scene.language, about) for intent in wanted)


def _phrases(question: str, scene: ChatScene) -> Iterator[str]:
    """What the phrases found in a question, word by word."""
    for name in intents(question):
        if said := rules()[name].pattern.search(question):
            yield _words(without_names(said[0], scene.services, f" {SERVICE} "))


def _words(text: str) -> str:
    return " ".join(_WORDS.findall(text.lower()))


def _taken_as(names: Sequence[str], question: str, scene: ChatScene) -> Understood:
    named = entities(question, scene)
    wanted = about_its_subject(names, named)
    return replace(understood_as(wanted, question, named, scene), arm="ml")


OFFERABLE = frozenset(CALLS) - {"smalltalk", "help", "approve", "confirm"}
"""Intents that a question which was not understood may be answered by."""

USUAL = ("status", "changes", "plan")
"""Offered where nothing is near: what is asked first of any incident."""


def _about(named: Entities, scene: ChatScene) -> str:
    return next(iter((*named.services, scene.leading, *scene.services)), "")


def _typed(intent: str, language: Language, service: str) -> str:
    """The example that is offered of an intent, about a service that exists."""
    first = next(
        one.text for one in examples() if one.intent == intent and one.language == language
    )
    return re.sub(rf"\b{SERVICE}\b", service, first) if service else first
