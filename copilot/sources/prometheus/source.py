"""Prometheus as a source of series, and of the call graph that its edge metrics tell of."""

import logging
import math
import threading
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from copilot.ports import Clock, SourceError
from copilot.sources.prometheus.call_graph import CallGraph
from copilot.sources.prometheus.client import PrometheusClient, Vector
from copilot.sources.prometheus.coverage import MetricCoverage
from copilot.sources.prometheus.owners import Owners
from copilot.sources.prometheus.plan import MOST_ASKED, PlannedQuery, QueryPlan, QueryPlanner
from copilot.sources.prometheus.promql import Query
from copilot.types.checks import Check
from tools.types import FloatArray, Series, Timestamp, Topology, Window

log = logging.getLogger(__name__)

PLANNED_S = 60.0
"""How long what a server can answer is taken as known: a new service is seen this much later."""

MOST_POINTS = 2880
"""Points per series of one look; a longer window is looked at in coarser steps."""

SHOWN_S = 300.0
MOST_SERIES = 2000
"""Series of one query; an owner label that explodes must not take the instruments with it."""


class PrometheusSource:
    """Asks the typed queries; safe to share between threads.

    Times lie on a fixed grid of the server's scrape interval (or a multiple of it), so a moment has
    the same value in whatever window it is asked for. Where a target was not scraped, or nothing
    happened of which a share could be told, the value is NaN. Nothing later than the clock is told.
    """

    def __init__(
        self,
        client: PrometheusClient,
        queries: Sequence[Query],
        clock: Clock,
        *,
        history_s: float = 21_600.0,
        step_s: float = 0.0,
    ) -> None:
        self._client = client
        self._planner = QueryPlanner(client, queries, step_s)
        self._owners = Owners()
        self._clock = clock
        self._history_s = history_s
        self._lock = threading.Lock()
        self._plan: QueryPlan | None = None
        self._planned = -math.inf
        self._problems: tuple[str, ...] = ()
        self._graph = CallGraph(client, clock, self._owners)

    def series(self, window: Window) -> Sequence[Series]:
        """Every query over the window; raises only where none of them was answered."""
        found: dict[str, Series] = {}
        for _, one in self._look(window):
            found.setdefault(one.name, one)
        return tuple(found.values())

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        """The history that ends before `before`."""
        end = math.nextafter(before, -math.inf)
        return self.series(Window(start=before - self._history_s, end=end))

    def topology(self) -> Topology:
        """Who calls whom, by the metrics of calls; what was seen once is not forgotten soon."""
        return self._graph.topology(self.plan())

    def problems(self) -> Sequence[str]:
        """What the last look could not be told, a line each."""
        return self._problems

    def describe(self) -> str:
        """The server, how many queries a look asks, and how many series these have now."""
        return self._coverage().summary(self._client.source, self.plan())

    def checks(self, elsewhere: Collection[str] = ()) -> Sequence[Check]:
        """What a person should know of these metrics: sets, owners, and what has no requests."""
        found = self._coverage()
        return found.checks(self._client.source, self.plan(), self._problems, elsewhere)

    def _coverage(self) -> MetricCoverage:
        now = self._clock.now()
        return MetricCoverage(self._look(Window(start=now - SHOWN_S, end=now)))

    def plan(self) -> QueryPlan:
        """What this server can be asked; looked up again after a while."""
        with self._lock:
            now = self._clock.now()
            if self._plan is None or not 0 <= now - self._planned < PLANNED_S:
                self._plan = self._planned_now(now)
                self._planned = now
            return self._plan

    def _planned_now(self, now: Timestamp) -> QueryPlan:
        try:
            found = self._planner.plan(now)
        except SourceError:
            if self._plan is None:
                raise
            return self._plan
        if not found.asked:
            problem = (
                f"has none of the metrics of {found.unknown} queries; "
                "write those it has to a file and name it in prometheus_queries"
            )
            raise SourceError(self._client.source, problem, recoverable=True)
        return found

    def _look(self, window: Window) -> list[tuple[PlannedQuery, Series]]:
        known = self.plan()
        grid = self._grid(window, known.step_s)
        if grid.size == 0:
            return []
        problems: list[str] = []
        if known.left_out:
            problems.append(f"{known.left_out} queries are left out: a look asks {MOST_ASKED}")
        answers = [(asked, self._answer(asked, grid, problems)) for asked in known.asked]
        failed = sum(answer is None for _, answer in answers)
        for asked, vectors in answers:
            self._owners.learn(asked.owned(one.labels) for one in vectors or ())
        found = [
            (asked, one)
            for asked, vectors in answers
            for one in self._read(asked, vectors or (), grid)
        ]
        self._note(problems, answered=bool(found) or failed < len(known.asked))
        return found

    def _grid(self, window: Window, step: float) -> FloatArray:
        end = min(window.end, self._clock.now())
        wide = step * max(1, math.ceil((end - window.start) / step / MOST_POINTS))
        first, last = math.ceil(window.start / wide), math.floor(end / wide)
        return wide * np.arange(first, last + 1, dtype=np.float64)

    def _answer(
        self, asked: PlannedQuery, grid: FloatArray, problems: list[str]
    ) -> tuple[Vector, ...] | None:
        named = f"{asked.query.metric} of {asked.query.of}"
        try:
            found = self._client.range(
                asked.expression, float(grid[0]), float(grid[-1]), _step(grid)
            )
        except SourceError as error:
            problems.append(f"{named}: {error.problem}")
            return None
        if len(found) > MOST_SERIES:
            by = ", ".join(one.name for one in asked.owners)
            problems.append(
                f"{named}: {len(found)} series by {by}, of which {MOST_SERIES} are read"
            )
        return found[:MOST_SERIES]

    def _read(
        self, asked: PlannedQuery, vectors: Sequence[Vector], grid: FloatArray
    ) -> Iterator[Series]:
        for vector in vectors:
            owner = self._owners.text(asked.owned(vector.labels), asked.query.owner)
            values = _laid(vector, grid)
            heard = np.flatnonzero(np.isfinite(values))
            if owner and heard.size:
                first = int(heard[0])
                query = asked.query
                yield Series(owner, query.metric, grid[first:], values[first:], query.unit)

    def _note(self, problems: Sequence[str], *, answered: bool) -> None:
        if not answered and problems:
            raise SourceError(self._client.source, problems[0], recoverable=True)
        if tuple(problems) != self._problems:
            for problem in problems:
                log.warning("%s: %s", self._client.source, problem)
        self._problems = tuple(problems)


def _step(grid: FloatArray) -> float:
    return float(grid[1] - grid[0]) if grid.size > 1 else 1.0


def _laid(vector: Vector, grid: FloatArray) -> FloatArray:
    """The points at their places in the grid; infinities are no measurements."""
    values = np.full(grid.size, np.nan)
    places = np.rint((vector.times - grid[0]) / _step(grid)).astype(np.int64)
    inside = (places >= 0) & (places < grid.size) & np.isfinite(vector.values)
    values[places[inside]] = vector.values[inside]
    return values
