"""Totals by OTLP: processes that look alike, restarts, gaps, repeats, and senders gone wrong."""

from collections.abc import Sequence
from typing import Any

import pytest

from copilot.sources.otlp import points
from copilot.sources.received import DataPoint, ReceivedTelemetry
from tests.contracts.clocks import Standing
from tools.types import Series, Window

NOW = 1_767_225_720.0
WINDOW = Window(start=NOW - 3600, end=NOW)

Total = tuple[float, float, float]
"""When it began and when it was told, both in seconds before now, and the count."""


def request(totals: Sequence[Total], start: bool = True, **labels: str) -> dict[str, Any]:
    """Totals of a counter of the service `till`, one resource each, as a collector may batch."""
    told = [{"key": key, "value": {"stringValue": value}} for key, value in labels.items()]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "till"}}]}
    listed = []
    for began, ago, count in totals:
        at = {"timeUnixNano": nanos(NOW - ago), "asDouble": count, "attributes": told}
        if start:
            at["startTimeUnixNano"] = nanos(NOW - began)
        about = {"isMonotonic": True, "aggregationTemporality": 2, "dataPoints": [at]}
        metric = {"name": "receipts.printed", "sum": about}
        listed.append({"resource": resource, "scopeMetrics": [{"metrics": [metric]}]})
    return {"resourceMetrics": listed}


def nanos(moment: float) -> str:
    return str(round(moment * 1e9))


def rate(sent: Sequence[dict[str, Any]], window: Window = WINDOW) -> list[float]:
    received = ReceivedTelemetry(Standing(NOW))
    received.take_points([DataPoint(NOW, "till", "drawers", "", "", 1.0)])
    for document in sent:
        read = points(document, NOW)
        assert not read.rejected
        received.take_points(read.items)
    found: dict[str, Series] = {one.name: one for one in received.series(window)}
    series = found.get("till|receipts_printed_rate")
    return [] if series is None else [round(float(value), 6) for value in series.values]


def growing(began: float, agos: Sequence[float], per_s: float, before: float = 0.0) -> list[Total]:
    return [(began, ago, before + per_s * (began - ago)) for ago in agos]


OLD = growing(9000, (60, 50, 40, 30, 20, 10, 0), 3)
YOUNG = growing(200, (57, 47, 37, 27, 17, 7), 2)

STREAMS: dict[str, tuple[list[Total], list[float]]] = {
    "one process": (OLD, [3.0] * 6),
    "two processes with one name, told in turns": (
        sorted([*OLD, *YOUNG], key=lambda one: -one[1]),
        [5.0] * 5,
    ),
    "the same, one after the other": ([*OLD, *YOUNG], [5.0] * 5),
    "a restart counts from its own beginning": (
        [*growing(9000, (60, 50, 40), 3), *growing(35, (30, 20, 10, 0), 3)],
        [3.0, 3.0, 3.0, 3.0, 3.0, 3.0],
    ),
    "a restart that counted more than the old one ever did": (
        [*growing(50_000, (60, 50, 40), 1), *growing(35, (30, 20, 10, 0), 90_000)],
        [1.0, 1.0, 90_000.0, 90_000.0, 90_000.0, 90_000.0],
    ),
    "one that joins while we listen is counted from its beginning": (
        [*OLD, *growing(35, (20, 10, 0), 4)],
        [3.0, 3.0, 3.0, 7.0, 7.0, 7.0],
    ),
    "one that leaves is not told for ever": (
        [*OLD, *growing(8000, (60, 50, 40), 8)],
        [11.0, 11.0, 11.0, 3.0, 3.0, 3.0],
    ),
    "a long life before we listened is no burst": ([(90_000, 0, 1e9)], []),
    "every point told twice": (
        [one for one in OLD for _ in (0, 1)],
        [3.0] * 6,
    ),
    "out of order": ([OLD[0], OLD[2], OLD[1], *OLD[3:]], [3.0] * 5),
    "a beginning in the future is none": (
        [(-500, ago, 3 * (100 - ago)) for ago in (30, 20, 10, 0)],
        [3.0] * 3,
    ),
    "a beginning at the first point says it is not known": (
        [(30, ago, 4000 + 2 * (30 - ago)) for ago in (30, 20, 10, 0)],
        [2.0] * 3,
    ),
}


@pytest.mark.parametrize(("totals", "told"), STREAMS.values(), ids=STREAMS)
def test_a_total_is_read_by_the_moment_since_which_it_counts(
    totals: list[Total], told: list[float]
) -> None:
    assert rate([request(totals)]) == told
    assert rate([request([one]) for one in totals]) == told


def test_without_a_beginning_a_fall_is_a_new_one() -> None:
    totals: list[Total] = [(0, 30, 500), (0, 20, 520), (0, 10, 10), (0, 0, 40)]
    assert rate([request(totals, start=False)]) == [2.0, 1.0, 3.0]


def test_a_moment_at_the_edge_of_a_window_has_what_was_said_just_before_it() -> None:
    whole = [request(sorted([*OLD, *YOUNG], key=lambda one: -one[1]))]
    assert rate(whole, Window(start=NOW - 25, end=NOW)) == [5.0, 5.0, 5.0]


@pytest.mark.parametrize(("labels", "told"), [(400, []), (150, [450.0, 450.0])])
def test_labels_that_a_sender_invents_are_bounded_and_the_first_are_forgotten(
    labels: int, told: list[float]
) -> None:
    received = ReceivedTelemetry(Standing(NOW), most_bytes=1_200_000)
    received.take_points([DataPoint(NOW, "till", "drawers", "", "", 1.0)])
    for total in growing(9000, (20, 10, 0), 3):
        for number in range(labels):
            received.take_points(points(request([total], till=str(number)), NOW).items)
    found = [one for one in received.series(WINDOW) if one.metric == "receipts_printed_rate"]
    assert [value for one in found for value in one.values] == pytest.approx(told)
