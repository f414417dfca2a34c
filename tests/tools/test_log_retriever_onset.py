"""When errors began before an alert, by the log alone."""

import numpy as np
import pytest

from tools.log_retriever import error_onset
from tools.types import LogLine

ALERTED = 10_000.0
CALM = [LogLine(at, "shop", "INFO", "order placed") for at in np.arange(6400.0, ALERTED, 5.0)]


def errors(since: float, every: float = 5.0, text: str = "ERROR refused") -> list[LogLine]:
    return [LogLine(float(at), "shop", "", text) for at in np.arange(since, ALERTED, every)]


@pytest.mark.parametrize("before_s", [30.0, 300.0, 900.0])
def test_the_first_of_the_errors_before_an_alert_is_the_onset(before_s: float) -> None:
    assert error_onset([*CALM, *errors(ALERTED - before_s)], ALERTED) == ALERTED - before_s


def test_errors_that_were_always_there_do_not_hide_more_of_them() -> None:
    always = errors(6400.0, every=60.0)
    assert error_onset([*CALM, *always, *errors(9700.0)], ALERTED) == pytest.approx(9700, abs=10)


def test_a_line_without_a_level_counts_where_it_names_a_cause() -> None:
    said = errors(9700.0, text="http: Accept error: accept4: too many open files")
    assert error_onset([*CALM, *said], ALERTED) == 9700.0
    assert error_onset([*CALM, *errors(9700.0, text="hello")], ALERTED) is None


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no line"),
        pytest.param(CALM, id="no error"),
        pytest.param([*CALM, *errors(6400.0, every=30.0)], id="errors at a steady rate"),
        pytest.param([*CALM, *errors(9990.0, every=5.0)], id="two errors"),
        pytest.param([*CALM, LogLine(10_001.0, "shop", "ERROR", "late")], id="after the alert"),
    ],
)
def test_where_errors_did_not_become_more_there_is_no_onset(lines: list[LogLine]) -> None:
    assert error_onset(lines, ALERTED) is None


def test_a_fault_is_not_taken_to_have_begun_long_before_its_alert() -> None:
    found = error_onset([*CALM, *errors(7000.0)], ALERTED)
    assert found is None or found >= ALERTED - 1200.0
