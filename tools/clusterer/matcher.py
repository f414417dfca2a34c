"""Conditions on labels as Alertmanager has them: four operators, RE2 expressions, in text too."""

import re
from functools import cached_property
from typing import Any, Literal, Self

import re2
from pydantic import model_validator

from tools.types import FrozenModel

Operator = Literal["=", "!=", "=~", "!~"]

_QUIET = re2.Options()
_QUIET.log_errors = False  # a bad expression is the answer to who wrote it, no line on our terminal

_BY_FLAGS: dict[tuple[bool, bool], Operator] = {
    (False, True): "=",
    (False, False): "!=",
    (True, True): "=~",
    (True, False): "!~",
}
_FLAGS = {operator: flags for flags, operator in _BY_FLAGS.items()}

# The name is Prometheus's, or any other word of UTF-8, or quoted; `=~` stands before `=`.
_TEXT = re.compile(
    r"""\s*(?P<name>"(?:[^"\\]|\\.)+"|[^\s{}!=~,\\'"`]+)\s*(?P<operator>=~|=|!=|!~)\s*(?P<value>.*?)\s*""",
    re.DOTALL,
)
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


class Matcher(FrozenModel):
    """One condition on a label, in Alertmanager's four operators; a missing label is empty.

    Expressions are RE2 and match in full. Matching takes time linear in the length of the value.

    >>> Matcher(label="service", operator="=~", value="cart|checkout").matches({"service": "cart"})
    True
    """

    label: str
    operator: Operator = "="
    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name="value"` as amtool and Alertmanager's API do; quotes may be left out.

        >>> str(Matcher.parse('severity =~ "critical|page"'))
        'severity=~"critical|page"'
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"bad matcher format: {text}")
        name = found["name"]
        label = _unquoted(name, name) if name.startswith('"') else name
        value = _unquoted(found["value"], found["value"])
        return cls.model_validate({"label": label, "operator": found["operator"], "value": value})

    @classmethod
    def flagged(cls, label: str, value: str, *, regex: bool, equal: bool) -> Self:
        """From the two flags by which Alertmanager's API says the operator."""
        return cls(label=label, operator=_BY_FLAGS[regex, equal], value=value)

    @property
    def flags(self) -> tuple[bool, bool]:
        """Whether it is an expression, and whether it asks for equality: `isRegex`, `isEqual`."""
        return _FLAGS[self.operator]

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        if self.operator in ("=~", "!~"):
            try:
                re2.compile(self.value, _QUIET)
            except (re2.error, UnicodeEncodeError) as problem:
                raise ValueError(
                    f"matcher on {self.label!r}: {self.value!r} is not a regular expression "
                    f"({_reason(problem)}); correct the pattern"
                ) from problem
        return self

    @cached_property
    def _pattern(self) -> Any:
        return re2.compile(self.value, _QUIET)

    @property
    def holds_without(self) -> bool:
        """Whether it asks for a value that an absent label has; negations ask for none.

        As `matchesEmpty` in prometheus/alertmanager `silence/silence.go`.
        """
        return self.operator in ("=", "=~") and self.matches({})

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether the label set satisfies the condition."""
        found = labels.get(self.label, "")
        if self.operator == "=":
            return found == self.value
        if self.operator == "!=":
            return found != self.value
        hit = self._pattern.fullmatch(found) is not None
        return hit if self.operator == "=~" else not hit

    def __str__(self) -> str:
        """As `parse` reads it."""
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.operator}"{escaped}"'


def all_match(matchers: tuple[Matcher, ...], labels: dict[str, str]) -> bool:
    """Whether every condition holds."""
    return all(matcher.matches(labels) for matcher in matchers)


def expression_fault(expression: str) -> str:
    """What is wrong with an RE2 expression, with the place; empty where it can be used."""
    try:
        re2.compile(expression, _QUIET)
    except (re2.error, UnicodeEncodeError) as problem:
        return _reason(problem)
    return ""


def _reason(problem: Exception) -> str:
    """RE2 names what it did not expect and where, in bytes."""
    said = problem.args[0] if problem.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(problem)


def _unquoted(raw: str, shown: str) -> str:
    """The text of a value, by OpenMetrics' rules: a lone backslash stands for itself."""
    quoted = raw.startswith('"')
    rest, out = raw[quoted:], []
    closed = not quoted
    position = 0
    while position < len(rest):
        letter = rest[position]
        following = rest[position + 1 : position + 2]
        if letter == "\\" and following:
            out.append(_ESCAPED.get(following, letter + following))
            position += 2
            continue
        if letter == '"':
            if closed or following:
                raise ValueError(f"matcher value contains unescaped double quote: {shown}")
            closed = True
        else:
            out.append(letter)
        position += 1
    if not closed:
        raise ValueError(f"matcher value contains unescaped double quote: {shown}")
    return "".join(out)
