"""A soak: weeks of alerts in minutes, on a clock that is moved on, and what memory and disk do.

A real `copilot serve` gets what a Prometheus, an Alertmanager and an exporter would send it. Its
wall clock is set ahead step by step; what waits by the monotonic clock (a rest of a loop, a
timeout) waits in real seconds, so the retention is set to look as often as the month allows.
"""

import math
import os
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from pydantic import JsonValue
from rich.progress import Progress

from copilot import __version__
from copilot.store import Store
from copilot.types.incident import CLOSED
from copilot.types.time_format import iso
from evals.page.drawing import Track
from evals.page.pictures import save_tracks
from evals.report import Options, Result, Table
from evals.torture.databases import databases
from evals.torture.kinds import MOVES_S, OPEN, environment
from evals.torture.service import Nursery, Service
from tools.types import FloatArray

DAY_S, STEP_S = 86_400.0, 900.0
REPEAT_S = 4 * 3600.0
"""Alertmanager's `repeat_interval`: what still fires is sent again this often."""

WORK_HOURS = range(9, 18)
"""A busy week: changes are made in work hours of work days, and most incidents follow a change."""
BUSY, QUIET, WEEKEND = 3.0, 1.0, 0.5
STORM = (2, 14)
"""Wednesday, 14 o'clock: a tenth of all services at once, each with as many alerts as any."""

LATE_RUNS, LATE_S = 30, 60.0
"""Further behind than so many runs, the world waits for the service, so long at most: a week that
is sent in minutes must not become a storm that no week has."""

WARM = 0.3
"""Share of the time after which memory and disk have to be flat: by then what is kept for a
week of a month has been filled once."""

RETENTION = {
    "COPILOT_PRUNE_EVERY_S": "10",
    "COPILOT_KEEP_INCIDENTS_DAYS": "7",
    "COPILOT_KEEP_EVIDENCE_DAYS": "3",
    "COPILOT_KEEP_ALERTS_DAYS": "3",
    "COPILOT_KEEP_JOURNAL_DAYS": "7",
    "COPILOT_SETTLE_S": "0",
}


class SoakOptions(Options):
    """How many days of how large a system, in how many minutes, on which database."""

    days: float = 30.0
    minutes: float = 20.0
    services: int = 100
    incidents_a_day: float = 60.0
    database: str = "sqlite"


