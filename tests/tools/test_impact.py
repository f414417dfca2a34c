"""What hurts: calls that fail or are much slower are felt, everything else is slight at most."""

from typing import Any

import pytest

from tools.impact import ImpactLevel, impact, impact_of
from tools.types import Evidence, Window

READINGS: dict[str, tuple[tuple[Any, ...], ImpactLevel]] = {
    "one call of a hundred fails": (("error_pct", 0.0, 1.0, "%"), "felt"),
    "one call of two hundred fails": (("error_pct", 0.0, 0.5, "%"), "slight"),
    "one call of two thousand fails": (("error_pct", 0.0, 0.05, "%"), "none"),
    "a share that succeeds fell": (("success_ratio", 0.999, 0.97), "felt"),
    "the same in percent, without a unit": (("success_pct", 99.9, 97.0), "felt"),
    "more succeed": (("success_pct", 97.0, 99.9), "none"),
    "a count of failures doubled": (("http_errors", 4.0, 8.0, "/s"), "felt"),
    "a count of failures a little up": (("http_errors", 4.0, 5.0, "/s"), "slight"),
    "twice as slow": (("latency_p95_ms", 20.0, 40.0, "ms"), "felt"),
    "a fifth slower": (("latency_p95_ms", 200.0, 240.0, "ms"), "slight"),
    "five times as slow, of nothing": (("latency_p95_ms", 0.5, 2.5, "ms"), "none"),
    "the same in seconds": (("latency_p95_s", 0.0005, 0.0025), "none"),
    "of an unknown unit": (("latency_p95", 0.5, 2.5), "felt"),
    "faster": (("latency_p95_ms", 40.0, 20.0, "ms"), "none"),
    "a busy processor": (("cpu_pct", 20.0, 95.0, "%"), "slight"),
    "a disk one point fuller": (("disk_used_pct", 80.0, 81.0, "%"), "slight"),
    "a disk hardly fuller": (("disk_used_pct", 0.10, 0.11, "%"), "none"),
    "a twentieth more memory": (("memory_bytes", 100.0, 105.0, "B"), "none"),
    "half the orders": (("orders_per_minute", 80.0, 40.0), "slight"),
    "a blip of errors": (("error_pct", 0.0, 30.0, "%", 0.2), "slight"),
}


@pytest.mark.parametrize(("reading", "level"), READINGS.values(), ids=READINGS.keys())
def test_a_reading_is_judged_by_who_calls(reading: tuple[Any, ...], level: ImpactLevel) -> None:
    assert impact(*reading).level == level


def test_the_reason_says_by_how_much_in_both_languages() -> None:
    failing, slow = impact("error_pct", 1.0, 5.0, "%"), impact("latency_ms", 20.0, 50.0, "ms")
    assert (failing.reason.en, failing.reason.zh) == (
        "4.0% more of the calls fail",
        "失败的调用多了 4.0%",
    )
    assert "2.5 times as long" in slow.reason.en
    assert "20% of the time" in impact("latency_ms", 20.0, 50.0, "ms", 0.2).reason.en


def measured(kind: str, name: str, value: float | None, **figures: float) -> Evidence:
    return Evidence.model_validate(
        {
            "id": "E1",
            "kind": kind,
            "subject": "web->cart" if kind == "edge" else "cart",
            "name": name,
            "source": "metrics",
            "query": "",
            "window": Window(start=0, end=1),
            "value": value,
            "baseline": 99.0,
            "unit": "%",
            "figures": figures,
            "statement": "-",
        }
    )


@pytest.mark.parametrize(
    ("item", "level"),
    [
        (measured("edge", "caller_errors", 90.0, delta=0.09), "felt"),
        (measured("edge", "caller_errors", 98.8, delta=0.002), "slight"),
        (measured("metric", "success_pct", 90.0), "felt"),
        (measured("metric", "success_pct", 90.0, steady=0.1), "slight"),
        (measured("log", "success_pct", 90.0), None),
        (measured("metric", "success_pct", None), None),
    ],
    ids=["an edge", "hardly", "own", "a blip", "a line", "nothing measured"],
)
def test_evidence_is_judged_as_what_it_was_measured_from(
    item: Evidence, level: ImpactLevel | None
) -> None:
    found = impact_of(item)
    assert (found and found.level) == level
