"""Calibration: what is said against what comes true, and a model that never saw the system."""

import math

import numpy as np
import pytest

from evals.localization.calibration import (
    AnswerClaim,
    calibration,
    calibration_keys,
    calibration_table,
    claims,
    error_interval,
)
from evals.localization.fitting import CalibrationSample, fit, leave_one_out, newton
from evals.localization.gathered import worse_way
from tools.topology_walker.calibration import RankedEvidence
from tools.types import Candidate, Evidence, Ranking, Term, Topology, Window

SAID = [
    *[AnswerClaim(0.99, 1.0, sure=True)] * 8,
    *[AnswerClaim(0.97, 0.0, sure=True)] * 2,
    *[AnswerClaim(0.5, 1.0, sure=False)] * 5,
    *[AnswerClaim(0.5, 0.0, sure=False)] * 5,
]


def test_the_keys_count_only_what_was_said_so_high_and_all_cases() -> None:
    found = calibration_keys(SAID, cases=40)
    assert found["calibration.wrong_at_95"] == pytest.approx(0.2)
    assert found["calibration.coverage"] == 0.25
    assert 0.0 < found["calibration.ece"] < 0.35
    assert found["calibration.brier"] == pytest.approx((8 * 0.0001 + 2 * 0.9409 + 10 * 0.25) / 20)


def test_where_nothing_is_said_so_high_none_of_it_is_wrong_and_nothing_said_is_no_figure() -> None:
    assert calibration_keys([AnswerClaim(0.5, 1.0, sure=True)], 1)["calibration.wrong_at_95"] == 0.0
    found = calibration_keys([], 3)
    assert math.isnan(found["calibration.ece"])
    assert found["calibration.coverage"] == 0.0


def test_bins_hold_equally_many_cases() -> None:
    bins = calibration([(n / 100, 1.0) for n in range(100)]).bins
    assert [one.count for one in bins] == [10] * 10


def test_the_interval_of_the_error_holds_the_error_and_is_drawn_by_a_seed() -> None:
    low, high = error_interval(SAID)
    assert low <= calibration_keys(SAID, 20)["calibration.ece"] <= high
    assert (low, high) == error_interval(SAID)


def test_a_ranking_that_names_nobody_claims_nothing() -> None:
    named = Ranking(
        candidates=(Candidate(component="cart", score=1.0, probability=0.8),), certainty="likely"
    )
    assert claims([(named, 1.0), (Ranking(), 0.0)]) == [AnswerClaim(0.8, 1.0, sure=True)]


def test_the_table_ends_with_all_systems_together() -> None:
    table = calibration_table({"shop": (SAID, 20), "bank": ([], 2)})
    assert [row[0] for row in table.rows] == ["shop", "bank", "all"]
    assert dict(zip(table.columns, table.rows[-1], strict=True))["wrong at 0.95"] == "2 of 10"


def test_the_fit_finds_the_weights_that_drew_the_outcomes() -> None:
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(4000), rng.normal(size=(4000, 2))])
    y = (rng.random(4000) < 1.0 / (1.0 + np.exp(-(x @ np.array([0.5, 2.0, -1.0]))))).astype(float)
    found = newton(x, y, np.ones(4000))
    assert found == pytest.approx([0.5, 2.0, -1.0], abs=0.2)


def test_outcomes_that_are_all_alike_fit_too() -> None:
    x = np.column_stack([np.ones(20), np.linspace(0, 1, 20)])
    found = newton(x, np.ones(20), np.ones(20))
    assert np.isfinite(found).all()
    assert 1.0 / (1.0 + np.exp(-found[0])) > 0.95


def test_which_telemetry_is_taken_away_depends_on_the_name_alone() -> None:
    assert worse_way("lab-1") == worse_way("lab-1")
    assert len({worse_way(f"lab-{n}") for n in range(60)}) == 6


READING = Evidence(
    id="E1", kind="metric", subject="cart", name="latency", source="s", query="q",
    window=Window(start=0.0, end=1.0), statement="cart latency rose.",
)  # fmt: skip


def judged(system: str, name: str, right: float) -> CalibrationSample:
    """An incident whose ranking looks as every other."""
    term = Term(name="own latency", weight=1.0, evidence=("E1",))
    candidates = (Candidate(component="cart", score=1.0, terms=(term,)),)
    ranked = RankedEvidence(candidates, (READING,), Topology())
    return CalibrationSample(system, name, ranked, right, among=False)


def test_a_system_is_judged_by_a_model_that_never_saw_it() -> None:
    good = [judged("good", f"g{n}", 1.0) for n in range(20)]
    bad = [judged("bad", f"b{n}", 0.0) for n in range(20)]
    found = leave_one_out([*good, *bad], [*good, *bad], "rules")
    assert found["b0"].candidates[0].probability > 0.9
    assert found["g0"].candidates[0].probability < 0.1


def test_every_system_counts_the_same_however_many_incidents_it_has() -> None:
    many = [judged("many", f"m{n}", 1.0) for n in range(40)]
    few = [judged("few", f"f{n}", 0.0) for n in range(4)]
    assert fit([*many, *few]).chance(many[0].ranked) == pytest.approx(0.5, abs=0.1)
