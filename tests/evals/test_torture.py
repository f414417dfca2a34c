"""Torture: what is counted decides the exit code, and nothing else does."""

from pydantic import JsonValue

from evals.keys import differences
from evals.torture.suite import COUNTS, TortureOptions, failures, result_of


def case(name: str, **counts: int) -> dict[str, JsonValue]:
    return {"id": name, "database": "sqlite", **dict.fromkeys(COUNTS, 0), **counts}


def test_a_run_without_counts_has_no_failures_whatever_memory_it_took() -> None:
    result = result_of(TortureOptions(), [case("kill") | {"rss_growth": 3.0}], [], 1.0)
    assert failures(result) == []
    assert differences(result) == []
    assert result.summary["rss_growth"] == 3.0


def test_each_count_is_a_failure_and_says_where_it_was_counted() -> None:
    for name in COUNTS:
        result = result_of(TortureOptions(), [case("kill"), case("clock", **{name: 2})], [], 1.0)
        assert failures(result) == [f"{name}: 2 (clock)"]


def test_rounds_for_which_there_was_no_time_are_named() -> None:
    result = result_of(TortureOptions(), [case("kill")], ["hostile, sqlite"], 1.0)
    assert result.notes["left_out"] == ["hostile, sqlite"]
