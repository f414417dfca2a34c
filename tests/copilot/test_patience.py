"""Sources that hang, fail and come back: the brief comes in time and names them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

from copilot.ports import SourceError
from copilot.settings import load
from copilot.sources.patience import (
    FAILURES,
    SHARED_S,
    Patience,
    SharedAnswers,
    SourceQuestion,
)
from copilot.wiring import engine, received
from tools.types import Alert


class _Source:
    """Answers when it is let to; counts what it is asked."""

    def __init__(self, answer: Any = "told", hangs: bool = False) -> None:
        self.answer = answer
        self.let_go = threading.Event()
        self.asked = 0
        if not hangs:
            self.let_go.set()

    def question(self, name: str = "metrics") -> SourceQuestion:
        return SourceQuestion(name, self, self._ask)

    def _ask(self) -> Any:
        self.asked += 1
        self.let_go.wait(30)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_sources_are_asked_side_by_side_and_the_late_one_is_named() -> None:
    late, soon = _Source(hangs=True), _Source()
    started = time.monotonic()
    told = Patience(0.2).together({"late": late.question("metrics"), "soon": soon.question("logs")})
    assert time.monotonic() - started < 5
    assert told["soon"] == "told"
    assert str(told["late"]) == "metrics: no answer within 0.2 s"
    late.let_go.set()


def test_a_source_that_still_owes_an_answer_is_asked_nothing_more() -> None:
    late, patience = _Source(hangs=True), Patience(0.05)
    for _ in range(20):
        with pytest.raises(SourceError):
            patience.ask(late.question())
    assert late.asked == 1
    late.let_go.set()


def test_a_source_that_keeps_failing_is_left_alone_and_tried_again_by_one_question() -> None:
    at = [0.0]
    source = _Source(SourceError("x", "broken pipe", recoverable=True))
    patience = Patience(5, now=lambda: at[0])
    for _ in range(FAILURES):
        with pytest.raises(SourceError, match="broken pipe"):
            patience.ask(source.question())
    with pytest.raises(SourceError, match="not asked for a while: broken pipe"):
        patience.ask(source.question())
    assert source.asked == FAILURES
    at[0] += 31
    source.answer = "told"
    assert patience.ask(source.question()) == "told"
    assert patience.ask(source.question()) == "told"


def test_a_question_that_the_source_refuses_opens_nothing() -> None:
    source = _Source(SourceError("x", "bad query", recoverable=False))
    patience = Patience(5)
    for _ in range(2 * FAILURES):
        with pytest.raises(SourceError, match="bad query"):
            patience.ask(source.question())


def test_an_error_of_ours_is_raised_at_once_and_leaves_the_source_open() -> None:
    source, patience = _Source(KeyError("ours"), hangs=True), Patience(0.05)
    with pytest.raises(SourceError, match="no answer"):
        patience.ask(source.question())
    source.let_go.set()
    wait_until = time.monotonic() + 30
    while time.monotonic() < wait_until:
        with pytest.raises((KeyError, SourceError)) as raised:
            patience.ask(source.question(), within_s=30)
        if raised.type is KeyError:
            return
        time.sleep(0.01)
    pytest.fail("the source is held for one that still owes an answer")


@contextmanager
def silent_server() -> Iterator[str]:
    """It takes connections and never says a word."""
    with create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_behind_a_hanging_prometheus_the_service_starts_and_the_brief_names_it(
    tmp_path: Path,
) -> None:
    with silent_server() as url:
        settings = load(
            data_dir=tmp_path,
            prometheus_url=url,
            model_use="off",
            embedder="none",
            gather_s=0.5,
            settle_s=0,
        )
        started = time.monotonic()
        with engine(settings, "test", received=received(settings), lasting=True) as running:
            assert time.monotonic() - started < 10
            now = running.now()
            alert = Alert(fingerprint="a" * 16, name="Slow", service="cart", starts_at=now)
            running.accept([alert], now)
            running.drain()
            (incident,) = running.store.incidents.active()
            assert time.monotonic() - started < 30
    assert "metrics: not asked: it has not answered" in incident.brief["en"]


def test_incidents_looked_at_together_share_an_answer_for_a_while() -> None:
    now, asked = [0.0], list[str]()
    shared = SharedAnswers(lambda: now[0])

    def ask(key: str) -> int:
        def told() -> int:
            asked.append(key)
            return len(asked)

        return shared.ask(key, told)

    assert (ask("a"), ask("a"), ask("b")) == (1, 1, 2)
    now[0] += SHARED_S + 1
    assert ask("a") == 3
    assert asked == ["a", "b", "a"]


def test_who_asks_meanwhile_waits_for_the_answer_and_an_error_is_kept_for_nobody() -> None:
    shared, begun, let_go = SharedAnswers(), threading.Event(), threading.Event()
    met: list[str] = []

    def fails() -> int:
        begun.set()
        let_go.wait(30)
        raise SourceError("metrics", "gone", recoverable=True)

    def ask() -> None:
        try:
            shared.ask("a", fails)
        except SourceError as error:
            met.append(error.problem)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    threads[0].start()
    begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    let_go.set()
    for thread in threads:
        thread.join()
    assert met == ["gone"] * 3
    assert shared.ask("a", lambda: 7) == 7


def test_each_source_is_counted_by_how_it_ended_and_how_long_it_took() -> None:
    late, patience = _Source(hangs=True), Patience(0.05)
    broken = _Source(SourceError("logs", "500", recoverable=True))
    for _ in range(2):
        with pytest.raises(SourceError):
            patience.ask(late.question())
    for _ in range(3):
        patience.ask(_Source().question("traces"), 30.0)
    with pytest.raises(SourceError):
        patience.ask(broken.question("logs"))
    late.let_go.set()
    told = {name: dict(tally.outcomes) for name, tally in patience.tallies.items()}
    assert told == {
        "metrics": {"late": 1, "left_alone": 1},
        "traces": {"answered": 3},
        "logs": {"failed": 1},
    }
    assert sum(patience.tallies["metrics"].buckets) == 1
    assert patience.tallies["metrics"].total_s == pytest.approx(0.05)


def test_what_is_known_is_told_without_a_thread_and_a_source_that_is_away_is_not_waited_for() -> (
    None
):
    asked: list[str] = []

    def ask() -> str:
        asked.append(threading.current_thread().name)
        return "told"

    away = SourceError("logs", "not configured", recoverable=False)
    patience = Patience(5.0)
    told = patience.together(
        {
            "known": SourceQuestion("metrics", object(), ask, known=lambda: ("kept",)),
            "away": SourceQuestion("logs", object(), ask, known=lambda: (away,)),
            "asked": SourceQuestion("traces", object(), ask),
        }
    )
    assert told == {"known": "kept", "away": away, "asked": "told"}
    assert asked == ["ask traces"]
    assert patience.tallies["logs"].outcomes == {"failed": 1}
    assert patience.tallies["metrics"].outcomes == {"answered": 1}
