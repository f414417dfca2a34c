"""The shape of a masked message: its words, what stands between them, and which words may vary."""

import re
from dataclasses import dataclass

from tools.log_retriever.masks import VARIABLE

# Words lie between blanks and punctuation; a row of dots is a leader, not part of a word.
_PAIR = re.compile(
    r"((?:(?!\.\.)[^\s=,;:()\[\]{}<>|\"'#!?])*)((?:[\s=,;:()\[\]{}<>|\"'#!?]|\.\.+)+|$)"
)
_RUN = re.compile(rf"{VARIABLE}(?:[ ,;]+{VARIABLE})+")
# Printed objects and lists: what they hold is data, and there may be more of it the next time.
_OBJECT = re.compile(r"(\w)[({][^(){}\[\]=]*=[^(){}\[\]]*(?:[)}]|$)")
_LIST = re.compile(r"\[(?:[^\[\],]*,[^\[\]]*|\w+\(\x01\))(?:\]|$)|\{[^{},=]*[,=][^{}]*(?:\}|$)")
_NESTING = 4
# A listing longer than this is told in its short form from the start.
_MAX_TEXT = 128
# Dotted names, paths and addresses name an instance more often than they are prose.
_INSTANCE = re.compile(r"[\w$-]+(?:\.[\w$-]+)+|[^/@\\]*[/@\\].*", re.DOTALL)
_SUBJECTS = frozenset(("user", "username", "account", "login"))
_RUN_MARK = VARIABLE * 2

ANY = "\x02"
"""Stands in a key for a word of which experience, not its form, says that it varies."""

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words and the separators that follow them, `words[i] + gaps[i]`, in order."""

    words: Words
    gaps: Words

    @classmethod
    def of(cls, text: str) -> "Phrase":
        """Take a masked message apart; joining the pieces gives it back."""
        pairs = _PAIR.findall(text)
        return cls(tuple(word for word, _ in pairs), tuple(gap for _, gap in pairs))

    def __str__(self) -> str:
        return "".join(word + gap for word, gap in zip(self.words, self.gaps, strict=True))

    def generalised(self, other: "Phrase") -> "Phrase":
        """What both have in common; they must have equally many words."""
        merged = map(_common, self.words, other.words)
        return Phrase(tuple(merged), self.gaps)


@dataclass(frozen=True, slots=True)
class MessageShape:
    """Two messages of one shape share a template. `key` has `VARIABLE` for words that may vary."""

    key: Phrase
    text: Phrase
    short: Phrase


def shape_of(masked: str) -> MessageShape:
    """The shape of a message: lists of values count as one, nameable instances as variable."""
    text = Phrase.of(masked)
    folded = _RUN.sub(_RUN_MARK, _fold(masked))
    short = text if folded == masked else Phrase.of(folded)
    if len(text.words) > _MAX_TEXT:
        text = short
    words: list[str] = []
    before, ahead = "", ""
    for word, after in zip(short.words, short.gaps, strict=True):
        varies = word and _may_vary(word, before, after, ahead)
        words.append(VARIABLE if varies else word)
        before, ahead = after, words[-1]
    return MessageShape(Phrase(tuple(words), short.gaps), text, short)


def _fold(masked: str) -> str:
    """Replace what printed objects and lists hold by one variable, from the inside out."""
    for _ in range(_NESTING):
        before = masked
        masked = _LIST.sub(f"[{VARIABLE}]", _OBJECT.sub(rf"\1({VARIABLE})", masked))
        if masked == before:
            break
    return masked


def _may_vary(word: str, before: str, after: str, ahead: str) -> bool:
    """Whether form or neighbours (the gaps, the word ahead of it) say that a word is a value."""
    if VARIABLE in word or (_INSTANCE.fullmatch(word) and not after.startswith("=")):
        return True
    if before.endswith("=") and not before.endswith("=="):
        return True
    if before[-1:] in ("'", '"') and after[:1] == before[-1]:
        return True
    return before == " " and ahead.lower() in _SUBJECTS


def _common(one: str, other: str) -> str:
    if one == other:
        return one
    labels = one.split(".")
    shared = 0
    for a, b in zip(labels, other.split("."), strict=False):
        if a != b or VARIABLE in a:
            break
        shared += 1
    if shared < 2:
        return VARIABLE
    return ".".join((*labels[:shared], VARIABLE))