@dataclass
class Weather:
    """What happens in a system: which alerts fire, repeat and end, step by step."""

    services: int
    incidents_a_day: float
    chance: random.Random
    firing: dict[str, tuple[dict[str, Any], float, float]] = field(default_factory=dict)
    incidents: int = 0

    def step(self, since: float, until: float) -> list[dict[str, Any]]:
        """What an Alertmanager sends between two times: new, repeated and ended alerts."""
        sent = []
        for _ in range(self._begun(until)):
            sent += self._incident(self.chance.randrange(self.services), since, until)
        at = time.gmtime(until)
        if (at.tm_wday, at.tm_hour) == STORM and time.gmtime(since).tm_hour != STORM[1]:
            for service in self.chance.sample(range(self.services), max(1, self.services // 10)):
                sent += self._incident(service, since, until)
        for name, (alert, ends, repeated) in list(self.firing.items()):
            if ends <= until:
                sent.append({**alert, "endsAt": iso(ends)})
                del self.firing[name]
            elif repeated + REPEAT_S <= until:
                sent.append(alert)
                self.firing[name] = (alert, ends, until)
        return sent

    def _begun(self, now: float) -> int:
        """How many incidents begin in a step: Poisson, by hour and day of the week."""
        at = time.gmtime(now)
        busy = BUSY if at.tm_hour in WORK_HOURS else QUIET
        weight = WEEKEND if at.tm_wday >= 5 else busy
        mean = (5 * (9 * BUSY + 15 * QUIET) + 2 * 24 * WEEKEND) / (7 * 24)
        expected = self.incidents_a_day * STEP_S / DAY_S * weight / mean
        count, left = 0, self.chance.random()  # Knuth, The Art of Computer Programming, 3.4.1
        while left > math.exp(-expected):
            count, left = count + 1, left * self.chance.random()
        return count

    def _incident(self, service: int, since: float, until: float) -> list[dict[str, Any]]:
        """Some alerts of a service; half an hour long in the median, a few for hours."""
        self.incidents += 1
        begins = self.chance.uniform(since, until)
        ends = begins + min(1800.0 * math.exp(self.chance.gauss(0.0, 1.0)), 6 * 3600.0)
        alerts = []
        for number in range(self.chance.randint(3, 15)):
            name = f"Soak{self.incidents}N{number}"
            labels = {
                "alertname": name,
                "service": f"service-{service}",
                "namespace": f"team-{service % 10}",
                "instance": f"10.0.{service % 250}.{number}:9100",
                "severity": self.chance.choice(("critical", "warning")),
            }
            said = {"summary": f"{name}: requests of service-{service} take {number + 2} s"}
            alert = {"labels": labels, "annotations": said, "startsAt": iso(begins)}
            self.firing[name] = (alert, ends, until)
            alerts.append(alert)
        return alerts

    def telemetry(self, until: float, most: int = 50) -> dict[str, Any]:
        """Latency and processor time of the services, three points a step, as OTLP."""
        hurt = {alert["labels"]["service"] for alert, _, _ in self.firing.values()}
        resources = []
        for number in range(min(self.services, most)):
            name = f"service-{number}"
            slow = 4.0 if name in hurt else 1.0
            metrics = [
                {"name": metric, "unit": unit, "gauge": {"dataPoints": self._points(until, mean)}}
                for metric, unit, mean in (
                    ("request.latency", "s", 0.1 * slow),
                    ("process.cpu.utilization", "1", min(0.2 * slow, 1.0)),
                )
            ]
            about = [{"key": "service.name", "value": {"stringValue": name}}]
            scope = {"scope": {"name": "soak"}, "metrics": metrics}
            resources.append({"resource": {"attributes": about}, "scopeMetrics": [scope]})
        return {"resourceMetrics": resources}

    def _points(self, until: float, mean: float) -> list[dict[str, Any]]:
        ages = (600.0, 300.0, 0.0)
        return [
            {
                "timeUnixNano": str(int((until - age) * 1e9)),
                "asDouble": mean * self.chance.uniform(0.9, 1.1),
            }
            for age in ages
        ]


def run(options: SoakOptions, progress: Progress) -> Result:
    """Send the weeks, looking at memory and disk all along; then wait for the end and count."""
    began, chance = time.monotonic(), random.Random(options.seed)
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        (database,) = stack.enter_context(databases(options.database))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak")))
        nursery = Nursery()
        stack.callback(nursery.close)
        url = database.fresh()
        variables = {**environment(folder, "soak", 0), **RETENTION, "COPILOT_DATABASE_URL": url}
        service = Service(nursery, folder, variables)
        stack.callback(service.close)
        service.start()
        weather = Weather(options.services, options.incidents_a_day, chance)
        rows = _sent(service, weather, options, counts, progress)
        counts["stuck"] = len(service.until_none(lambda: _moving(service), MOVES_S))
        told = {one["labels"].get("alertname") for one in service.alerts()}
        counts["lost"] = len(service.accepted - told)
        counts["fivexx"] = service.fivexx
        counts["exit_code"] = service.end(signal.SIGTERM) or 0
        store = Store(url or f"sqlite:///{folder / 'data' / 'copilot.sqlite'}")
        counts["journal_broken"] = not store.journal.verify().ok
        store.close()
    return _result(options, rows, counts, time.monotonic() - began)


def _moving(service: Service) -> set[tuple[str, str, str]]:
    """Which incidents are worked on, and where they stand."""
    listed = service.ask("GET", "/incidents?limit=500") or []
    return {(x["id"], x["status"], str(x["updated_at"])) for x in listed if x["status"] in OPEN}


def _sent(
    service: Service, weather: Weather, options: SoakOptions, counts: Counter[str], bar: Progress
) -> list[dict[str, float]]:
    """Send it all, and what was seen of the service on the way, a row in each 6 hours."""
    started, world = time.monotonic(), time.time()
    steps = round(options.days * DAY_S / STEP_S)
    task = bar.add_task("soak", total=steps)
    rows: list[dict[str, float]] = []
    for step in range(1, steps + 1):
        now = world + step * STEP_S
        service.set_clock(now - time.time())
        service.ask("POST", "/v1/metrics", weather.telemetry(now))
        alerts = weather.step(now - STEP_S, now)
        counts["alerts"] += len(alerts)
        if step * STEP_S > (options.days - 1.0) * DAY_S:
            counts["refused"] += not service.post(alerts)  # what retention must still have
        elif alerts:
            counts["refused"] += service.ask("POST", "/api/v2/alerts", alerts) is None
        if step % round(DAY_S / 4 / STEP_S) == 0:
            rows.append(_looked(service, step * STEP_S / DAY_S))
        _caught_up(service, rows[-1] if rows else {})
        time.sleep(max(0.0, started + step / steps * options.minutes * 60.0 - time.monotonic()))
        bar.update(task, completed=step)
    counts["incidents"] = weather.incidents
    return rows


def _looked(service: Service, day: float) -> dict[str, float]:
    """Memory, processor and disk of the service, and what waits in it."""
    figures = _figures(service)
    files = [one.stat() for one in (service.folder / "data").rglob("*") if one.is_file()]
    ticks = Path(f"/proc/{service.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return {
        "day": round(day, 3),
        "rss_mb": round(service.rss / 2**20, 1),
        "disk_mb": round(sum(512 * one.st_blocks for one in files) / 2**20, 1),
        "store_mb": round(figures.get("copilot_store_bytes", math.nan) / 2**20, 1),
        "cpu_s": (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK"),
        "runs_waiting": figures.get("copilot_runs accepted", 0.0),
        "open_incidents": sum(
            value
            for name, value in figures.items()
            if name.startswith("copilot_incidents ") and name.split()[1] not in CLOSED
        ),
    }


def _figures(service: Service) -> dict[str, float]:
    """The gauges and counters of /metrics, by name and first label."""
    text = service.ask("GET", "/metrics") or ""
    return {
        " ".join([sample.name, *list(sample.labels.values())[:1]]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _caught_up(service: Service, row: dict[str, float]) -> None:
    if row.get("runs_waiting", 0.0) > LATE_RUNS:
        service.until(
            lambda: _figures(service).get("copilot_runs accepted", 0.0) <= LATE_RUNS, LATE_S
        )
        row["runs_waiting"] = 0.0


def _result(
    options: SoakOptions, rows: list[dict[str, float]], counts: Counter[str], seconds: float
) -> Result:
    """Sum up: how memory and disk grew from the end of the warming up to the end."""
    at = {name: np.array([one[name] for one in rows]) for name in rows[0]}
    warm = at["day"] >= WARM * options.days
    more = {name: float(value) for name, value in counts.items()} | {
        "days": options.days,
        "services": float(options.services),
        "rss_mb": float(at["rss_mb"][-1]),
        "rss_growth": _growth(at["day"][warm], at["rss_mb"][warm]),
        "disk_mb": float(at["disk_mb"][-1]),
        "disk_most_mb": float(at["disk_mb"].max()),
        "disk_growth": _growth(at["day"][warm], at["disk_mb"][warm]),
        "store_growth": _growth(at["day"][warm], at["store_mb"][warm]),
        "cpu_s_per_incident": float(at["cpu_s"][-1]) / max(counts["incidents"], 1),
        "open_most": float(at["open_incidents"].max()),
    }
    cases: list[dict[str, JsonValue]] = [{"id": f"day {one['day']:g}", **one} for one in rows]
    table = [
        (name, f"{value:,.3g}" if value < 100 else f"{value:,.0f}") for name, value in more.items()
    ]
    return Result(
        suite="soak",
        version=__version__,
        data=f"{options.services} services, {options.incidents_a_day:g} incidents a day",
        seconds=seconds,
        cases=tuple(cases),
        more=more,
        tables=(Table(title="Soak", columns=("figure", "value"), rows=tuple(table)),),
    )


def _growth(days: FloatArray, values: FloatArray) -> float:
    """By which share the least-squares line rises from first to last; negative where it falls."""
    if len(days) < 3:
        return math.nan
    slope, start = np.polyfit(days - days[0], values, 1)
    return float(slope * (days[-1] - days[0]) / start)


def draw(result: Result, folder: Path) -> None:
    """Memory, disk and what is open over the days, as one picture."""
    shown = []
    for name, label in (
        ("rss_mb", "Resident memory of the service [MB]"),
        ("disk_mb", "Data folder on disk [MB]"),
        ("open_incidents", "Incidents that are open"),
    ):
        days = np.array([one["day"] for one in result.cases], dtype=float)
        values = np.array([one[name] for one in result.cases], dtype=float)
        shown.append(Track(label, days, values))
    save_tracks("soak", shown, "days", folder, f"A soak: {result.data}")
