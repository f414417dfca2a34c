"""Recognise the header of a log line and set it aside."""

from typing import NamedTuple

from tools.types import Timestamp


class Header(NamedTuple):
    """What stands before the message."""

    stamp: str = ""
    level: str = ""
    component: str = ""

    def timestamp(self, year: int) -> Timestamp | None:
        """Unix seconds of the stamp."""
        return None


def split_header(text: str) -> tuple[Header, str]:
    """Header and message of a line."""
    return Header(), text
