"""Time from outside is not trusted: dates of senders, and a host's clock that somebody sets."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest

from copilot import wiring
from copilot.alerts.arrival import arrived
from copilot.case.engine import Engine
from copilot.settings import load
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from tools.types import Alert, Series, Window

NOW = 1_800_000_000.0
YEAR_1, YEAR_9999 = -62_135_596_799.0, 253_402_300_799.0
SOON_S = 60.0


def alert(starts_at: float, name: str = "a", **fields: object) -> Alert:
    given = {"fingerprint": name, "name": name, "service": name, "starts_at": starts_at, **fields}
    return Alert.model_validate(given)


@pytest.mark.parametrize(
    ("starts_at", "begins", "dated"),
    [
        pytest.param(NOW - 60, NOW - 60, None, id="in the past"),
        pytest.param(YEAR_1, YEAR_1, None, id="in the year 1"),
        pytest.param(NOW + 4, NOW + 4, None, id="ahead by what clocks differ"),
        pytest.param(NOW + 6, NOW, NOW + 6, id="ahead by more"),
        pytest.param(YEAR_9999, NOW, YEAR_9999, id="in the year 9999"),
    ],
)
def test_an_alert_that_is_dated_ahead_begins_when_it_arrives(
    starts_at: float, begins: float, dated: float | None
) -> None:
    (read,) = arrived([alert(starts_at, ends_at=YEAR_9999)], NOW, 5.0, {})
    assert (read.starts_at, read.dated, read.ends_at) == (begins, dated, YEAR_9999)


class Blank:
    """Metrics that are there and hold nothing."""

    def series(self, window: Window) -> Sequence[Series]:
        return ()

    def baseline(self, before: float) -> Sequence[Series]:
        return ()


class HostClock(SystemClock):
    """A host's clock that somebody sets; whoever sleeps on it really waits."""

    ahead = 0.0
    slept = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        Event().wait(min(seconds, 5.0))


def briefed(engine: Engine, name: str) -> bool:
    deadline = time.monotonic() + SOON_S
    while time.monotonic() < deadline:
        found = [one for one in engine.store.incidents.list() if name in one.services]
        if found and found[0].brief:
            return True
        time.sleep(0.02)
    return False


def started(folder: Path, stack: ExitStack, **settings: object) -> tuple[Engine, HostClock]:
    clock = HostClock()
    engine = stack.enter_context(
        wiring.engine(
            load(None, data_dir=folder, workers=2, watch_every_s=0, **settings),
            "test",
            sources=Sources(metrics=Blank()),
            clock=clock,
            wall=clock,
        )
    )
    engine.start()
    stack.callback(engine.stop)
    return engine, clock


def test_alerts_of_any_date_leave_the_workers_free(tmp_path: Path) -> None:
    with ExitStack() as stack:
        engine, clock = started(tmp_path, stack)
        for number, date in enumerate((YEAR_9999, YEAR_1, clock.now() + 21_600, YEAR_9999)):
            engine.accept([alert(date, f"odd-{number}")], engine.now())
        engine.accept([alert(engine.now(), "right")], engine.now())
        assert briefed(engine, "right")
        for number in range(4):
            assert briefed(engine, f"odd-{number}")
        (ahead,) = [one for one in engine.store.incidents.list() if "odd-0" in one.services]
        assert "ahead of their arrival" in ahead.brief["en"]
        assert clock.slept == 0.0


@pytest.mark.parametrize("step", [-3600.0, 172_800.0], ids=["back an hour", "ahead two days"])
def test_a_host_whose_clock_is_set_goes_on_working(step: float, tmp_path: Path) -> None:
    with ExitStack() as stack:
        engine, clock = started(tmp_path, stack, settle_s=2)
        engine.accept([alert(engine.now(), "before")], engine.now())
        assert briefed(engine, "before")
        clock.ahead = step
        engine.accept([alert(engine.now(), "after")], engine.now())
        assert briefed(engine, "after")
        assert engine.settled(timeout_s=30)
        assert {one.status for one in engine.store.incidents.list()} == {"handed_over"}
