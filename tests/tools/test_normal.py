"""What is normal: a robust level, scale and band, though points of a fault lie in the past."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.normal import DEPARTS, FLOOR, HIGH, LOW, MIDDLE, RARE, Normal, percentile

QUIET = np.random.default_rng(0).normal(200.0, 20.0, 500)


def normal(past: list[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> Normal:
    found = Normal.of(np.asarray(past, dtype=np.float64))
    assert found is not None
    return found


def test_of_normal_noise_it_is_mean_and_deviation() -> None:
    assert normal(QUIET).level == pytest.approx(200.0, abs=3.0)
    assert normal(QUIET).spread == pytest.approx(20.0, rel=0.1)


def test_a_fault_in_a_tenth_of_the_past_moves_neither_level_nor_scale_much() -> None:
    spoilt = normal(np.concatenate([QUIET, np.full(50, 5_000.0)]))
    assert spoilt.level == pytest.approx(normal(QUIET).level, abs=5.0)
    assert spoilt.spread < 2.0 * normal(QUIET).spread


@pytest.mark.parametrize(
    ("past", "inside", "outside"),
    [
        pytest.param([100.0] * 9, 119.0, 121.0, id="never moved: a share of the level"),
        pytest.param([0.0] * 9, 0.0, 0.001, id="nothing at all"),
        pytest.param([10.0, 14.0] * 9, 19.0, 26.0, id="wavers"),
        pytest.param([5.0] * 80 + [50.0] * 20, 90.0, 120.0, id="bursts that are usual"),
    ],
)
def test_what_departs_is_outside_four_scales(
    past: list[float], inside: float, outside: float
) -> None:
    assert normal(past).departs(np.array([inside, outside])).tolist() == [False, True]


def test_too_few_points_say_nothing() -> None:
    assert Normal.of(np.array([1.0, 2.0])) is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=50), st.floats(0.01, 100.0))
def test_the_level_is_in_the_band_and_all_scale_with_the_unit(
    past: list[float], factor: float
) -> None:
    one, other = normal(past), normal([factor * value for value in past])
    low, high = one.band
    assert low <= one.level <= high
    assert one.scale >= FLOOR * abs(one.level)
    assert other.level == pytest.approx(factor * one.level, rel=1e-6, abs=1e-6)
    assert high - one.level >= DEPARTS * one.spread * (1 - 1e-9)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
    st.sampled_from((LOW, MIDDLE, RARE, HIGH)),
)
def test_a_percentile_is_that_of_numpy(values: list[float], percent: int) -> None:
    ranked = np.sort(np.array(values))
    assert percentile(ranked, percent) == np.percentile(ranked, percent)
