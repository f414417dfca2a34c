"""Record how traffic leaves a zone that died and comes back, through a real HAProxy.

`python -m evals.recovery.proxy_recording FOLDER` takes six minutes. Everything in the recording was
measured: the counters of HAProxy, what callers saw, whether a port answers, HAProxy's own log. Two
of three servers are stopped (their health is not checked, as in many a pool), the plan of
`shift-traffic` is run by the traffic runner, they are started again, `return-traffic` is run.
"""

import gzip
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from copilot.hands.traffic import ProxyTarget, TrafficRunner
from copilot.sources.clock import SystemClock
from copilot.testing.proxies import BackendServer, BalancedPool, haproxy
from knowledge_base import playbooks
from tools.playbook_executor import fill
from tools.types import Timestamp

NAME, SYSTEM, EVERY_S = "proxy-0", "proxy", 2.0
ZONES = {"zone-a": ("a1", "a2"), "zone-b": ("b1",)}
NORMAL_S, BROKEN_S, MENDED_S, CALM_S = 150.0, 40.0, 40.0, 60.0
ALERT_SHARE, ALERT_FOR_S = 0.05, 10.0
"""More failures than this for so long, and an alert fires: the rule of the lab."""
CALLERS, PAUSE_S = 16, 0.3
"""Some 50 calls a second; HAProxy tries a dead server for 3 s, so one caller would stand still."""
VALUES = {"proxy": "edge", "pool": "web", "server": "zone-a"}


