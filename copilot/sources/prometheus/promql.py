"""Typed queries and the PromQL they become. No text is pasted: names are checked, values escaped.

A query has one of a closed set of shapes. Where a metric may carry a label under several names, the
query lists them and the first that a series really has is taken.
"""

from collections.abc import Collection, Iterable
from typing import Literal, Self

from pydantic import Field, model_validator

from copilot.sources.prometheus.matchers import LABEL, METRIC, QueryMatcher, check, quoted
from copilot.sources.prometheus.owners import (
    CALLEE_LABELS,
    CALLER_LABELS,
    MOST_CANDIDATES,
    NAMESPACE_LABELS,
    NODE_LABELS,
    SERVICE_LABELS,
    OwnerLabel,
    chosen,
)
from copilot.types.errors import OperatorError
from tools.types import FrozenModel

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


HistogramForm = Literal[
    "classic",  # series for each bucket, the sum and the count
    "native",  # one series that holds all
    "summary",  # series for the quantiles that the instance calculated
]


class QueryError(OperatorError):
    """A query of the operator's file is not one; the message says which and why."""


class Query(FrozenModel):
    """What to ask: our metric's name, a shape, the server's metric, and whose it is.

    `of` is the server's metric (of a histogram without `_bucket`); `where` holds for all of it,
    `part` tells the part of a share (or of what is used) by labels, or `part_of` by another metric,
    `plus` what has to be added to `of` to make the whole; `limit` is the metric that `used` and
    `unused` divide by.
    `edge` queries are the caller's view of a callee. Where a pod is the owner, its workload is.
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
    namespace: tuple[str, ...] = NAMESPACE_LABELS
    callee_namespace: tuple[str, ...] = ()
    each: Literal["", "instance", "container", "device"] = Field(
        default="", description="The worst instance, container or device, not the sum of all."
    )
    per: tuple[str, ...] = Field(
        default=(), description="`used` sums gauge and limit per owner and these before dividing."
    )
    set: str = Field(default="", max_length=80, description="The set of queries it belongs to.")
    exporter: bool = Field(
        default=False, description="An exporter's name tells what it exports of: `mysql-exporter`."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in (self.of, *filter(None, (self.part_of, self.plus, self.limit))):
            check(METRIC, name, "metric")
        labels = (*self.service, *self.callee, *self.namespace, *self.callee_namespace, *self.per)
        for label in labels:
            check(LABEL, label, "label")
        if (self.shape == "share") != bool(self.part or self.part_of) and self.shape != "used":
            raise ValueError("a share, and nothing else but `used`, has `part` or `part_of`")
        if self.plus and self.shape != "share":
            raise ValueError("only a share has `plus`")
        if (self.shape in ("used", "unused")) != bool(self.limit):
            raise ValueError("`used` and `unused`, and nothing else, have a `limit`")
        return self

    @property
    def histogram(self) -> str:
        """The histogram that is asked, without its ending; empty where no counts are added."""
        if self.shape in ("quantile", "mean"):
            return self.of
        counts = self.shape in ("rate", "share") and not (self.part_of or self.plus)
        return self.of.removesuffix("_count") if counts and self.of.endswith("_count") else ""

    def needs(self, form: HistogramForm = "classic") -> tuple[str, ...]:
        """The names the server must know for this to be asked."""
        if form == "native" or (form == "summary" and self.shape == "quantile"):
            return (self.histogram,)
        stored = {"quantile": (f"{self.of}_bucket",), "mean": _sum_and_count(self.of)}
        others = filter(None, (self.part_of, self.plus, self.limit))
        return (*stored.get(self.shape, (self.of,)), *others)

    def owners(
        self, labels: Collection[str], most: int = MOST_CANDIDATES
    ) -> tuple[OwnerLabel, ...] | None:
        """What makes the owner, of the labels the metric has; None where one part is missing."""
        service = {"edge": CALLER_LABELS, "node": NODE_LABELS, "service": SERVICE_LABELS}
        candidates = self.service or service[self.owner]
        found: tuple[OwnerLabel | None, ...] = (chosen(candidates, labels, "owner", most),)
        if self.owner == "edge":
            found = (*found, chosen(self.callee, labels, "owner_called", most))
        return None if None in found else tuple(one for one in found if one is not None)

    def namespaces(self, labels: Collection[str]) -> tuple[OwnerLabel | None, ...]:
        """Where each of the owners lives; None where the metric does not tell."""
        if self.owner == "node":
            return (None,)
        own = chosen(self.namespace, labels, "owner_namespace", 1)
        if self.owner == "service":
            return (own,)
        return (own, chosen(self.callee_namespace, labels, "owner_called_namespace", 1))

    def render(
        self,
        labels: Collection[str],
        range_s: float,
        form: HistogramForm = "classic",
        most: int = MOST_CANDIDATES,
    ) -> str | None:
        """The PromQL for a metric with these labels; None where it lacks one that is needed.

        `most` labels are tried for each part of the owner.
        """
        owners = self.owners(labels, most)
        where = _all(self.where, labels)
        part = _all(self.part, labels)
        if owners is None or where is None or part is None:
            return None
        told = (*owners, *filter(None, self.namespaces(labels)))
        parts = _Parts(self, told, where, part, f"{range_s:g}s", form)
        shape = _told if form == "summary" and self.shape == "quantile" else _SHAPES[self.shape]
        return _scaled(shape(parts), self)


class _Parts:
    """The pieces every shape is put together from.

    Where a label of the owner has to be made of others, it is made of sums by these, of which there
    are fewer; of instances that are kept apart, it is made at the end.
    """

    def __init__(
        self,
        query: Query,
        owners: tuple[OwnerLabel, ...],
        where: tuple[str, ...],
        part: tuple[str, ...],
        window: str,
        form: HistogramForm,
    ) -> None:
        self.query, self.where, self.part = query, where, part
        self._owners, self._window, self._form = owners, window, form
        self._by = [one.name for one in owners]
        self._read_from = list(dict.fromkeys(name for one in owners for name in one.read_from))
        apart = {"": (), "container": ("pod", "container")}.get(query.each, (query.each,))
        self._apart = list(dict.fromkeys((*self._read_from, *apart)))

    def grown(self, name: str, *also: str, part: bool = False) -> str:
        """Growth per second, summed; of a native histogram that of its count or sum."""
        conditions = (*self.where, *(self.part if part else ()))
        if self._form == "native":
            ending = name.removeprefix(f"{self.query.histogram}_")
            heard = f"histogram_{ending}({self._heard('rate', self.query.histogram, conditions)})"
        else:
            heard = self._heard("rate", name, conditions)
        if self.query.each:
            return _by("sum", (*also, *self._apart), heard)
        return self.together("sum", heard, *also)

    def gauge(self, name: str, *conditions: str) -> str:
        """What a gauge said last."""
        return self._heard("last_over_time", name, (*self.where, *conditions))

    def together(self, function: str, expression: str, *also: str) -> str:
        """One value per owner (and what else is named) of what series say."""
        if self._by != self._read_from and function != "avg":  # a mean of means is another mean
            expression = _by(function, (*also, *self._read_from), expression)
        return _by(function, (*also, *self._by), self._made(expression))

    def quantile(self) -> str:
        """A quantile of a histogram.

        Prometheus 2 loses a native histogram in `label_replace`: where the owner's label has to be
        made, the highest quantile of its parts is told.
        """
        asked = f"histogram_quantile({self.query.quantile:g}, {{}})"
        if self._form != "native":
            return self.worst(asked.format(self.grown(f"{self.query.of}_bucket", "le")))
        heard = self._heard("rate", self.query.of, self.where)
        found = asked.format(_by("sum", self._apart, heard))
        return found if self._apart == self._by else _by("max", self._by, self._made(found))

    def worst(self, expression: str) -> str:
        """The highest of the instances, where these were kept apart."""
        return _by("max", self._by, self._made(expression)) if self.query.each else expression

    def _made(self, expression: str) -> str:
        for one in self._owners:
            expression = one.made(expression)
        return expression

    def _heard(self, function: str, name: str, conditions: tuple[str, ...]) -> str:
        """What a target that could not be scraped last said is no measurement of now."""
        said = f"{function}({name}{{{', '.join(conditions)}}}[{self._window}])"
        return said if name == "up" else f"{said} unless on (job, instance) (up == 0)"


def _by(function: str, labels: Iterable[str], expression: str) -> str:
    return f"{function} by ({', '.join(dict.fromkeys(labels))}) ({expression})"


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
    return parts.quantile()


def _told(parts: _Parts) -> str:
    """The quantile that each instance told of itself; of several the worst."""
    condition = f"quantile={quoted(f'{parts.query.quantile:g}')}"
    return parts.together("max", parts.gauge(parts.query.of, condition))


def _mean(parts: _Parts) -> str:
    total, count = _sum_and_count(parts.query.of)
    return parts.worst(f"{parts.grown(total)} / ({parts.grown(count)} > 0)")


def _over_instances(parts: _Parts) -> str:
    return parts.together(parts.query.shape, parts.gauge(parts.query.of))


def _used(parts: _Parts) -> str:
    gauge, limit = parts.gauge(parts.query.of, *parts.part), parts.gauge(parts.query.limit)
    per = parts.query.per
    if per:
        used, most = (parts.together("sum", one, *per) for one in (gauge, f"({limit}) > 0"))
        return f"max without ({', '.join(per)}) ({used} / {most})"
    free = "1 - " if parts.query.shape == "unused" else ""
    return parts.together("max", f"{free}({gauge}) / (({limit}) > 0)")


def _left(parts: _Parts) -> str:
    return f"{parts.together('min', parts.gauge(parts.query.of))} - time()"


def _apart(parts: _Parts) -> str:
    return parts.together("max", f"abs({parts.gauge(parts.query.of)})")


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


def _all(matchers: tuple[QueryMatcher, ...], labels: Collection[str]) -> tuple[str, ...] | None:
    rendered = tuple(matcher.render(labels) for matcher in matchers)
    kept = tuple(one for one in rendered if one is not None)
    return kept if len(kept) == len(rendered) else None


def _sum_and_count(name: str) -> tuple[str, str]:
    return f"{name}_sum", f"{name}_count"


def _scaled(expression: str, query: Query) -> str:
    return expression if query.scale == 1.0 else f"{query.scale:.12g} * ({expression})"
