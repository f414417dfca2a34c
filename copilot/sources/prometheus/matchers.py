"""Conditions on labels, and the text that PromQL is made of: names are checked, values escaped."""

import re
from collections.abc import Collection
from typing import Literal, Self

from pydantic import Field, model_validator

from tools.types import FrozenModel

METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class QueryMatcher(FrozenModel):
    """A condition on the first of `label` that the metric has.

    `in` and `not_in` compare whole values, literally; `matches` and `matches_not` take a regular
    expression (RE2, anchored) as it is.
    """

    label: tuple[str, ...] = Field(min_length=1)
    operator: Literal["in", "not_in", "matches", "matches_not"] = "in"
    values: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _named(self) -> Self:
        for label in self.label:
            check(LABEL, label, "label")
        if self.operator.startswith("matches") and len(self.values) != 1:
            raise ValueError(f"{self.operator!r} takes one regular expression, not {self.values!r}")
        return self

    def render(self, labels: Collection[str]) -> str | None:
        """The condition in PromQL; None where the metric has none of the labels.

        That a label is there can be asked before it ever was: OpenTelemetry's `error.type` comes
        with the first error.

        >>> QueryMatcher(label=("status", "code"), values=('5"x', "a.b")).render({"code"})
        'code=~"5\\\\"x|a\\\\\\\\.b"'
        """
        label = next((name for name in self.label if name in labels), None)
        if label is None:
            told = self.operator == "not_in" and self.values == ("",)
            return f'{self.label[0]}!=""' if told else None
        if self.operator.startswith("matches"):
            return f"{label}{'=~' if self.operator == 'matches' else '!~'}{quoted(self.values[0])}"
        if len(self.values) == 1:
            return f"{label}{'=' if self.operator == 'in' else '!='}{quoted(self.values[0])}"
        pattern = "|".join(map(literal, self.values))
        return f"{label}{'=~' if self.operator == 'in' else '!~'}{quoted(pattern)}"


def quoted(value: str) -> str:
    r"""A PromQL string; what is not printable in it is written as an escape.

    >>> print(quoted('say "no"\n'))
    "say \"no\"\n"
    """
    plain = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else _escaped(c) for c in plain) + '"'


def literal(value: str) -> str:
    """A regular expression of RE2 that matches this text and no other.

    >>> literal("a.b|c")
    'a\\\\.b\\\\|c'
    """
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", value)


def _escaped(letter: str) -> str:
    if letter == "\n":
        return "\\n"
    number = ord(letter)
    if 0xD800 <= number <= 0xDFFF:
        return "\\ufffd"  # half a character, which no UTF-8 text holds
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def check(pattern: re.Pattern[str], name: str, what: str) -> None:
    """Raise ValueError where a name is none."""
    if not pattern.fullmatch(name) or len(name) > 200:
        raise ValueError(f"{name!r} is no {what} name")
