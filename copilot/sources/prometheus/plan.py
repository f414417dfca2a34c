"""Which queries a server can answer, by the names it knows: looked up cheaply, and bounded."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from statistics import median

from copilot.ports import SourceError
from copilot.sources.json_api import AnswerError
from copilot.sources.prometheus.client import PrometheusClient
from copilot.sources.prometheus.owners import MOST_CANDIDATES, OwnedName, OwnerLabel, owned_by
from copilot.sources.prometheus.promql import HistogramForm, Query
from tools.types import FrozenModel, Timestamp

RECENT_S = 3600.0
"""A metric that nobody exported within this time is not asked for."""

SCRAPES = 4.0
"""Scrapes in the range of a rate: it survives a lost one, and says a change within a few."""

DEFAULT_SCRAPE_S = 15.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


MOST_ASKED = 200
"""Queries of one look: each is one request."""

KNOWN_S = 300.0
"""How long a metric's labels, and whether it is a native histogram, are taken as known."""


class PlannedQuery(FrozenModel):
    """A query this server can answer: its text, and the labels that name the owner."""

    query: Query
    labels: tuple[str, ...]
    form: HistogramForm
    most: int
    owners: tuple[OwnerLabel, ...]
    namespaces: tuple[OwnerLabel | None, ...]
    expression: str

    def owned(self, labels: Mapping[str, str]) -> tuple[OwnedName, ...]:
        """The owner that an answer's labels name, and the callee."""
        exporter = self.query.exporter
        return owned_by(self.owners, self.namespaces, labels, exporter=exporter)

    def over(self, range_s: float) -> str:
        """The same asked over another range."""
        return self.query.render(self.labels, range_s, self.form, self.most) or self.expression


class QueryPlan(FrozenModel):
    """What is asked of one server; `unknown` counts the queries whose metric it does not have,
    `left_out` those beyond what one look may ask."""

    asked: tuple[PlannedQuery, ...]
    unknown: int
    step_s: float
    left_out: int = 0


class QueryPlanner:
    """Looks at one server; what it learned of a metric is kept for a while."""

    def __init__(self, client: PrometheusClient, queries: Sequence[Query], step_s: float) -> None:
        self._client, self._queries, self._step_s = client, tuple(queries), step_s
        self._labels: dict[str, tuple[Timestamp, frozenset[str]]] = {}
        self._whole: dict[tuple[str, str], tuple[Timestamp, bool]] = {}
        self._native: dict[str, tuple[Timestamp, bool]] = {}

    def plan(self, now: Timestamp) -> QueryPlan:
        """What the server can be asked; `step_s` 0 means: as often as it scrapes."""
        known = self._client.names(now - RECENT_S, now)
        step = self._step_s or _scraped_every(self._client)
        found = [
            planned
            for query in self._queries
            for form in self._forms(query, known, now)
            if (planned := self._planned(query, form, SCRAPES * step, now)) is not None
        ]
        unknown = len(self._queries) - len({id(one.query) for one in found})
        left_out = max(0, len(found) - MOST_ASKED)
        return QueryPlan(
            asked=tuple(found[:MOST_ASKED]), unknown=unknown, step_s=step, left_out=left_out
        )

    def _forms(
        self, query: Query, known: frozenset[str], now: Timestamp
    ) -> Iterator[HistogramForm]:
        """In which forms the server has the metric: services may differ while they change."""
        if known.issuperset(query.needs()):
            yield "classic"
        name = query.histogram
        if name not in known:
            return
        if "quantile" in self._labels_of(name, now):
            if query.shape == "quantile":
                yield "summary"
        elif self._is_native(name, now):
            yield "native"

    def _planned(
        self, query: Query, form: HistogramForm, range_s: float, now: Timestamp
    ) -> PlannedQuery | None:
        labels = self._labels_of(query.needs(form)[0], now)
        most = self._candidates(query, form, labels, now)
        owners = query.owners(labels, most)
        expression = query.render(labels, range_s, form, most)
        if owners is None or expression is None:
            return None
        return PlannedQuery(
            query=query,
            labels=tuple(sorted(labels)),
            form=form,
            most=most,
            owners=owners,
            namespaces=query.namespaces(labels),
            expression=expression,
        )

    def _candidates(
        self, query: Query, form: HistogramForm, labels: Collection[str], now: Timestamp
    ) -> int:
        """How many labels are tried for an owner: one, if every series has the first of them."""
        if form == "native":
            return 1
        name = query.needs(form)[0]
        first = [one.read_from[0] for one in query.owners(labels) or () if len(one.read_from) > 1]
        return 1 if all(self._everywhere(name, label, now) for label in first) else MOST_CANDIDATES

    def _everywhere(self, name: str, label: str, now: Timestamp) -> bool:
        known = self._whole.get((name, label))
        if known is None or not 0 <= now - known[0] < KNOWN_S:
            known = now, not self._client.instant(f'count({name}{{{label}=""}})', now)
            self._whole[name, label] = known
        return known[1]

    def _labels_of(self, name: str, now: Timestamp) -> frozenset[str]:
        known = self._labels.get(name)
        if known is None or not 0 <= now - known[0] < KNOWN_S:
            known = now, self._client.labels(name, now - RECENT_S, now)
            self._labels[name] = known
        return known[1]

    def _is_native(self, name: str, now: Timestamp) -> bool:
        """Whether a series without endings is a histogram: a server that knows none says no.

        The type is in the metadata of a scrape, which remote write and recording rules do not have.
        """
        at, native = self._native.get(name, (-math.inf, False))
        if now - at >= (KNOWN_S if native else 1.0):
            native = self._answers_as_native(name, now)
            self._native[name] = now, native
        return native

    def _answers_as_native(self, name: str, now: Timestamp) -> bool:
        try:
            return bool(self._client.instant(f"count(histogram_count({name}))", now))
        except AnswerError as error:
            if 400 <= error.status < 500:
                return False
            raise


def _scraped_every(client: PrometheusClient) -> float:
    """The usual interval of the targets; the default where a server does not tell of targets."""
    try:
        intervals = [seconds(target.interval) for target in client.targets()]
    except SourceError:
        return DEFAULT_SCRAPE_S
    return _usual(one for one in intervals if one > 0)


def _usual(intervals: Iterable[float]) -> float:
    found = list(intervals)
    return median(found) if found else DEFAULT_SCRAPE_S


def seconds(duration: str) -> float:
    """Seconds of a Prometheus duration; 0 where it is none.

    >>> seconds("1m30s")
    90.0
    """
    parts = _DURATION.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration:
        return 0.0
    return sum(float(number) * _UNIT[unit] for number, unit in parts)
