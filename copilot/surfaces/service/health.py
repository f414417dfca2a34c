"""What the service tells of itself: probes, figures for Prometheus, and every request counted.

`Boundary` is the outermost layer; no fault of ours ends the service.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

from fastapi import APIRouter
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copilot.model import Usage
from copilot.sources.patience import BUCKETS_S, SourceTally
from copilot.sources.received import ReceivedTelemetry
from copilot.store import StoreError
from copilot.store.retention import used_bytes
from copilot.surfaces.service.ports import ServiceCounters, ServiceEngine, ServiceLoop
from copilot.types.checks import CheckReport

_COUNTED = {
    "alerts_accepted": "Alerts written that were not known before.",
    "alerts_repeated": "Alerts delivered again.",
    "incidents_opened": "Incidents opened.",
    "runs_finished": "Runs of the graph that ended.",
    "runs_failed": "Runs of the graph that broke.",
    "approvals_decided": "Answers of people to plans.",
    "forecasts_told": "Resources foretold to reach their limit.",
    "forecasts_came_true": "Of these, those that did, or whose incident came.",
    "forecasts_not_come": "Of these, those that did not: averted, or wrong.",
}


class Meters:
    """Counters of the door, and at each look the engine's and the store's."""

    def __init__(self, engine: ServiceEngine, received: ReceivedTelemetry | None = None) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "copilot_http_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "copilot_http_request_seconds",
            "Seconds from a request's first byte to its answer's last.",
            ("route",),
            registry=self.registry,
        )
        self.errors = Counter(
            "copilot_http_errors", "Requests that broke inside.", registry=self.registry
        )
        self.registry.register(_Behind(engine))
        if received is not None:
            self.registry.register(_Told(received))

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)


class _Told(Collector):
    """What exporters posted and how much of it is still held."""

    def __init__(self, received: ReceivedTelemetry) -> None:
        self._received = received

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        held = self._received.held()
        for name, meaning in (("records", "Records in memory."), ("bytes", "Memory, roughly.")):
            gauge = GaugeMetricFamily(f"copilot_received_{name}", meaning, labels=["signal"])
            for signal, one in held.items():
                gauge.add_metric([signal], getattr(one, name))
            yield gauge
        for name, meaning in (
            ("taken", "Records that were posted."),
            ("evicted", "Records that made place for others before their time."),
            ("expired", "Records that became too old."),
        ):
            counter = CounterMetricFamily(f"copilot_received_{name}", meaning, labels=["signal"])
            for signal, one in held.items():
                counter.add_metric([signal], getattr(one, name))
            yield counter


def _model(usage: Usage) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "copilot_llm_requests", "Questions to the model by outcome.", labels=["outcome"]
    )
    for outcome, count in sorted(usage.outcomes.items()):
        requests.add_metric([outcome], count)
    yield requests
    asked = InfoMetricFamily("copilot_llm", "The model that is asked; auto until one is found.")
    asked.add_metric([], {"model": usage.model})
    yield asked
    tokens = CounterMetricFamily(
        "copilot_llm_tokens", "Tokens of whole replies, as the server counts.", labels=["kind"]
    )
    tokens.add_metric(["prompt"], usage.prompt_tokens)
    tokens.add_metric(["reply"], usage.reply_tokens)
    yield tokens
    for name, meaning, total in (
        ("queue", "Seconds a question waited for its turn.", usage.queued_s),
        ("first_token", "Seconds from its turn to its first token.", usage.first_token_s),
        ("reply", "Seconds from its turn to its end.", usage.total_s),
    ):
        metric = f"copilot_llm_{name}_seconds"
        yield SummaryMetricFamily(metric, meaning, count_value=usage.replies, sum_value=total)


def _loops(loops: Sequence[ServiceLoop]) -> Iterator[Metric]:
    failures = CounterMetricFamily(
        "copilot_loop_failures", "Passes of a thread that failed; it goes on.", labels=["loop"]
    )
    failing = GaugeMetricFamily(
        "copilot_loops_failing", "Threads whose last pass failed.", labels=["loop"]
    )
    worked = GaugeMetricFamily(
        "copilot_loop_worked_timestamp_seconds", "When it last worked, or began.", labels=["loop"]
    )
    rests = GaugeMetricFamily(
        "copilot_loop_rest_seconds", "How long it rests between two passes.", labels=["loop"]
    )
    for name in dict.fromkeys(one.name for one in loops):
        named = [one for one in loops if one.name == name]
        failures.add_metric([name], sum(one.failures for one in named))
        failing.add_metric([name], sum(bool(one.failing) for one in named))
        worked.add_metric([name], max(one.worked_at for one in named))
        rests.add_metric([name], named[0].rest_s)
    yield from (failures, failing, worked, rests)


def _sources(asked: Mapping[str, SourceTally]) -> Iterator[Metric]:
    questions = CounterMetricFamily(
        "copilot_source_questions",
        "Questions by outcome.",
        labels=["source", "outcome"],
    )
    seconds = HistogramMetricFamily(
        "copilot_source_seconds",
        "Seconds until it answered or was given up.",
        labels=["source"],
    )
    for name, tally in sorted(asked.items()):
        for outcome, count in sorted(tally.outcomes.items()):
            questions.add_metric([name, outcome], count)
        edges = [*map(str, BUCKETS_S), "+Inf"]
        counts = accumulate(tally.buckets)
        seconds.add_metric([name], [*zip(edges, counts, strict=True)], tally.total_s)
    yield questions
    yield seconds


def _backlog(engine: ServiceEngine) -> Iterator[Metric]:
    """What waits, for how long, and who decides."""
    numbers, oldest = engine.store.runs.backlog(engine.now())
    by_status = GaugeMetricFamily("copilot_runs", "Runs by status.", labels=["status"])
    for status, count in numbers.items():
        by_status.add_metric([status], count)
    yield by_status
    undecided, waited = engine.store.alerts.undecided(engine.now())
    for name, meaning, value in (
        ("queue_oldest_seconds", "For how long the first due run has waited.", oldest),
        ("alerts_undecided", "Accepted alerts on which nothing was decided yet.", undecided),
        ("alerts_undecided_oldest_seconds", "For how long the first of them has waited.", waited),
        ("leading", "1 where this process decides on alerts.", int(engine.leading)),
        ("store_bytes", "What the store takes on disk.", used_bytes(engine.store.database)),
    ):
        yield GaugeMetricFamily(f"copilot_{name}", meaning, value=value)


def _notices(engine: ServiceEngine) -> Iterator[Metric]:
    """What channels were told; a target is dead while what it has to be told is refused."""
    labels = ["target", "state"]
    told = GaugeMetricFamily(
        "copilot_notices", "Notices kept, by what became of them.", labels=labels
    )
    dead = GaugeMetricFamily(
        "copilot_notice_target_failing",
        "Tries since a target last took a notice.",
        labels=["target"],
    )
    for one in engine.store.notices.figures():
        for state, number in sorted(one.by_state.items()):
            told.add_metric([one.target, state], number)
        dead.add_metric([one.target], one.tried)
    yield told
    yield dead


class _Behind(Collector):
    def __init__(self, engine: ServiceEngine) -> None:
        self._engine = engine

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        counters: ServiceCounters = self._engine.counters
        for name, meaning in _COUNTED.items():
            yield CounterMetricFamily(f"copilot_{name}", meaning, value=getattr(counters, name))
        yield from _loops(self._engine.loops)
        yield from _sources(self._engine.asked)
        try:
            stored = list(self._stored())
        except StoreError:
            stored = []
        up = float(bool(stored))
        yield GaugeMetricFamily("copilot_store_up", "1 while the store answers.", value=up)
        yield from stored
        if (usage := self._engine.usage) is not None:
            yield from _model(usage)

    def _stored(self) -> Iterator[Metric]:
        incidents = GaugeMetricFamily(
            "copilot_incidents", "Incidents by status.", labels=["status"]
        )
        for status, count in self._engine.store.incidents.count().items():
            incidents.add_metric([status], count)
        yield incidents
        yield from _backlog(self._engine)
        yield from _notices(self._engine)
        pending = len(self._engine.store.approvals.pending())
        yield GaugeMetricFamily("copilot_approvals_pending", "Plans that wait.", value=pending)
        stopped = self._engine.store.halt.get() is not None
        yield GaugeMetricFamily(
            "copilot_executions_stopped", "1 while `copilot stop` is in force.", value=int(stopped)
        )


def health(engine: ServiceEngine, meters: Meters) -> APIRouter:
    """`/healthz`: the process answers; `/readyz`: it can take alerts; `/metrics`."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Is the process alive")
    def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @router.get("/readyz", summary="Can it take alerts")
    def readyz() -> JSONResponse:
        try:
            checks = dict(engine.ready())
        except StoreError as problem:
            checks = {"store": str(problem)}
        ready = all(outcome == "ok" for outcome in checks.values())
        word = "ok" if ready else "not ready"
        return JSONResponse({"status": word, "checks": checks}, 200 if ready else 503)

    @router.get("/metrics", summary="Figures for Prometheus")
    def metrics() -> Response:
        return Response(meters.text(), media_type=CONTENT_TYPE_LATEST)

    return router


log = logging.getLogger(__name__)

# A sender may invent methods; each would be a series of its own.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Boundary:
    """Counts and times requests by route, and turns an unexpected error into a recorded 500."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        except Exception:  # the service boundary: recorded, answered, and the service lives on
            log.exception("%s %s failed", scope["method"], scope["path"])
            self._meters.errors.inc()
            if status == 0:
                answer = JSONResponse({"detail": "internal error; the log has it"}, 500)
                await answer(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._meters.requests.labels(route, method, str(status)).inc()
            self._meters.seconds.labels(route).observe(time.perf_counter() - started)


def doctor(report: Callable[[], CheckReport]) -> APIRouter:
    """The checks of `copilot doctor`, run here; looking takes as long as the slowest source."""
    router = APIRouter(tags=["health"])

    @router.get("/doctor", summary="What is configured, reachable or missing")
    def examine() -> CheckReport:
        return report()

    return router
