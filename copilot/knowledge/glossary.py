"""What people say and what the documents call it: words added to a question, at less weight."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from copilot.knowledge.words import Word, query, spoken
from tools.types import FrozenModel

ADDED_WEIGHT = 0.4
"""Of what a word counts that was said itself."""


class GlossaryEntry(FrozenModel):
    """Phrases people use, and the words they stand for."""

    say: tuple[str, ...]
    mean: str


@dataclass(frozen=True, slots=True)
class _Prepared:
    phrases: tuple[str, ...]
    words: tuple[Word, ...]


def added(question: str, words: list[Word]) -> list[Word]:
    """The words that the phrases of a question stand for, without those it says itself."""
    said = {term for word in words for term in word.terms}
    text = _normal(question)
    found: dict[str, Word] = {}
    for entry in _entries():
        if any(phrase in text for phrase in entry.phrases):
            for word in entry.words:
                if word.text not in said:
                    found.setdefault(word.text, word)
    return list(found.values())


@cache
def _entries() -> tuple[_Prepared, ...]:
    path = files("copilot.knowledge").joinpath("glossary.yaml")
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = [GlossaryEntry.model_validate(row) for row in rows]
    return tuple(
        _Prepared(
            tuple(phrase for phrase in map(_normal, entry.say) if phrase.strip()),
            tuple(query(entry.mean)),
        )
        for entry in entries
    )


def _normal(text: str) -> str:
    """Tokens between blanks, so that a phrase is a substring and never part of an identifier."""
    return f" {' '.join(spoken(text))} "
