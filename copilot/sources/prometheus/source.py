"""Prometheus as a source of series, and of the call graph that its edge metrics tell of."""

import logging
import math
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from copilot.ports import Clock, SourceError
from copilot.sources.prometheus.client import PrometheusClient, Vector
from copilot.sources.prometheus.coverage import MetricCoverage
from copilot.sources.prometheus.owners import OwnedName, Owners
from copilot.sources.prometheus.plan import MOST_ASKED, PlannedQuery, QueryPlan, QueryPlanner
from copilot.sources.prometheus.promql import Query
from copilot.types.checks import Check
from tools.types import Edge, FloatArray, Series, Timestamp, Topology, Window

log = logging.getLogger(__name__)

PLANNED_S = 60.0
"""How long what a server can answer is taken as known: a new service is seen this much later."""

MOST_POINTS = 1500
"""Points per series of one look; a longer window is looked at in coarser steps. Six hours at 15 s
are 1440: source: `history_s` and the default scrape interval."""

SHOWN_S = 300.0
LEAST_SERIES, MOST_READ = 2000, 4_000_000
"""Series of one query that are read whatever the window, and points beyond these: an owner label
that explodes must not take the instruments with it. 32 MB of points a query."""


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
        answers = [(asked, self._answer(asked, grid, problems)) for asked in known.asked]
        if known.left_out:
            problems.append(f"{known.left_out} queries are left out: a look asks {MOST_ASKED}")
        failed = sum(answer is None for _, answer in answers)
        owned = [
            (asked, [(asked.owned(labels), values) for labels, values in told or ()])
            for asked, told in answers
        ]
        for _, told in owned:
            self._owners.learn(of for of, _ in told)
        found = [
            (asked, one) for asked, told in owned for one in self._series_of(asked, told, grid)
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
    ) -> list[tuple[Mapping[str, str], FloatArray]] | None:
        """Labels, and values at the places of the grid; None where there is no answer."""
        named = f"{asked.query.metric} of {asked.query.of}"
        try:
            found = self._client.range(
                asked.expression, float(grid[0]), float(grid[-1]), _step(grid)
            )
        except SourceError as error:
            problems.append(f"{named}: {error.problem}")
            return None
        most = max(LEAST_SERIES, MOST_READ // grid.size)
        if len(found) > most:
            by = ", ".join(one.name for one in asked.owners)
            problems.append(f"{named}: {len(found)} series by {by}, of which {most} are read")
        return [(one.labels, _laid(one, grid)) for one in found[:most]]

    def _series_of(
        self,
        asked: PlannedQuery,
        told: Iterable[tuple[Sequence[OwnedName], FloatArray]],
        grid: FloatArray,
    ) -> Iterator[Series]:
        query = asked.query
        for owned, values in told:
            owner = self._owners.text(owned, query.owner)
            heard = np.isfinite(values)
            if owner and heard.any():
                first = int(heard.argmax())
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


EDGE_SEEN_S = 3600.0
"""A call within this time is an edge."""

EDGE_KEPT_S = 86_400.0
"""An edge is forgotten when nobody used it for this long: a callee that is down stays known."""

GRAPH_FRESH_S = 60.0
MOST_EDGES = 20_000


class CallGraph:
    """Asks for the graph now and then, and keeps what it was told; safe between threads."""

    def __init__(self, client: PrometheusClient, clock: Clock, owners: Owners) -> None:
        self._client = client
        self._clock = clock
        self._naming = owners
        self._lock = threading.Lock()
        self._asked = -math.inf
        self._edges: dict[tuple[str, str], Timestamp] = {}
        self._nodes: dict[str, Timestamp] = {}

    def topology(self, plan: QueryPlan) -> Topology:
        """The graph; an old one where the server does not answer, an error where there is none."""
        with self._lock:
            now = self._clock.now()
            if not 0 <= now - self._asked < GRAPH_FRESH_S:
                self._ask(plan, now)
            return _graph(self._nodes, self._edges)

    def _ask(self, plan: QueryPlan, now: Timestamp) -> None:
        try:
            for asked in plan.asked:
                if asked.query.shape == "rate" and asked.query.owner == "edge":
                    self._take_edges(asked, now)
                elif asked.query.of == "up" or asked.query.metric == "request_rate":
                    self._take_nodes(asked, now)
        except SourceError:
            if not self._nodes:
                raise
            return
        self._asked = now
        self._edges = {k: at for k, at in self._edges.items() if now - at < EDGE_KEPT_S}
        self._nodes = {k: at for k, at in self._nodes.items() if now - at < EDGE_KEPT_S}

    def _take_edges(self, asked: PlannedQuery, now: Timestamp) -> None:
        for owner in self._owners(asked, now):
            caller, _, callee = owner.partition("->")
            self._edges[caller, callee] = now

    def _take_nodes(self, asked: PlannedQuery, now: Timestamp) -> None:
        self._nodes.update(dict.fromkeys(self._owners(asked, now), now))

    def _owners(self, asked: PlannedQuery, now: Timestamp) -> list[str]:
        found = self._client.instant(asked.over(EDGE_SEEN_S), now)[:MOST_EDGES]
        owned = [asked.owned(vector.labels) for vector in found]
        self._naming.learn(owned)
        named = (self._naming.text(one, asked.query.owner) for one in owned)
        return [owner for owner in named if owner]


def _graph(nodes: dict[str, Timestamp], edges: dict[tuple[str, str], Timestamp]) -> Topology:
    """Nodes are what measures itself; a callee that does not is outside."""
    called = {callee for _, callee in edges}
    roots = {caller for caller, _ in edges} - called
    return Topology(
        nodes=tuple(sorted(nodes)),
        edges=tuple(
            Edge(caller=caller, callee=callee, source="metrics")
            for caller, callee in sorted(edges)
            if caller != callee
        ),
        entry=roots.pop() if len(roots) == 1 else "",
    )
