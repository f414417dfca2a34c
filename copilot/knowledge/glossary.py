"""What people say and what documents call it; the phrases stand in `glossary.yaml`."""

import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import yaml

from copilot.knowledge.words import Word, query, spoken
from tools.types import FrozenModel


class GlossaryEntry(FrozenModel):
    """Phrases people use, or the form of a name, and the words they stand for."""

    say: tuple[str, ...] = ()
    like: re.Pattern[str] | None = None
    mean: str


@dataclass(frozen=True, slots=True)
class _Prepared:
    phrases: tuple[tuple[str, str], ...]
    like: re.Pattern[str] | None
    words: tuple[Word, ...]

    def said_in(self, question: str, tokens: str) -> str:
        """The longest phrase of this entry that the question has, as written; else nothing."""
        there = [as_written for phrase, as_written in self.phrases if phrase in tokens]
        if there:
            return max(there, key=len)
        form = self.like.search(question) if self.like is not None else None
        return form[0] if form else ""


def glossary_words(question: str, words: list[Word]) -> list[Word]:
    """Return the words that phrases of `question` stand for, without those it has itself.

    The phrase stands in `said` of each, without the share that was read as "100%".
    """
    already = {term for word in words for term in word.terms}
    tokens = as_tokens(question)
    found: dict[str, Word] = {}
    for entry in _glossary():
        phrase = entry.said_in(question, tokens)
        if phrase:
            said = phrase.replace("100%", "").strip()
            for word in entry.words:
                if word.text not in already:
                    found.setdefault(word.text, replace(word, said=said))
    return list(found.values())


def as_tokens(text: str) -> str:
    """Tokens between blanks, so that a phrase is a substring and never part of an identifier."""
    return f" {' '.join(spoken(text))} "


@cache
def chinese_words() -> frozenset[str]:
    """The Chinese words of the trade that the glossary has."""
    texts = [text for row in _rows() for text in (*row.say, row.mean)]
    return frozenset(word for text in texts for word in re.findall("[\u4e00-\u9fff]{2,}", text))


@cache
def _glossary() -> tuple[_Prepared, ...]:
    return tuple(
        _Prepared(
            tuple((as_tokens(phrase), phrase) for phrase in entry.say),
            entry.like,
            tuple(query(entry.mean)),
        )
        for entry in _rows()
    )


@cache
def _rows() -> tuple[GlossaryEntry, ...]:
    path = files("copilot.knowledge").joinpath("glossary.yaml")
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(GlossaryEntry.model_validate(row) for row in rows)
