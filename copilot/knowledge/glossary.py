"""What people say and what documents call it, and back: the whole words that were matched.

The phrases stand in `glossary.yaml`. An index compares stems and pairs of Chinese characters;
neither is a word to a reader.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import yaml

from copilot.knowledge.words import Word, is_cjk, query, spoken
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
def _chinese_words() -> frozenset[str]:
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
    rows = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return tuple(GlossaryEntry.model_validate(row) for row in rows)


LONGEST_PIECE = 12
"""Characters of a piece that is shown whole; what is longer is a sentence."""


def whole_words(matched: Sequence[Word], asked: Sequence[str]) -> tuple[str, ...]:
    """What was said, as it was written, each once.

    `matched` are words that the document has, `asked` the Chinese pieces of the question as the
    index saw them. Of Chinese a whole piece is shown, or a word of the glossary inside it.

    >>> pair = [Word(text, (text,), said=text) for text in ("磁盘", "盘满")]
    >>> whole_words([Word("full", ("full",), said="is full"), *pair], ["磁盘满", "服务器"])
    ('磁盘满', 'is full')
    """
    pairs = {word.text for word in matched if is_cjk(word.text) and word.said == word.text}
    plain = [word.said for word in matched if word.said and word.text not in pairs]
    chinese = [word for piece in asked for word in _inside(piece, pairs)]
    once = {one.lower(): one for one in reversed([*chinese, *plain])}
    shown = list(reversed(once.values()))
    return tuple(one for one in shown if not any(_within(one, other) for other in shown))


def _within(one: str, other: str) -> bool:
    return one is not other and one.lower() in other.lower()


def _inside(piece: str, pairs: set[str]) -> Iterator[str]:
    for run in _runs(piece, pairs):
        if (run == piece and len(run) <= LONGEST_PIECE) or run in _chinese_words():
            yield run
        else:
            yield from (word for word in _chinese_words() if word in run)


def _runs(piece: str, pairs: set[str]) -> Iterator[str]:
    """The longest stretches of a piece of which every pair of characters was matched."""
    start = 0
    for at in range(len(piece)):
        if piece[at : at + 2] not in pairs:
            if at > start:
                yield piece[start : at + 1]
            start = at + 1
