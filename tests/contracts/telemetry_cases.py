"""Sources that hold traces and logs without asking a server, for the suites of both ports."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from copilot.sources.received import ReceivedTelemetry
from copilot.sources.recorded import RecordedBundle
from evals.localization.cases import RECORDINGS
from evals.simulator import SimulatedSource, World, scenario
from tests.contracts.clocks import Standing
from tools.types import LogLine, Span, Window

NOW = 1_767_225_600.0


@dataclass(frozen=True)
class Case:
    """A source, the time it stands at, and a window of which it knows something."""

    source: Any
    now: float
    known: Window


@cache
def recorded() -> Case:
    """A shipped recording that stands a minute before its end."""
    folder = next(path.parent for path in sorted(RECORDINGS.rglob("incident.json")))
    window = RecordedBundle(folder).window
    now = window.end - 60.0
    return Case(RecordedBundle(folder, now), now, Window(start=window.start, end=now))


@cache
def simulated() -> Case:
    """A simulated world, fifteen minutes old."""
    source = SimulatedSource(World(scenario("bad_deploy", 1)))
    source.sleep(900)
    return Case(source, source.now(), Window(start=source.now() - 120, end=source.now()))


def span(at: float, service: str, number: int, parent: int = 0) -> Span:
    """A span of half a second."""
    told = f"{parent:016x}" if parent else ""
    return Span(at, "0" * 31 + "1", f"{number:016x}", told, service, "GET /", 0.5)


@cache
def received() -> Case:
    """What exporters posted, some of it later than the clock."""
    source = ReceivedTelemetry(Standing(NOW))
    source.take_lines(LogLine(NOW - 600 + n, "cart", "INFO", f"line {n}") for n in range(700))
    source.take_spans([span(NOW - 600 + n, "cart", n + 1) for n in range(700)])
    return Case(source, NOW, Window(start=NOW - 300, end=NOW))


SOURCES = {"recorded": recorded, "simulated": simulated, "received": received}
