"""The whole words of a question that a document shares: what a person is told it was found by.

An index compares stems and pairs of Chinese characters; neither is a word to a reader.
"""

from collections.abc import Iterator, Sequence

from copilot.knowledge.glossary import chinese_words
from copilot.knowledge.words import Word, is_cjk

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
        if (run == piece and len(run) <= LONGEST_PIECE) or run in chinese_words():
            yield run
        else:
            yield from (word for word in chinese_words() if word in run)


def _runs(piece: str, pairs: set[str]) -> Iterator[str]:
    """The longest stretches of a piece of which every pair of characters was matched."""
    start = 0
    for at in range(len(piece)):
        if piece[at : at + 2] not in pairs:
            if at > start:
                yield piece[start : at + 1]
            start = at + 1