class CallerLog:
    """What callers saw: when, how long it took, and the status."""

    def __init__(self, url: str) -> None:
        self.url, self.calls = url, list[tuple[float, float, int]]()
        self._ended = threading.Event()

    def _visit(self) -> None:
        with httpx.Client(trust_env=False, timeout=5) as client:
            while not self._ended.wait(PAUSE_S):
                began = time.time()
                try:
                    status = client.get(self.url, headers={"Connection": "close"}).status_code
                except httpx.HTTPError:
                    status = 599
                self.calls.append((began, time.time() - began, status))

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Call while the block runs."""
        visitors = [threading.Thread(target=self._visit) for _ in range(CALLERS)]
        for one in visitors:
            one.start()
        try:
            yield
        finally:
            self._ended.set()
            for one in visitors:
                one.join()

    def since(self, start: float) -> Sequence[tuple[float, float, int]]:
        """Calls that ended then or later."""
        return [one for one in self.calls[-2000:] if one[0] + one[1] >= start]


class SampleTable:
    """A row of readings every `EVERY_S` seconds."""

    def __init__(self, pool: BalancedPool, callers: CallerLog) -> None:
        self._pool, self._callers = pool, callers
        self._proxy = pool.proxy.connect()
        self._before: dict[str, tuple[int, int]] = {}
        self.rows: list[dict[str, float]] = []
        self.alerts: list[dict[str, Any]] = []
        self._failing_since: float | None = None

    def until(self, end: float) -> None:
        """Sample until then."""
        while (now := time.time()) < end:
            self.sample(now)
            time.sleep(max(0.0, EVERY_S - (time.time() - now)))

    def sample(self, now: float) -> None:
        """One row; the rate of a zone is what HAProxy sent there since the last one."""
        row: dict[str, float] = {"ts": round(now, 3)}
        servers = {one.name: one for one in self._proxy.servers("web")}
        for zone, names in ZONES.items():
            counted = [(servers[name].answers, servers[name].failures) for name in names]
            total = tuple(map(sum, zip(*counted, strict=True)))
            answers, failures = (
                now - then for now, then in zip(total, self._before.get(zone, total), strict=True)
            )
            self._before[zone] = (total[0], total[1])
            row |= {
                f"{zone}|instances_up": float(sum(map(self._answers, names))),
                f"{zone}|request_rate": answers / EVERY_S,
                f"edge->{zone}|calls": answers / EVERY_S,
            }
            if answers:
                row[f"edge->{zone}|error_pct"] = 100.0 * failures / answers
        row |= self._seen(now)
        self.rows.append(row)
        self._watch(now, row.get("edge|error_pct", 0.0) / 100)

    def _answers(self, name: str) -> bool:
        """Whether the port of the server takes a connection."""
        try:
            httpx.get(f"http://127.0.0.1:{self._pool.servers[name].port}/", trust_env=False)
        except httpx.HTTPError:
            return False
        return True

    def _seen(self, now: float) -> Mapping[str, float]:
        calls = self._callers.since(now - EVERY_S)
        took = sorted(seconds for _, seconds, _ in calls)
        if not calls:
            return {}
        bad = sum(status >= 500 for _, _, status in calls)
        return {
            "edge|request_rate": len(calls) / EVERY_S,
            "edge|error_pct": 100.0 * bad / len(calls),
            "edge|latency_p95_ms": 1000.0 * took[int(0.95 * (len(took) - 1))],
            "edge|instances_up": 1.0,
        }

    def _watch(self, now: float, share: float) -> None:
        if share <= ALERT_SHARE:
            self._failing_since = None
            if self.alerts and "endsAt" not in self.alerts[-1]:
                self.alerts[-1] |= {"status": "resolved", "endsAt": _told(now)}
            return
        self._failing_since = self._failing_since or now
        if now - self._failing_since >= ALERT_FOR_S and not self.alerts:
            labels = {"alertname": "HighErrorRate", "service": "edge", "severity": "critical"}
            said = {"summary": f"edge answers {100 * share:.1f}% errors", "value": f"{share:.3f}"}
            alert = {"labels": labels, "annotations": said, "startsAt": _told(now)}
            self.alerts.append({**alert, "fingerprint": "5e0edge0", "status": "firing"})


def _told(at: Timestamp) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def stop(server: BackendServer) -> None:
    """It takes no connection any more."""
    server._server.shutdown()
    server._server.server_close()


def play(target: ProxyTarget, playbook: str, samples: SampleTable) -> list[dict[str, Any]]:
    """Run a playbook's steps as a person approved them; what each did and said."""
    found = next(one for one in playbooks() if one.id == playbook)
    plan = fill(found, VALUES, "recording", "zone-a", (), time.time(), 900.0)
    runner, done = TrafficRunner({"edge": target}, SystemClock()), []
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.is_set():
            samples.until(time.time() + EVERY_S)

    sampler = threading.Thread(target=watch)
    sampler.start()
    try:
        for step in plan.steps:
            result = runner.run(step, f"{playbook}-{step.index}")
            sys.stdout.write(
                f"  {'ok' if result.ok else 'FAILED'} {result.output or result.error}\n"
            )
            if not result.ok:
                raise SystemExit(f"{playbook}: {result.error}")
            said = {"action": step.action, "arguments": step.arguments, "said": result.output}
            done.append(said | {"at": round(result.started_at, 3)})
    finally:
        stopped.set()
        sampler.join()
    return done


def record(folder: Path) -> None:
    """Break, move, mend, move back; write the bundle."""
    playbooks()  # what is edited meanwhile does not count
    with TemporaryDirectory() as place:
        names = [name for group in ZONES.values() for name in group]
        with haproxy(Path(place), names, check="") as pool:
            callers = CallerLog(pool.url)
            target = pool.proxy.model_copy(update={"groups": {"zone-a": ZONES["zone-a"]}})
            samples = SampleTable(pool, callers)
            with callers.calling():
                begun = time.time()
                samples.until(begun + NORMAL_S)
                broken = time.time()
                for name in ZONES["zone-a"]:
                    stop(pool.servers[name])
                samples.until(broken + BROKEN_S)
                away = play(target, "shift-traffic", samples)
                samples.until(time.time() + MENDED_S)
                _start_again(pool)
                back = play(target, "return-traffic", samples)
                samples.until(time.time() + CALM_S)
    write(folder, samples, callers, broken, away, back)


