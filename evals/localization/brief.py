"""Brief: from accepted alerts to the published brief, as the system grows 1x, 10x, 100x.

A seeded system of each size breaks; its alerts are accepted by an engine on a fresh data folder and
worked on until the brief is stored. The peer of the same run is the plainest responder there is: it
fetches the same series and marks those beyond three standard deviations. The ratio says what
the numbered evidence, the ranking, the journal and the checkpoints cost on top of that.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress

from copilot import __version__, settings, wiring
from copilot.hands import DryRunRunner
from copilot.sources.deployment import Sources
from evals.report import Options, Result, Table, number
from evals.simulator import SimulatedSource, World, scenario
from tools.types import Series, Window

SIZES = {"x1": 6, "x10": 60, "x100": 600}
"""Services of the simulated system."""

ALERT_AFTER_S = 120.0
LOOKBACK_S = 1200.0


@dataclass(frozen=True, slots=True)
class BriefTiming:
    """One size: how much there was to look at, and what it took."""

    services: int
    series: int
    alerts: int
    brief_s: float
    peer_s: float


def run(options: Options, progress: Progress) -> Result:
    """Measure every size once; the figures are seconds of this machine and ratios."""
    started = time.perf_counter()
    task = progress.add_task("brief", total=len(SIZES))
    measured = {}
    for name, services in SIZES.items():
        measured[name] = _measure(services, options.seed)
        progress.advance(task)
    summary: dict[str, float] = {}
    for name, one in measured.items():
        summary |= {
            f"{name}.brief_seconds": one.brief_s,
            f"{name}.ratio_to_three_sigma": one.brief_s / one.peer_s,
            f"{name}.series": float(one.series),
        }
    summary["growth_x100"] = measured["x100"].brief_s / measured["x1"].brief_s
    return Result(
        suite="bench brief",
        version=__version__,
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(_table(list(measured.values())),),
    )


def _measure(services: int, seed: int) -> BriefTiming:
    script = scenario("cpu_saturation", seed + 1, system="random", services=services)
    world = World(script)
    source = SimulatedSource(world)
    source.sleep((script.onset or script.start) + ALERT_AFTER_S - source.now())
    window = Window(start=script.start, end=source.now())
    alerts = source.alerts(window)
    source.baseline(window.end)  # simulating yesterday is not part of looking at it
    peer_started = time.perf_counter()
    _three_sigma(source.series(window), source.baseline(window.end))
    peer_s = time.perf_counter() - peer_started
    sources = Sources(source, source, source, source, source, source)
    with tempfile.TemporaryDirectory() as home:
        loaded = settings.load(data_dir=Path(home), lookback_s=LOOKBACK_S, model_use="off")
        with wiring.engine(
            loaded, "bench", sources=sources, clock=source, runner=DryRunRunner(source)
        ) as engine:
            began = time.perf_counter()
            engine.accept(alerts, engine.now())
            engine.drain()
            brief_s = time.perf_counter() - began
            if not all(one.brief for one in engine.store.incidents.list()):
                raise RuntimeError(f"a system of {services} services ended without a brief")
    return BriefTiming(services, len(source.series(window)), len(alerts), brief_s, peer_s)


def _three_sigma(series: Sequence[Series], baseline: Sequence[Series]) -> list[str]:
    """The names of the series whose last minutes leave three standard deviations."""
    normal = {one.name: one.values for one in baseline}
    found = []
    for one in series:
        values = normal.get(one.name, one.values)
        center, spread = np.nanmean(values), np.nanstd(values) + 1e-12
        if np.nanmax(np.abs(one.values[-8:] - center)) > 3 * spread:
            found.append(one.name)
    return found


def _table(measured: Sequence[BriefTiming]) -> Table:
    return Table(
        title="Alert to brief, all nodes up to the plan (one run; seconds of this machine)",
        columns=("services", "series", "alerts", "brief, s", "three sigma, s", "ratio"),
        rows=tuple(
            (
                str(one.services),
                str(one.series),
                str(one.alerts),
                number(one.brief_s),
                number(one.peer_s, 3),
                number(one.brief_s / one.peer_s, 1),
            )
            for one in measured
        ),
    )
