"""Quiet stretches cut out of bundle sets: before the fault, between faults, out of a history."""

import gzip
import json
from pathlib import Path

import pytest

from evals.localization.calibration import QuietCount, quiet_keys, quiet_table
from evals.localization.quiet import QuietStretch, quiet_stretches
from tools.types import Ranking

DAY = 1_700_000_000.0
STEP = 10.0
FAULT = 1200.0


def metrics(folder: Path, seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{DAY + at},5.0" for at in range(0, int(seconds), int(STEP))]
    text = "\n".join(["ts,cart|latency_ms", *rows])
    (folder / "metrics.csv.gz").write_bytes(gzip.compress(text.encode()))


def bundle_set(
    root: Path, *, earlier: list[list[float]] | None = None, calm: float = FAULT, history: float = 0
) -> Path:
    """One incident whose fault begins after `calm` seconds, recorded for five minutes more."""
    folder = root / "incidents" / "shop-1"
    metrics(folder, calm + 300.0)
    described = {
        "id": "shop-1",
        "schema": "incident-bundle/1",
        "system": "shop",
        "window": [DAY, DAY + calm + 290.0],
        "services": ["web", "cart"],
        "entry": "web",
        "sampling_s": STEP,
        "reference_excluded": [[DAY + a, DAY + b] for a, b in earlier or []],
        "history": "normal" if history else None,
    }
    (folder / "incident.json").write_text(json.dumps(described))
    if history:
        metrics(root / "history" / "normal", history)
    (root / "truth").mkdir()
    answer = {"id": "shop-1", "system": "shop", "root_cause": "cart", "inject_ts": DAY + calm}
    (root / "truth" / "truth.jsonl").write_text(json.dumps(answer))
    return root


def times(found: tuple[QuietStretch, ...]) -> list[tuple[float, float]]:
    """Page and last moment seen, in seconds since the recording began."""
    return [(one.page - DAY, one.now - DAY) for one in found]


CALM: dict[str, tuple[float, list[list[float]], list[tuple[float, float]]]] = {
    "the five minutes before the last sample before the fault": (1200, [], [(890, 1190)]),
    "a shorter one where five minutes of calm would not be left": (400, [], [(300, 390)]),
    "none where the calm is too short": (330, [], []),
    "after an earlier incident": (1200, [[0, 700]], [(1000, 1190)]),
    "between two earlier ones": (1200, [[0, 100], [600, 1100]], [(400, 600)]),
    "none between too many": (1200, [[0, 200], [400, 700], [900, 1100]], []),
}


@pytest.mark.parametrize("case", CALM, ids=list(CALM))
def test_a_stretch_ends_before_the_fault_and_is_free_of_earlier_ones(
    case: str, tmp_path: Path
) -> None:
    calm, earlier, wanted = CALM[case]
    assert times(quiet_stretches(bundle_set(tmp_path, earlier=earlier, calm=calm))) == wanted


def test_a_stretch_in_which_somebody_was_alerted_is_not_quiet(tmp_path: Path) -> None:
    root = bundle_set(tmp_path)
    alert = {"ts": DAY + 600.0, "service": "cart", "name": "CartSlow", "severity": "page"}
    (root / "incidents" / "shop-1" / "alerts.json").write_text(json.dumps([alert]))
    assert quiet_stretches(root) == ()


def test_a_history_of_normal_operation_is_paged_into_at_even_distances(tmp_path: Path) -> None:
    found = quiet_stretches(bundle_set(tmp_path, calm=100.0, history=6000.0))
    pages = [page for page, _ in times(found)]
    assert (len(pages), pages[0], pages[-1]) == (12, 600.0, 5690.0)
    assert {now - page for page, now in times(found)} == {300.0}


def test_nothing_is_right_in_a_stretch_and_nobody_is_accused_of_level_readings(
    tmp_path: Path,
) -> None:
    stretch = quiet_stretches(bundle_set(tmp_path, calm=100.0, history=3600.0))[3]
    found = stretch.gathered()
    assert (found.components, found.system) == ((), "shop")
    assert found.id == f"normal quiet {stretch.page:.0f}"
    assert stretch.located().ranking.abstained


def test_the_share_that_is_accused_stands_over_all_and_for_each_system() -> None:
    likely = Ranking(certainty="likely")
    counts = {"shop": QuietCount.of([likely, Ranking()]), "bank": QuietCount.of([Ranking()] * 2)}
    assert quiet_keys(counts) == {
        "quiet.said": 0.25, "shop.quiet.said": 0.5, "bank.quiet.said": 0.0, "quiet.stretches": 4.0,
    }  # fmt: skip
    assert quiet_table(counts).rows == (("shop", "1 of 2"), ("bank", "0 of 2"))