def _start_again(pool: BalancedPool) -> None:
    for name in ZONES["zone-a"]:
        again = BackendServer(name, pool.servers[name].port)
        threading.Thread(target=again._server.serve_forever, args=(0.02,), daemon=True).start()
        pool.servers[name] = again


def write(
    folder: Path,
    samples: SampleTable,
    callers: CallerLog,
    broken: float,
    away: Sequence[dict[str, Any]],
    back: Sequence[dict[str, Any]],
) -> None:
    """The bundle, its normal operation, and what mended it."""
    begins = broken - 40.0
    place, history = folder / "incidents" / NAME, folder / "history" / SYSTEM
    for one in (place, history, folder / "mends"):
        one.mkdir(parents=True, exist_ok=True)
    _table(place / "metrics.csv.gz", [row for row in samples.rows if row["ts"] >= begins])
    normal = [row for row in samples.rows if row["ts"] < begins]
    _table(history / "metrics.csv.gz", normal)
    _lines(place / "alerts.ndjson.gz", samples.alerts)
    _lines(place / "logs.ndjson.gz", _log(callers, begins, float("inf")))
    _lines(history / "logs.ndjson.gz", _log(callers, 0.0, begins))
    edges = [["edge", zone] for zone in ZONES]
    services = ["edge", *ZONES]
    _json(place / "topology.json", {"nodes": services, "edges": edges, "source": "declared"})
    facts = {f"kind:{zone}": "node" for zone in ZONES} | {"kind:edge": "gateway"}
    facts |= {"proxy:zone-a": "edge", "pool:zone-a": "web", "bad_server:zone-a": "zone-a"}
    _json(place / "facts.json", facts)
    end = samples.rows[-1]["ts"]
    about: dict[str, Any] = {
        "schema": "incident-bundle/1",
        "id": NAME,
        "system": SYSTEM,
        "source": "haproxy 2.6",
    }
    about |= {"entry": "edge", "history": SYSTEM, "licence": "Apache-2.0", "services": services}
    about |= {"modalities": ["metrics", "topology", "logs", "alerts"], "sampling_s": EVERY_S}
    _json(place / "incident.json", about | {"window": [begins, end], "reference_excluded": []})
    note = "normal operation before anything was broken; use as reference period"
    shape = {"rows": len(normal), "sampling_s": EVERY_S, "system": SYSTEM, "note": note}
    _json(history / "history.json", shape)
    mend = next(one for one in away if one["arguments"]["verb"] == "weigh")
    _json(
        folder / "mends" / f"{NAME}.json",
        {
            "at": mend["at"],
            "failing_since": round(broken + 2 * EVERY_S, 3),
            "calm_since": round(end - CALM_S + 4 * EVERY_S, 3),
            "action": mend["action"],
            "arguments": mend["arguments"],
            "said": [{k: v for k, v in one.items() if k != "at"} for one in (*away, *back)],
        },
    )


def _log(callers: CallerLog, start: float, end: float) -> Iterator[dict[str, Any]]:
    """What the callers' side logged: each failure, and every tenth of the rest."""
    for number, (at, took, status) in enumerate(sorted(callers.calls)):
        if start <= at < end and (status >= 500 or number % 10 == 0):
            level = "ERROR" if status >= 500 else "INFO"
            said = f"GET / {status} {1000 * took:.0f}ms"
            said += " no server of web took the connection" if status == 503 else ""
            yield {"ts": round(at, 3), "service": "edge", "level": level, "msg": said, "trace": ""}


def _table(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    names = sorted({name for row in rows for name in row} - {"ts"})
    lines = [",".join(("ts", *names))]
    for row in rows:
        cells = (f"{row[name]:.5g}" if name in row else "" for name in names)
        lines.append(",".join((f"{row['ts']:.3f}", *cells)))
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))


def _lines(path: Path, rows: Any) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def _json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
