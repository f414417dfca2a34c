"""Headers seen before: a stream writes the same ones again, with other digits."""

from typing import NamedTuple

from tools.log_retriever.headers import Header, split_header

_MOST = 20_000
_END = ": "
_BLANKS = " \t"
_ZEROS = str.maketrans("123456789", "000000000")
# What the grammar may still take for a part of the header.
_GOES_ON = tuple("0123456789,|;:-[")


_TEMPTING = ("ERROR: a.b.C: x", "May  1 10:00:00 x")
"""Messages that are taken for a part of any header that is not complete without them."""


class Layout(NamedTuple):
    """Where the parts of a header stand, and its level."""

    stamp: slice
    level: str
    component: slice


class Layouts:
    """Splits lines as `split_header` does, and remembers headers that their own text decides.

    Those have a stamp and a component that ends at the line's first colon, and no message that
    follows makes them longer. Only digits differ between lines of one layout.
    """

    def __init__(self) -> None:
        self._known: dict[str, Layout] = {}

    def split(self, text: str) -> tuple[Header, str]:
        """Header and message of one line."""
        text = text.lstrip(_BLANKS)
        end = text.find(_END) + len(_END)
        prefix = text[:end].translate(_ZEROS)
        layout = self._known.get(prefix)
        if layout is not None:
            message = text[end:].lstrip(_BLANKS)
            if message and not message.startswith(_GOES_ON):
                return Header(text[layout.stamp], layout.level, text[layout.component]), message
        header, message = split_header(text)
        if layout is None and end >= len(_END) and _decided(header, message, text, end):
            self._remember(prefix, header, text[:end])
        return header, message

    def _remember(self, prefix: str, header: Header, text: str) -> None:
        if len(self._known) >= _MOST:
            self._known.clear()
        stamp, component = text.rfind(header.stamp), text.rfind(header.component)
        self._known[prefix] = Layout(
            slice(stamp, stamp + len(header.stamp)),
            header.level,
            slice(component, component + len(header.component)),
        )


def _decided(header: Header, message: str, text: str, end: int) -> bool:
    """Whether the header ends where the first colon is, whatever message follows."""
    if not (header.stamp and header.component) or text.startswith("{"):
        return False
    if text[end:].lstrip(_BLANKS) != message or message.startswith(_GOES_ON):
        return False
    return all(split_header(text[:end] + each) == (header, each) for each in _TEMPTING)
