"""App: how an instance answers a request: limits, its own work, its data, its calls."""

import asyncio
import random
import ssl
import time
from typing import Protocol

from evals.lab.blueprint import STANDBY, RouteCall, ServiceBlueprint, ServiceRoute
from evals.lab.places import LabFolder, WatchedFile
from evals.lab.shop.conditions import Burner, HeldConnections, Leak, Life
from evals.lab.shop.data import DataAccessError, ServiceData
from evals.lab.shop.journal import InstanceLog, Level
from evals.lab.shop.meters import InstanceMeters, since
from evals.lab.shop.outbound import CalleeAddress, CallFailedError, Outbound, Pool
from evals.lab.shop.traces import Context, Tracer
from evals.lab.wire import Request, Response, answer

_SHOWN = 0.2  # share of the answers that are logged, beside every failure
_TOLERATED_S = 60.0  # by which two clocks may differ for a request to be accepted
_HASTY_S = 0.4  # how long a client with the retry bug waits


class AppFiles(Protocol):
    """The files of an instance."""

    config: WatchedFile
    conditions: WatchedFile

    def resolve(self, name: str) -> list[int]: ...


class FailedError(Exception):
    """The request ends with this status, and the log says why."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


class App:
    """Answers requests for one instance."""

    def __init__(
        self,
        service: ServiceBlueprint,
        life: Life,
        files: AppFiles,
        places: LabFolder,
        meters: InstanceMeters,
        journal: InstanceLog,
        tracer: Tracer,
        tls: ssl.SSLContext,
    ) -> None:
        self._service = service
        self._life = life
        self._files = files
        self._meters = meters
        self._journal = journal
        self._tracer = tracer
        self._tls = tls
        self._rng = random.Random(life.incarnation)
        self._slots = asyncio.Semaphore(int(files.config.content.get("workers", service.workers)))
        self._cores = asyncio.Semaphore(service.cores)
        self._waiting = 0
        self._allowance, self._refilled = 1.0, time.monotonic()
        pool = Pool(service.pool_size, meters, "upstream")
        self._out = Outbound(pool, files.resolve, meters)
        self._data = ServiceData(service, places, meters, self._do_job)
        self._burner, self._leak, self._held = (
            Burner(),
            Leak(service.memory_limit_mb),
            HeldConnections(pool),
        )
        meters.memory_limit.set(service.memory_limit_mb * 1_048_576)

    def now(self) -> float:
        """This instance's own idea of the time."""
        return time.time() + self._condition("clock_offset")

    async def background(self) -> None:
        """What runs beside the requests."""
        await self._data.background()

    async def tick(self, seconds: float) -> None:
        """Bring about what configuration and conditions say."""
        config = self._files.config.content
        self._out.pool.resize(int(config.get("pool_size", self._service.pool_size)))
        self._meters.config_generation.set(self._files.config.generation)
        self._meters.clock_offset.set(self._condition("clock_offset"))
        self._burner.set(self._condition("burn") > 0)
        self._leak.grow(self._condition("leak_mb_s") * seconds)
        await self._held.hold(int(self._condition("held")))
        self._data.tick(lambda name: self._condition(name), bool(config.get("read_only")))

    async def handle(self, request: Request) -> Response:
        """Answer one request; every answer is measured, traced and, if it failed, logged."""
        if request.path == "/metrics":
            return Response(200, self._meters.text(), "text/plain; version=0.0.4")
        if request.path == "/healthz":
            return answer({"version": self._life.version})
        context = Context.read(request.headers.get("traceparent", ""), self._rng.random())
        started, at = time.monotonic(), self.now()
        path, status, problem = request.path, 200, ""
        route = self._service.routes.get(path)
        try:
            if route is None:
                raise FailedError(404, "no such route")
            await self._answer(route, request, context)
        except FailedError as failure:
            status, problem = failure.status, str(failure)
        seconds, label = since(started), path if route else "other"
        self._meters.served.labels(label, request.method, str(status)).observe(seconds)
        self._tracer.add(context, f"{request.method} {label}", 2, at, seconds, status=str(status))
        self._log(request, status, seconds, problem, context)
        return answer({"status": status}, status)

    async def _answer(self, route: ServiceRoute, request: Request, context: Context) -> None:
        self._admit(request)
        try:
            await asyncio.wait_for(self._slots.acquire(), self._timeout)
        except TimeoutError:
            raise FailedError(503, f"request queue full (depth={self._waiting})") from None
        try:
            await self._work(route)
            await self._store(route)
            for _ in range(self._data.lookups(route)):
                for call in route.calls:
                    if self._rng.random() < call.chance:
                        await self._call(call, context)
        finally:
            self._slots.release()

    def _admit(self, request: Request) -> None:
        issued = float(request.headers.get("x-issued-at") or self.now())
        if abs(self.now() - issued) > _TOLERATED_S:
            raise FailedError(401, f"token rejected: issued {issued - self.now():+.0f} s from now")
        limit = self._files.config.content.get("rate_limit_rps")
        if limit is None:
            return
        refill = since(self._refilled) * float(limit)
        self._allowance, self._refilled = (
            min(float(limit), self._allowance + refill),
            time.monotonic(),
        )
        if self._allowance < 1.0:
            raise FailedError(429, f"rate limit of {limit} requests per second")
        self._allowance -= 1.0

    async def _work(self, route: ServiceRoute) -> None:
        """Its own work on one of its cores: log-normal, slower the more requests wait for it."""
        self._leak.collect()
        if route.job:
            await self._busy(route.work_ms + self._condition("slow_job_ms"))
        else:
            self._waiting += 1
            async with self._cores:
                self._waiting -= 1
                convoy = 1.0 + self._service.convoy * self._waiting
                await self._busy(route.work_ms * convoy + self._condition("slow_work_ms"))
        if self._rng.random() < self._condition("error_share"):
            raise FailedError(500, "unhandled TypeError in handler: 'total' is None")
        flags = self._files.config.content.get("flags", {})
        if route.flag and flags.get(route.flag, True) and self._condition("broken_flag"):
            raise FailedError(500, f"unhandled KeyError in feature {route.flag}: 'weights'")

    async def _busy(self, median_ms: float) -> None:
        await asyncio.sleep(self._rng.lognormvariate(0.0, 0.35) * median_ms / 1000.0)

    async def _store(self, route: ServiceRoute) -> None:
        try:
            await self._data.do(route)
        except DataAccessError as refusal:
            raise FailedError(503, str(refusal)) from refusal

    async def _call(self, call: RouteCall, context: Context) -> None:
        """One call with its retries; an optional one that fails is left out of the answer."""
        config = self._files.config.content
        if config.get("circuit_breaker", {}).get(call.callee) == "open":
            return
        tries = 1 + int(self._condition("retry_bug") or config.get("retries", 0))
        problem = ""
        for attempt in range(tries):
            if attempt:
                self._meters.retries.labels(call.callee).inc()
            problem = await self._attempt(call, context)
            if not problem:
                return
            if config.get("retries") == 0:
                break
        if not call.optional:
            raise FailedError(502, problem)

    async def _attempt(self, call: RouteCall, context: Context) -> str:
        """Why the call failed; empty where it did not."""
        standby = self._files.config.content.get("upstream", {}).get(call.callee) == STANDBY
        name = f"{call.callee}.{STANDBY}" if standby else call.callee
        peer = CalleeAddress(call.callee, name, self._tls if call.callee == "payment" else None)
        child, at, started, status = context.child(), self.now(), time.monotonic(), "error"
        headers = {"traceparent": child.header(), "x-issued-at": f"{at:.3f}"}
        try:
            request = Request("POST", call.path, headers)
            response = await self._out.call(peer, request, self._timeout)
            status = str(response.status)
        except CallFailedError as failure:
            status = failure.kind
            return f"{call.callee}: {failure}"
        finally:
            self._tracer.add(
                child, f"call {call.path}", 3, at, since(started), status=status, peer=call.callee
            )
        return "" if response.status < 400 else f"{call.callee} answered {response.status}"

    async def _do_job(self) -> None:
        """A job of the queue is a request to itself."""
        context = Context.read("", self._rng.random())
        headers = {"traceparent": context.header()}
        await self.handle(Request("JOB", "/work", headers))

    @property
    def _timeout(self) -> float:
        if self._condition("retry_bug"):
            return _HASTY_S
        return float(self._files.config.content.get("timeout_s", self._service.timeout_s))

    def _condition(self, name: str) -> float:
        return self._life.value(self._files.conditions.content, name)

    def _log(
        self, request: Request, status: int, seconds: float, problem: str, context: Context
    ) -> None:
        said = f"{request.method} {request.path} {status} {seconds * 1000:.0f}ms"
        if problem:
            level: Level = "ERROR" if status >= 500 else "WARN"
            self._journal.write(self.now(), level, f"{said} {problem}", context.trace)
        elif self._rng.random() < _SHOWN:
            self._journal.write(self.now(), "INFO", said, context.trace)
