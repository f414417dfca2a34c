"""The first hour: little or no telemetry, and what may be said and measured then."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from copilot import wiring
from copilot.ports import MetricSource
from copilot.settings import load
from copilot.sources.deployment import Sources
from copilot.types.incident import Incident
from evals.simulator import scenario
from evals.torture.survival import DurableWorld
from tools.detector.onset import BEFORE_S
from tools.topology_walker.certainty import LITTLE_S
from tools.types import Series, Window

SCENARIO = scenario("pool_exhaustion", 3)
FAULT = SCENARIO.start + SCENARIO.quiet_s


def looked_at(folder: Path, seen: Callable[[Sources], Sources]) -> tuple[Incident, ...]:
    """The incidents of the fault, 90 s after its onset, by what is seen of its world."""
    folder.mkdir(exist_ok=True)
    world = DurableWorld(SCENARIO, folder / "world.jsonl")
    world.sleep(FAULT + 90 - world.now())
    settings, sources = load(data_dir=folder / "data", refresh_s=0), seen(world.sources)
    with wiring.engine(settings, "test", sources=sources, clock=world, runner=world) as engine:
        alerts = world.source.alerts(Window(start=FAULT - 600, end=FAULT + 90))
        engine.accept(list(alerts), world.now())
        engine.drain()
        return engine.store.incidents.list()


def test_clocks_count_from_the_metrics_or_measure_nothing(tmp_path: Path) -> None:
    seen = looked_at(tmp_path / "seen", lambda sources: sources)
    assert {one.clocks.measured_from for one in seen} == {"metrics"}
    assert all("from the onset seen in the metrics" in one.brief["en"] for one in seen)
    blind = looked_at(tmp_path / "blind", lambda _: Sources())
    assert {one.clocks.measured_from for one in blind} == {"alert"}
    assert all("1-5-10**: not measurable" in one.brief["en"] for one in blind)


class Young:
    """Metrics that begin three minutes before the fault, as after a restart."""

    def __init__(self, old: MetricSource) -> None:
        self._old = old

    def series(self, window: Window) -> Sequence[Series]:
        recent = Window(start=FAULT - 180, end=max(window.end, FAULT - 180))
        return [one.between(recent) for one in self._old.series(window)]

    def baseline(self, before: float) -> Sequence[Series]:
        return self.series(Window(start=FAULT - 3600, end=before))


def test_a_young_source_of_metrics_lowers_what_is_said(tmp_path: Path) -> None:
    (incident,) = looked_at(tmp_path, lambda one: replace(one, metrics=Young(one.metrics)))
    assert incident.history_s is not None
    assert incident.history_s < LITTLE_S
    assert incident.clocks.measured_from == "history"
    assert incident.ranking.certainty != "proven"
    assert "of metrics before the onset" in incident.brief["en"]
    assert not re.search(r"\d %\)", incident.brief["en"])


def test_little_history_is_less_than_the_onset_is_compared_with() -> None:
    assert LITTLE_S == BEFORE_S
