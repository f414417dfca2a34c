"""An error budget burns by the windows that were agreed, and not by what the past always did."""

import numpy as np
import pytest

from tools.error_budget import BUDGET, ErrorBudgets

MINUTE_S = 60.0
HOUR = 60


def burnt(shares: list[float], interval_s: float = MINUTE_S, learned: int = 0) -> list[int]:
    """At which samples one share began to burn, the first `learned` of them being the past."""
    budgets = ErrorBudgets(1, interval_s)
    began = [
        bool(budgets.step(np.array([share]), learning=number < learned)[0])
        for number, share in enumerate(shares)
    ]
    return [number for number, one in enumerate(began) if one and number >= learned]


@pytest.mark.parametrize(
    ("shares", "began"),
    [
        pytest.param([0.0] * 30 + [0.04] * 4, [31], id="four of a hundred fail at once"),
        pytest.param([0.0] * 30 + [1.0] + [0.0] * 9, [], id="one sample of failing is no burn"),
        pytest.param([0.0] * 30 + [0.5, 0.5, 0.0] * 3, [31], id="a burn is told of once"),
        pytest.param([np.nan] * 30 + [0.04] * 4, [31], id="no calls are no calls that fail"),
        pytest.param([BUDGET] * 12 * HOUR, [], id="what the objective allows"),
        pytest.param([0.005] * 5 * HOUR, [], id="five times the budget, not yet six hours"),
    ],
)
def test_a_budget_begins_to_burn(shares: list[float], began: list[int]) -> None:
    assert burnt(shares) == began


def test_a_slow_burn_is_told_of_after_hours() -> None:
    (began,) = burnt([0.0] * 12 * HOUR + [0.012] * 6 * HOUR)
    assert 14 * HOUR < began < 16 * HOUR


def test_what_the_past_always_did_is_within_the_budget_it_gets() -> None:
    usual, worse = [0.03] * 12 * HOUR, [0.03] * 20 + [0.6] * 10
    assert burnt(usual + worse, learned=len(usual)) == [len(usual) + 21]


def test_a_share_that_fails_as_often_as_not_has_no_objective() -> None:
    past = [0.9, 0.9, 0.0] * 4 * HOUR
    assert burnt([*past, *[1.0] * HOUR], learned=len(past)) == []


def test_one_reading_in_five_minutes_says_nothing_by_itself() -> None:
    assert burnt([0.0] * 50 + [0.05] * 2, interval_s=300.0) == []


def test_shares_that_come_later_are_burnt_apart() -> None:
    budgets = ErrorBudgets(1, MINUTE_S)
    for _ in range(30):
        budgets.step(np.zeros(1))
    budgets.extend(1)
    began = [budgets.step(np.array([0.0, 0.05])).tolist() for _ in range(3)]
    assert began == [[False, False], [False, True], [False, False]]
