"""What is read of a system whose logs and spans are too many to be read whole."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from copilot.case.nodes import gather
from copilot.case.nodes.gather import MOST_RECORDS, in_reach
from tests.copilot.test_engine import Desk
from tools.types import Edge, LogLine, Span, Telemetry, Topology, Window

SERVICES = ("web", "cart", "store", "far", "stranger")
CALLS = (("web", "cart"), ("cart", "store"), ("far", "web"))


def seen(lines: int) -> Telemetry:
    return Telemetry(
        window=Window(start=0.0, end=10.0),
        logs=tuple(LogLine(1.0, SERVICES[n % 5], "INFO", "x", "") for n in range(lines)),
        spans=tuple(Span(1.0, "t", name, "", name, "op", 0.1) for name in SERVICES),
        topology=Topology(
            nodes=SERVICES[:4], edges=tuple(Edge(caller=a, callee=b) for a, b in CALLS)
        ),
    )


def read_of(telemetry: Telemetry, *accused: str) -> set[str]:
    kept = in_reach(telemetry, accused)
    assert {one.service for one in kept.logs} == {one.service for one in kept.spans}
    return {one.service for one in kept.logs}


def test_a_call_from_what_is_accused_is_near_and_what_the_graph_does_not_know_is_kept() -> None:
    assert read_of(seen(MOST_RECORDS), "store") == {"store", "cart", "stranger"}


def test_of_a_log_that_is_not_too_long_all_is_read() -> None:
    assert read_of(seen(100), "store") == set(SERVICES)


def test_where_nobody_that_is_known_is_accused_all_is_read() -> None:
    assert read_of(seen(MOST_RECORDS), "nobody") == set(SERVICES)


def test_the_brief_says_that_not_all_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "MOST_RECORDS", 10)
    with ExitStack() as stack:
        desk = Desk(tmp_path, stack).at(90)
        desk.deliver(desk.alerts(90))
        brief = desk.incident.brief
    assert "their logs and traces were not read" in brief["en"]
    assert "未读取其日志和链路" in brief["zh"]
