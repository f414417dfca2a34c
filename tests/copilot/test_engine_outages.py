"""Threads of the engine outlive what they meet, say it, and go on by themselves."""

import functools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from copilot import wiring
from copilot.case.answers import RetryWish
from copilot.case.engine import Engine
from copilot.case.graph import NODES, NodeFunction
from copilot.case.loops import Loop, problem_of
from copilot.case.worker import DEATHS, TRIES, pause_s
from copilot.settings import load
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.store import PolicyRefusedError
from copilot.surfaces.service.health import Meters
from copilot.testing.store_faults import StoreFaults
from tools.types import Alert

LOOPS = frozenset({"intake", "upkeep", "workers"})
SOON_S = 60.0


def until(what: Callable[[], bool]) -> bool:
    """Wait for it as long as a slow machine may take."""
    deadline = time.monotonic() + SOON_S
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


@dataclass
class Desk:
    """A started engine that measures nothing, so that each incident is briefed at once."""

    engine: Engine
    faults: StoreFaults

    def alert(self, name: str) -> None:
        one = Alert(fingerprint=name, name=name, service=name, starts_at=self.engine.now())
        self.engine.accept([one], self.engine.now())

    def briefed(self, count: int) -> bool:
        found = self.engine.store.incidents.list()
        return len(found) == count and all(one.status == "handed_over" for one in found)

    @property
    def well(self) -> bool:
        return set(self.engine.ready().values()) == {"ok"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as stack:
        settings = load(data_dir=tmp_path, workers=2)
        engine = stack.enter_context(wiring.engine(settings, "test", sources=Sources()))
        faults = StoreFaults(engine.store, LOOPS)
        engine.longest_pause_s = 0.02
        engine.start()
        stack.callback(engine.stop)
        yield Desk(engine, faults)


def test_each_call_of_the_store_may_fail_and_the_incident_is_briefed(desk: Desk) -> None:
    desk.faults.each_once()
    desk.alert("cart")
    assert until(lambda: desk.briefed(1))
    assert until(lambda: desk.well)
    assert len(desk.faults.failed) > 20
    (incident,) = desk.engine.store.incidents.list()
    assert until(lambda: desk.engine.store.runs.of(incident.id)[0].status == "done")
    assert len(desk.engine.store.runs.of(incident.id)) == 1


def test_an_outage_is_said_and_over_by_itself(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    meters = Meters(desk.engine)
    with desk.faults.away():
        desk.alert("cart")
        assert until(lambda: "database or disk is full" in desk.engine.ready()["workers"])
        failing = 'copilot_loops_failing{loop="intake"} 1.0'
        assert until(lambda: failing in meters.text().decode())
    assert until(lambda: desk.well)
    desk.alert("mail")
    assert until(lambda: desk.briefed(2))
    assert 'copilot_loops_failing{loop="intake"} 0.0' in meters.text().decode()
    said = [one.message for one in caplog.records if one.message.startswith("intake")]
    assert "intake works again after" in said[-1]
    assert sum(bool(one.exc_info) for one in caplog.records) <= len(desk.engine.loops)


def broken(times: int, node: NodeFunction, error: BaseException) -> NodeFunction:
    left = [times]

    @functools.wraps(node)
    def run(*arguments: object, **named: object) -> object:
        if left[0]:
            left[0] -= 1
            raise error
        return node(*arguments, **named)

    return run


class Standing(SystemClock):
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self._now = super().now()

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


def worked(folder: Path, node: NodeFunction, stack: ExitStack) -> Engine:
    clock = Standing()
    engine = stack.enter_context(
        wiring.engine(
            load(data_dir=folder),
            "test",
            sources=Sources(),
            clock=clock,
            wall=clock,
            nodes={**NODES, "locate": node},
        )
    )
    engine.recover()
    return engine


def test_a_node_that_breaks_for_a_while_costs_time_and_not_the_incident(tmp_path: Path) -> None:
    with ExitStack() as stack:
        once = broken(TRIES - 1, NODES["locate"], KeyError("no group here yet"))
        engine = worked(tmp_path, once, stack)
        began = engine.now()
        engine.accept([Alert(fingerprint="f", name="A", service="b", starts_at=began)], began)
        engine.drain()
        assert engine.store.incidents.list()[0].status == "handed_over"
        assert engine.now() - began == pytest.approx(pause_s(1) + pause_s(2), abs=0.1)


def test_what_breaks_again_and_again_is_set_aside_until_a_person_lifts_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        for_good = broken(TRIES, NODES["locate"], KeyError("no group here"))
        engine = worked(tmp_path, for_good, stack)
        began = engine.now()
        engine.accept([Alert(fingerprint="f", name="A", service="b", starts_at=began)], began)
        engine.drain()
        (incident,) = engine.store.incidents.list()
        (failed,) = [e for e in engine.store.journal.events() if e.kind == "failed"]
        assert incident.status == "failed"
        assert "no group here" in str(failed.detail["reason"])
        assert f"copilot retry {incident.id}" in str(failed.detail["reason"])
        engine.retry(RetryWish(incident_id=incident.id, by="anna"))
        engine.drain()
        assert engine.store.incidents.require(incident.id).status == "handed_over"
        assert len(engine.store.runs.of(incident.id)) == 1
        with pytest.raises(PolicyRefusedError, match="only a failed one"):
            engine.retry(RetryWish(incident_id=incident.id, by="anna"))


class EndedError(BaseException):
    """The process ended here."""


def deaths(folder: Path, node: NodeFunction, most: int = 20) -> tuple[str, int]:
    """How an incident stands whose process ends at each of its tries, and how many those were."""
    for died in range(most):
        with ExitStack() as stack:
            engine = worked(folder, node, stack)
            if not died:
                alert = Alert(fingerprint="f", name="A", service="b", starts_at=engine.now())
                engine.accept([alert], engine.now())
            engine.deps.clock.sleep(600)
            try:
                engine.drain()
            except EndedError:
                continue
            return engine.store.incidents.list()[0].status, died
    return "still tried", most


def test_a_run_that_ends_its_process_at_one_place_is_set_aside(tmp_path: Path) -> None:
    status, died = deaths(tmp_path, broken(99, NODES["locate"], EndedError()))
    assert (status, died) == ("failed", DEATHS + 1)


def test_a_run_that_outlives_some_deaths_is_not_given_up(tmp_path: Path) -> None:
    status, died = deaths(tmp_path, broken(DEATHS, NODES["locate"], EndedError()))
    assert (status, died) == ("handed_over", DEATHS)


def test_a_first_look_that_was_cut_off_lets_those_of_others_go_before_its_diagnosis(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        engine = worked(tmp_path, broken(1, NODES["locate"], EndedError()), stack)
        for name in "ab":
            engine.accept(
                [Alert(fingerprint=name, name=name, service=name, starts_at=engine.now())],
                engine.now(),
            )
            engine.deps.clock.sleep(7200)
        with pytest.raises(EndedError):
            engine.drain()
    with ExitStack() as stack:
        engine = worked(tmp_path, NODES["locate"], stack)
        engine.drain()
        told = [one.kind for one in engine.store.journal.events()]
    assert [one for one in told if one in ("briefed", "diagnosed")][:2] == ["briefed", "briefed"]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        pytest.param(0, 0.0, id="the first try waits for nothing"),
        pytest.param(1, 1.0, id="the second a moment"),
        pytest.param(4, 8.0, id="then twice as long"),
        pytest.param(400, 300.0, id="never longer than five minutes"),
    ],
)
def test_a_run_that_broke_waits_longer_each_time(times: int, seconds: float) -> None:
    assert pause_s(times) == seconds


def test_a_loop_pauses_longer_each_time_and_says_little(caplog: pytest.LogCaptureFixture) -> None:
    stopping, pauses = Event(), []

    class Stopping(Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout)
            if len(pauses) == 10:
                self.set()
            return self.is_set()

    def work() -> None:
        raise MemoryError("no room")

    stopping = Stopping()
    with caplog.at_level(logging.WARNING):
        loop = Loop("intake", work, stopping, longest_pause_s=5.0, chance=lambda: 0.0)
        loop.start()
        assert loop.join(SOON_S)
    assert pauses == pytest.approx([0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0])
    assert (loop.failures, loop.failing, loop.error) == (9, 9, "MemoryError: no room")
    assert len(caplog.records) == 4
    assert problem_of([loop]) == "not running"
    assert problem_of([]) == "not running"
