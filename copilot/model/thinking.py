"""What a model says to itself, told apart from its reply while both come as one text."""

from copilot.types.model_io import Piece, Thought

_OPEN, _CLOSE = "<think>", "</think>"


class LeakError(Exception):
    """Text that was already passed on turned out to be thinking."""


class ThinkingSplitter:
    """Splits text as it comes into thoughts and pieces of the reply.

    A server puts thinking into a field of its own; some tags say it aloud instead: between
    `<think>` and `</think>`, or, because the template wrote the opening tag, before a lone
    `</think>`.

    With `hold` nothing is passed on before `</think>` or the end is seen: the way for a model that
    is known, or not yet known not, to think aloud.
    """

    def __init__(self, *, hold: bool) -> None:
        self._hold = hold
        self._thinking = False
        self._begun = False
        self._text = ""
        self.leaked = False

    def feed(self, text: str) -> list[Thought | Piece]:
        """Return the thoughts and pieces that are certain so far; the last characters may wait."""
        self._text += text
        events: list[Thought | Piece] = []
        while (found := self._next_tag()) is not None:
            tag, before, self._text = found
            if tag == _CLOSE and not self._thinking and not self._hold and self._begun:
                raise LeakError
            self.leaked = True
            events += self._told(before, thought=tag == _CLOSE)
            self._thinking = tag == _OPEN
            self._hold = self._hold and self._thinking
        return [*events, *self._ready()]

    def end(self) -> list[Thought | Piece]:
        """Return what is left at the end of the reply."""
        rest, self._text = self._text, ""
        return self._told(rest, thought=self._thinking)

    def _next_tag(self) -> tuple[str, str, str] | None:
        places = [(self._text.find(tag), tag) for tag in (_OPEN, _CLOSE)]
        found = [(place, tag) for place, tag in places if place >= 0]
        if not found:
            return None
        place, tag = min(found)
        return tag, self._text[:place], self._text[place + len(tag) :]

    def _ready(self) -> list[Thought | Piece]:
        if self._hold and not self._thinking:
            return []
        kept = max(_overlap(self._text, tag) for tag in (_OPEN, _CLOSE))
        whole = len(self._text) - kept
        ready, self._text = self._text[:whole], self._text[whole:]
        return self._told(ready, thought=self._thinking)

    def _told(self, text: str, *, thought: bool) -> list[Thought | Piece]:
        if thought:
            return [Thought(text=text)] if text.strip() else []
        if not self._begun:
            text = text.lstrip()  # what a stripped thought leaves before an answer
        if not text:
            return []
        self._begun = True
        return [Piece(text=text)]


def _overlap(text: str, tag: str) -> int:
    """How much of the end of a text may be the start of a tag."""
    sizes = range(min(len(text), len(tag) - 1), 0, -1)
    return next((size for size in sizes if tag.startswith(text[-size:])), 0)
