"""Typed queries and the PromQL they become. No text is pasted: names are checked, values escaped.

A query has one of a closed set of shapes. Where a metric may carry a label under several names, the
query lists them and the first that the metric really has is taken.
"""

import re
from collections.abc import Collection
from typing import Literal, Self

from pydantic import Field, model_validator

from copilot.types.errors import OperatorError
from tools.types import FrozenModel

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

QueryShape = Literal[
    "rate",  # growth of a counter per second, summed
    "share",  # growth of `part` (or of the metric where `part` holds) in that of the metric
    "quantile",  # of a histogram
    "mean",  # of a histogram or summary: growth of its sum by that of its count
    "sum",  # of a gauge over the instances
    "avg",
    "max",
    "min",
    "used",  # the highest share of `limit` that a gauge has reached
    "unused",  # the highest share of `limit` that a gauge of what is free leaves
    "left",  # seconds until the earliest moment that a gauge names
    "apart",  # the largest distance of a gauge from zero
]


SERVICE_LABELS = (
    "service",
    "service_name",
    "app",
    "app_kubernetes_io_name",
    "deployment",
    "container",
    "job",
)
CALLEE_LABELS = (
    "callee",
    "peer_service",
    "upstream",
    "destination_service_name",
    "destination",
    "server_address",
    "net_peer_name",
    "target",
    "host",
)
NODE_LABELS = ("node", "nodename", "instance")
CALLER_LABELS = ("caller", "source_workload", *SERVICE_LABELS)


class QueryError(OperatorError):
    """A query of the operator's file is not one; the message says which and why."""


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
            _check(_LABEL, label, "label")
        if self.operator.startswith("matches") and len(self.values) != 1:
            raise ValueError(f"{self.operator!r} takes one regular expression, not {self.values!r}")
        return self

    def render(self, labels: Collection[str]) -> str | None:
        """The condition in PromQL; None where the metric has none of the labels.

        >>> QueryMatcher(label=("status", "code"), values=('5"x', "a.b")).render({"code"})
        'code=~"5\\\\"x|a\\\\\\\\.b"'
        """
        label = next((name for name in self.label if name in labels), None)
        if label is None:
            return None
        if self.operator.startswith("matches"):
            return f"{label}{'=~' if self.operator == 'matches' else '!~'}{quoted(self.values[0])}"
        if len(self.values) == 1:
            return f"{label}{'=' if self.operator == 'in' else '!='}{quoted(self.values[0])}"
        pattern = "|".join(map(literal, self.values))
        return f"{label}{'=~' if self.operator == 'in' else '!~'}{quoted(pattern)}"


