"""Log lines of one tick, drawn from what the tick was like: routine first, then symptoms."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from evals.simulator.faults import FULL_PCT, TIGHT_PCT
from evals.simulator.flow import TICK_S, Plant
from evals.simulator.readings import Snapshot
from evals.simulator.scenario import WorldScenario
from tools.types import FloatArray, LogLine


class LineTemplate(NamedTuple):
    """One kind of line; text from outside is never used as a template."""

    level: str
    text: str


_ACCESS = (
    LineTemplate("INFO", "{method} {path} {status} {ms}ms bytes={bytes} request_id={id}"),
    LineTemplate("INFO", 'ip={ip} user=u-{number} "{method} {path} HTTP/1.1" {status} {ms}ms'),
)

ROUTINE: dict[str, tuple[LineTemplate, ...]] = {
    "gateway": (
        *_ACCESS,
        LineTemplate("INFO", "route matched prefix={path} upstream={callee} request_id={id}"),
        LineTemplate("DEBUG", "tls session resumed client={ip} cipher=TLS_AES_128_GCM_SHA256"),
    ),
    "service": (
        *_ACCESS,
        LineTemplate("INFO", "handled {operation} for user u-{number} in {ms} ms trace={id}"),
        LineTemplate("INFO", "calling {callee} operation={operation} attempt=1 request_id={id}"),
        LineTemplate("DEBUG", "loaded {small} items for session {uuid}"),
        LineTemplate("INFO", "metrics flushed: {small} series in {small} ms"),
    ),
    "database": (
        LineTemplate(
            "LOG", "checkpoint complete: wrote {number} buffers ({small}.{small}%); sync={ms} ms"
        ),
        LineTemplate(
            "LOG", "duration: {ms} ms  execute <unnamed>: SELECT * FROM {table} WHERE id = $1"
        ),
        LineTemplate(
            "LOG", 'automatic vacuum of table "main.public.{table}": index scans: {small}'
        ),
        LineTemplate("LOG", "connection authorized: user=app database=main host={ip} port={port}"),
    ),
    "cache": (
        LineTemplate("NOTICE", "{small} changes in 60 seconds. Saving..."),
        LineTemplate("NOTICE", "Background saving terminated with success"),
        LineTemplate("VERBOSE", "Accepted {ip}:{port}"),
        LineTemplate("DEBUG", "DB 0: {number} keys ({number} volatile) in {number} slots HT."),
    ),
}

SYMPTOM: dict[str, tuple[LineTemplate, ...]] = {
    "shed": (
        LineTemplate(
            "WARN", "request queue full (depth={number}), rejecting request {id} with 503"
        ),
        LineTemplate(
            "WARN", "worker pool saturated: {small} runnable tasks, scheduler lag {ms} ms"
        ),
    ),
    "pool": (
        LineTemplate(
            "ERROR",
            "{service}-pool - Connection is not available, request timed out after {ms}ms "
            "(total={pool}, active={pool}, idle=0, waiting={small})",
        ),
        LineTemplate(
            "ERROR",
            "request {id} failed: could not acquire connection\n"
            "java.sql.SQLTransientConnectionException: {service}-pool - no connection available\n"
            "\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)\n"
            "\tat com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:197)\n"
            "\tat com.example.{operation}.Store.open(Store.java:{small})",
        ),
    ),
    "collection": (
        LineTemplate(
            "WARN", "GC pause (G1 Evacuation Pause) {ms}ms, heap {percent}% after collection"
        ),
        LineTemplate(
            "WARN", "memory usage {percent}% of limit, evicting {number} entries freed 0 bytes"
        ),
    ),
    "killed": (
        LineTemplate(
            "ERROR",
            "java.lang.OutOfMemoryError: Java heap space\n"
            "\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)\n"
            "\tat com.example.{operation}.Session.append(Session.java:{small})",
        ),
        LineTemplate(
            "ERROR", "container {service} terminated: OOMKilled exit code 137, restarting"
        ),
    ),
    "flag": (
        LineTemplate(
            "ERROR",
            "unhandled exception in feature {flag}, request {id}\n"
            "Traceback (most recent call last):\n"
            '  File "/app/{service}/features.py", line {small}, in apply\n'
            "    amount = table[key]\n"
            "KeyError: 'u-{number}'",
        ),
        LineTemplate("ERROR", "{method} {path} 500 {ms}ms error=feature_failed feature={flag}"),
    ),
    "release": (
        LineTemplate(
            "ERROR",
            "request {id} failed in release {version}\n"
            'java.lang.NullPointerException: cannot invoke "Money.unit()": "total" is null\n'
            "\tat com.example.{operation}.Handler.map(Handler.java:{small})\n"
            "\tat com.example.{operation}.Handler.handle(Handler.java:{small})",
        ),
        LineTemplate(
            "WARN", "schema mismatch: field 'total' missing in reply, version={version} id={id}"
        ),
    ),
    "disk": (
        LineTemplate(
            "ERROR",
            "could not write to file /var/lib/{service}/segment-{number}: No space left on device",
        ),
        LineTemplate(
            "PANIC", "write failed: errno=28 (ENOSPC) path=/var/lib/{service}/wal size={bytes}"
        ),
    ),
    "filling": (
        LineTemplate(
            "WARN", "volume /var/lib/{service} at {percent}% of capacity, debug log {bytes} bytes"
        ),
    ),
    "restart": (
        LineTemplate("INFO", "received SIGTERM, draining {small} connections"),
        LineTemplate("INFO", "{service} started in {ms} ms, listening on :{port}"),
    ),
    "started": (
        LineTemplate("INFO", "starting {service} version {version} build {id}"),
        LineTemplate("INFO", "release {version} ready, health check passed after {ms} ms"),
    ),
}

CALL_SYMPTOM: dict[str, tuple[LineTemplate, ...]] = {
    "timeout": (
        LineTemplate("WARN", "call to {callee} timed out after {timeout}ms (request {id})"),
        LineTemplate(
            "ERROR", "deadline exceeded waiting for {callee}: {timeout} ms, operation={operation}"
        ),
    ),
    "refused": (
        LineTemplate("ERROR", "dial tcp {ip}:{port}: connect: connection refused ({callee})"),
        LineTemplate(
            "ERROR", "{callee} unavailable: all {small} endpoints are failing health checks"
        ),
    ),
    "reset": (
        LineTemplate(
            "WARN", "connection to {callee} reset by peer after {ms} ms, bytes_read={small}"
        ),
        LineTemplate("WARN", "retransmission timeout talking to {callee} ({ip}:{port})"),
    ),
    "upstream": (
        LineTemplate("ERROR", "request {id} failed: {callee} answered 503"),
        LineTemplate("WARN", "{callee} returned an error for {operation}, giving up after {ms} ms"),
    ),
    "fallback": (
        LineTemplate("INFO", "breaker for {callee} is open, serving stored reply for request {id}"),
    ),
}


_SEEN = 0.01  # symptoms rarer than this share of requests leave no line
_MOST = 0.4  # lines per second of one symptom, as a collector samples
_TABLES = ("orders", "items", "prices", "sessions", "stock", "invoices")
_VERBS = ("list", "get", "update", "submit", "quote", "reserve")


def _uuid(draw: FloatArray) -> str:
    first, second, third, fourth, last = (
        f"{int(part * 16**digits):0{digits}x}"
        for part, digits in zip(draw, (8, 4, 3, 3, 12), strict=True)
    )
    return f"{first}-{second}-4{third}-a{fourth}-{last}"


class LogWriter:
    """Turns snapshots into lines; holds nothing but the plant and the script."""

    def __init__(self, plant: Plant, scenario: WorldScenario) -> None:
        self._plant = plant
        self._scenario = scenario
        self._flags = {f.target: f.flag for f in scenario.faults if f.flag}

    def lines(self, seen: Snapshot, rng: np.random.Generator) -> Iterator[LogLine]:
        """The lines of this tick."""
        routine = np.full(self._plant.ours, self._scenario.log_lines_per_s)
        for i in self._draw(routine, rng):
            kind = self._plant.graph.services[i].kind
            yield self._line(seen, i, ROUTINE[kind], rng)
        for name, chance in self._symptoms(seen).items():
            for i in self._draw(self._rates(chance, seen.flow.rate[: self._plant.ours]), rng):
                yield self._line(seen, i, SYMPTOM[name], rng)
        for name, chance in self._call_symptoms(seen).items():
            for k in self._draw(self._rates(chance, seen.flow.calls), rng):
                caller = int(self._plant.caller[k])
                if caller < self._plant.ours:
                    yield self._line(seen, caller, CALL_SYMPTOM[name], rng, call=k)

    def _rates(self, share: FloatArray, requests: FloatArray) -> FloatArray:
        """Lines per second of a symptom: a sampled tenth of the requests it struck."""
        wanted = np.where(share > _SEEN, 0.1 * share * requests, 0.0)
        most = _MOST * self._scenario.log_lines_per_s / 0.1
        return np.minimum(wanted, most)

    @staticmethod
    def _draw(per_s: FloatArray, rng: np.random.Generator) -> list[int]:
        """How many of each, with the fraction as a chance; one index for each line."""
        count = np.floor(per_s * TICK_S + rng.random(len(per_s))).astype(int)
        return [int(i) for i in np.repeat(np.arange(len(per_s)), count)]

    def _symptoms(self, seen: Snapshot) -> dict[str, FloatArray]:
        ours, flow = slice(0, self._plant.ours), seen.flow
        own = np.maximum(seen.conditions.own_error[ours] - 0.02, 0.0)
        released = seen.suspect[ours] > 0
        flagged = np.array([s.name in self._flags for s in self._plant.graph.visible])
        full, killed = seen.disk[ours] >= FULL_PCT, seen.killed[ours] > 0
        return {
            "shed": flow.shed[ours],
            "pool": flow.pool_error[ours],
            "collection": 0.2 * (seen.memory[ours] > TIGHT_PCT),
            "killed": 0.2 * killed,
            "flag": own * (flagged & ~full & ~killed),
            "release": own * (released & ~flagged & ~full & ~killed),
            "disk": own * full,
            "filling": 0.1 * ((seen.disk[ours] > 85.0) & ~full),
            "restart": 0.1 * (seen.restarting[ours] > 0),
            "started": 0.1 * ((seen.suspect[ours] > 0) & (seen.suspect[ours] < 1)),
        }

    def _call_symptoms(self, seen: Snapshot) -> dict[str, FloatArray]:
        flow, at = seen.flow, seen.conditions
        refused = 1.0 * at.refused
        open_breaker = 1.0 * at.bypass
        upstream = np.maximum(flow.seen_error - flow.late - at.link_loss - refused, 0.0)
        return {
            "timeout": flow.late * (1.0 - refused) * (1.0 - open_breaker),
            "refused": refused,
            "reset": at.link_loss,
            "upstream": upstream,
            "fallback": 0.3 * open_breaker,
        }

    def _line(
        self,
        seen: Snapshot,
        service: int,
        kinds: tuple[LineTemplate, ...],
        rng: np.random.Generator,
        call: int | None = None,
    ) -> LogLine:
        draw = rng.random(12)
        name = self._plant.graph.services[service].name
        template = kinds[int(draw[0] * len(kinds))]
        at = round(seen.at - TICK_S * float(draw[1]), 3)
        trace = f"{int(draw[2] * 2**48):012x}"
        message = template.text.format_map(self._fields(seen, service, call, draw))
        return LogLine(at, name, template.level, message, trace if "{id}" in template.text else "")

    def _fields(
        self, seen: Snapshot, service: int, call: int | None, draw: FloatArray
    ) -> dict[str, str]:
        name = self._plant.graph.services[service].name
        callees = np.flatnonzero(self._plant.caller == service)
        k = (
            call
            if call is not None
            else int(callees[int(draw[3] * len(callees))])
            if len(callees)
            else -1
        )
        own_ms = 1000.0 * float(seen.flow.p50[service]) * (0.5 + 1.5 * float(draw[4]))
        verb = _VERBS[int(draw[5] * len(_VERBS))]
        return {
            "service": name,
            "callee": self._plant.graph.calls[k].callee if k >= 0 else "peer",
            "timeout": f"{1000.0 * float(self._plant.timeout[k]):.0f}" if k >= 0 else "1000",
            "id": f"{int(draw[2] * 2**48):012x}",
            "uuid": _uuid(draw[6:11]),
            "ip": f"10.{int(draw[6] * 8)}.{int(draw[7] * 250)}.{1 + int(draw[8] * 250)}",
            "port": str(1024 + int(draw[9] * 60000)),
            "number": str(1000 + int(draw[10] * 90000)),
            "small": str(1 + int(draw[11] * 60)),
            "bytes": str(200 + int(draw[6] * 60000)),
            "ms": f"{max(1.0, own_ms):.0f}",
            "percent": f"{max(float(seen.memory[service]), float(seen.disk[service])):.0f}",
            "pool": f"{max(1.0, float(seen.conditions.pool[service])):.0f}",
            "method": "GET" if draw[7] < 0.7 else "POST",
            "path": f"/api/{name}/{verb}",
            "status": "200" if draw[8] < 0.97 else "304",
            "operation": f"{name.replace('-', '_')}_{verb}",
            "table": _TABLES[int(draw[9] * len(_TABLES))],
            "flag": self._flags.get(name, "none"),
            "version": seen.releases[name][-1],
        }
