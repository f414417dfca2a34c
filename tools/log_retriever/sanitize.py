"""Make hostile text safe to show: no control characters, no escape sequences, one line, capped."""

import re

# CSI and OSC sequences with bounded bodies, then any other two-character escape.
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]?"
    r"|\x1b\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)?"
    r"|\x1b.?"
)
_BREAKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
# Controls, soft hyphen, zero width, bidi marks and overrides, isolates, fillers, byte order mark,
# interlinear annotation, lone surrogates, private-use tags.
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_ELLIPSIS = "…"


def strip_controls(text: str) -> str:
    """The text without escape sequences and invisible characters; breaks and tabs become blanks."""
    return INVISIBLE.sub("", _BREAKS.sub(" ", _ANSI.sub("", text)))


def sanitize(text: str, limit: int = 300) -> str:
    r"""One safe line of at most `limit` characters.

    Escape sequences are removed whole, line breaks and tabs become one space, invisible and
    direction-changing characters and lone surrogates are dropped, and what is cut off ends in `…`.
    The text is cut before anything is matched, so that a megabyte costs no more than a line.

    >>> sanitize("\x1b[31mred\x1b[0m\nalert\u202e!")
    'red alert!'
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit!r}")
    if len(text) <= limit and text.isprintable():
        return text.strip()
    head = text[: 4 * limit + 1024]
    shown = strip_controls(head)
    if not shown.isprintable():
        # What is left has no shape here: wide blanks, private and unassigned characters.
        shown = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in shown)
    shown = shown.strip()
    if len(shown) > limit or len(head) < len(text):
        return shown[: limit - 1].rstrip() + _ELLIPSIS
    return shown


def plain(text: str, limit: int) -> str:
    """Untrusted text as text: one safe line, and nothing in it that Markdown would act on."""
    clean = sanitize(text, limit).replace("<*>", "…")
    return clean.translate(_INERT).replace("](", "] (")


_INERT = str.maketrans({"`": "'", "<": "‹", "*": "∗"})