class Query(FrozenModel):
    """What to ask: our metric's name, a shape, the server's metric, and whose it is.

    `of` is the server's metric (of a histogram without `_bucket`); `where` holds for all of it,
    `part` tells the part of a share by labels, or `part_of` by another metric, `plus` what has to
    be added to `of` to make the whole; `limit` is the metric that `used` and `unused` divide by.
    `edge` queries are the caller's view of a callee.
    """

    metric: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    unit: str = ""
    shape: QueryShape
    of: str
    where: tuple[QueryMatcher, ...] = ()
    part: tuple[QueryMatcher, ...] = ()
    part_of: str = ""
    plus: str = ""
    limit: str = ""
    scale: float = 1.0
    quantile: float = Field(default=0.95, gt=0, lt=1)
    owner: Literal["service", "edge", "node"] = "service"
    service: tuple[str, ...] = ()
    callee: tuple[str, ...] = CALLEE_LABELS
    each: Literal["", "instance"] = Field(
        default="", description="`instance`: the worst instance, not the sum of all."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in (self.of, *filter(None, (self.part_of, self.plus, self.limit))):
            _check(_METRIC, name, "metric")
        for label in (*self.service, *self.callee):
            _check(_LABEL, label, "label")
        if (self.shape == "share") != bool(self.part or self.part_of):
            raise ValueError("a share, and nothing else, has `part` or `part_of`")
        if self.plus and self.shape != "share":
            raise ValueError("only a share has `plus`")
        if (self.shape in ("used", "unused")) != bool(self.limit):
            raise ValueError("`used` and `unused`, and nothing else, have a `limit`")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """The names the server must know for this to be asked."""
        stored = {"quantile": (f"{self.of}_bucket",), "mean": _sum_and_count(self.of)}
        others = filter(None, (self.part_of, self.plus, self.limit))
        return (*stored.get(self.shape, (self.of,)), *others)

    def owners(self, labels: Collection[str]) -> tuple[str, ...] | None:
        """The labels that make the owner, of those the metric has; None where one is missing."""
        service = {"edge": CALLER_LABELS, "node": NODE_LABELS, "service": SERVICE_LABELS}
        found: tuple[str, ...] = (_first(self.service or service[self.owner], labels),)
        if self.owner == "edge":
            found = (*found, _first(self.callee, labels))
        return None if "" in found else found

    def render(self, labels: Collection[str], range_s: float) -> str | None:
        """The PromQL for a metric with these labels; None where it lacks one that is needed."""
        by = self.owners(labels)
        where = _all(self.where, labels)
        part = _all(self.part, labels)
        if by is None or where is None or part is None:
            return None
        return _scaled(_SHAPES[self.shape](_Parts(self, by, where, part, f"{range_s:g}s")), self)


class _Parts:
    """The pieces every shape is put together from."""

    def __init__(
        self,
        query: Query,
        by: tuple[str, ...],
        where: tuple[str, ...],
        part: tuple[str, ...],
        window: str,
    ) -> None:
        self.query, self.where, self.part, self._window = query, where, part, window
        self.by = ", ".join(by)
        self.each = f"{self.by}, {query.each}" if query.each and query.each not in by else self.by

    def grown(self, name: str, *, part: bool = False, by: str = "") -> str:
        conditions = (*self.where, *(self.part if part else ()))
        return f"sum by ({by or self.each}) ({self._heard('rate', name, conditions)})"

    def gauge(self, name: str) -> str:
        return self._heard("last_over_time", name, self.where)

    def worst(self, expression: str) -> str:
        """The highest of the instances, where these were kept apart."""
        return expression if self.each == self.by else f"max by ({self.by}) ({expression})"

    def _heard(self, function: str, name: str, conditions: tuple[str, ...]) -> str:
        """What a target that could not be scraped last said is no measurement of now."""
        said = f"{function}({name}{{{', '.join(conditions)}}}[{self._window}])"
        return said if name == "up" else f"{said} unless on (job, instance) (up == 0)"


def _rate(parts: _Parts) -> str:
    return parts.worst(parts.grown(parts.query.of))


def _share(parts: _Parts) -> str:
    whole = parts.grown(parts.query.of)
    if parts.query.plus:
        whole = f"({whole} + {parts.grown(parts.query.plus)})"
    some = parts.grown(parts.query.part_of or parts.query.of, part=bool(parts.part))
    # A part that never happened has no series: its share is zero, not unknown.
    return parts.worst(f"({some} or 0 * {whole}) / ({whole} > 0)")


def _quantile(parts: _Parts) -> str:
    grown = parts.grown(f"{parts.query.of}_bucket", by=f"le, {parts.each}")
    return parts.worst(f"histogram_quantile({parts.query.quantile:g}, {grown})")


def _mean(parts: _Parts) -> str:
    total, count = _sum_and_count(parts.query.of)
    return parts.worst(f"{parts.grown(total)} / ({parts.grown(count)} > 0)")


def _over_instances(parts: _Parts) -> str:
    return f"{parts.query.shape} by ({parts.by}) ({parts.gauge(parts.query.of)})"


def _used(parts: _Parts) -> str:
    free = "1 - " if parts.query.shape == "unused" else ""
    filled = f"({parts.gauge(parts.query.of)}) / ({parts.gauge(parts.query.limit)})"
    return f"max by ({parts.by}) ({free}{filled})"


def _left(parts: _Parts) -> str:
    return f"min by ({parts.by}) ({parts.gauge(parts.query.of)}) - time()"


def _apart(parts: _Parts) -> str:
    return f"max by ({parts.by}) (abs({parts.gauge(parts.query.of)}))"


_SHAPES = {
    "rate": _rate,
    "share": _share,
    "quantile": _quantile,
    "mean": _mean,
    "sum": _over_instances,
    "avg": _over_instances,
    "max": _over_instances,
    "min": _over_instances,
    "used": _used,
    "unused": _used,
    "left": _left,
    "apart": _apart,
}


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


def _check(pattern: re.Pattern[str], name: str, what: str) -> None:
    if not pattern.fullmatch(name) or len(name) > 200:
        raise ValueError(f"{name!r} is no {what} name")


def _first(candidates: tuple[str, ...], labels: Collection[str]) -> str:
    return next((name for name in candidates if name in labels), "")


def _all(matchers: tuple[QueryMatcher, ...], labels: Collection[str]) -> tuple[str, ...] | None:
    rendered = tuple(matcher.render(labels) for matcher in matchers)
    kept = tuple(one for one in rendered if one is not None)
    return kept if len(kept) == len(rendered) else None


def _sum_and_count(name: str) -> tuple[str, str]:
    return f"{name}_sum", f"{name}_count"


def _scaled(expression: str, query: Query) -> str:
    return expression if query.scale == 1.0 else f"{query.scale:.12g} * ({expression})"
