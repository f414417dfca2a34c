"""The slices suite: exact combinations, the folds, and its peers on a table in our own words."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from evals.keys import differences
from evals.report import Options, Result
from evals.slices import picture, suite
from evals.slices.peers import adtributor, ripple
from tools.slice_finder import MetricMoment, find

HEADER = "min,region,plan,value,cnt"


def written(folder: Path, name: str, region: str) -> None:
    """Orders that fail in one region at the last of four minutes."""
    rows = [HEADER]
    for minute in range(4):
        for place in ("south", "north", "west"):
            for plan in ("free", "paid"):
                failed = 60 if place == region and minute == 3 else 5
                rows.append(f"{minute * 60},{place},{plan},{failed},500")
    (folder / f"{name}.csv").write_text("\n".join(rows), encoding="utf-8")


def run(folder: Path) -> Result:
    with Progress(disable=True) as progress:
        return suite.run(Options(data=folder), progress)


def test_cases_are_scored_by_exact_combinations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "GRID", {name: one[:1] for name, one in suite.GRID.items()})
    answers = [
        {"id": "a", "timestamp": 180, "cause": {"region": "south"}},
        {"id": "b", "timestamp": 180, "cause": [{"region": "north", "plan": "free"}]},
    ]
    (tmp_path / "truth.jsonl").write_text("\n".join(map(json.dumps, answers)))
    written(tmp_path, "a", "south")
    written(tmp_path, "b", "north")
    got = run(tmp_path)

    assert [row["right"] for row in got.cases] == [True, False]
    assert got.cases[0]["said"] == ["region=south"]
    assert got.summary["f1"] == pytest.approx(0.5)
    assert differences(got) == []


def test_a_folder_without_cases_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"truth\.jsonl"):
        run(tmp_path)
    (tmp_path / "truth.jsonl").write_text('{"id": "a", "timestamp": 1, "cause": {}}')
    with pytest.raises(SystemExit, match=r"a\.csv"):
        run(tmp_path)


def test_peers_name_the_value_that_moved() -> None:
    leaves = tuple((r, p) for r in ("south", "north", "west") for p in ("free", "paid"))
    usual = np.full(6, 100.0)
    seen = usual * [5.0, 5.0, 1.0, 1.0, 1.0, 1.0]
    moment = MetricMoment(("region", "plan"), leaves, seen, usual)
    south = frozenset({frozenset({("region", "south")})})
    assert (adtributor(moment), ripple(moment)) == (south, south)


def test_in_the_example_that_is_drawn_one_region_of_one_provider_is_blamed() -> None:
    answer = find(picture.example())
    assert [one.name for one in answer.slices] == ["isp=telecom in region=south"]
