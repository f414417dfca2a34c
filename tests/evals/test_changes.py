"""The suite `changes`: which commit, or none, scored on incidents that the tests put together."""

import json
import shutil
from pathlib import Path

import pytest
from rich.progress import Progress

from evals.changes import suite
from evals.keys import differences
from evals.localization.cases import RECORDINGS
from evals.report import ModelOptions, Result

POOL = "lab-851d38"  # cart: its connection pool is exhausted
GUILTY = {
    "sha": "badbadbad",
    "timestamp": "2026-11-25T12:00:00Z",
    "files_changed": ["pkg/db/pool.yaml"],
    "diff": "-maximum_pool_size: 20\n+maximum_pool_size: 2",
}
THEME = {**GUILTY, "sha": "themethem", "diff": "-colour: red\n+colour: blue"}


def scored(data: Path, wanted: str, *commits: dict[str, object]) -> Result:
    bundle = data / "incidents" / POOL
    shutil.copytree(RECORDINGS / "incidents" / POOL, bundle)
    shutil.copytree(RECORDINGS / "history", data / "history")
    (bundle / "commits.json").write_text(json.dumps(commits), encoding="utf-8")
    (data / "truth").mkdir()
    row = {"id": POOL, "system": "lab", "root_cause": "cart", "root_cause_commit": wanted}
    (data / "truth" / "truth.jsonl").write_text(json.dumps(row), encoding="utf-8")
    return suite.run(ModelOptions(data=data), Progress())


@pytest.mark.parametrize(
    ("wanted", "commits", "right", "blamed"),
    [
        ("badbadbad", (GUILTY, THEME), 1.0, 0.0),
        ("none", (THEME,), 1.0, 0.0),
        ("none", (GUILTY,), 0.0, 1.0),
        ("themethem", (THEME,), 0.0, 0.0),
    ],
    ids=["convicted", "acquitted", "an innocent blamed", "the guilty missed"],
)
def test_the_answer_is_held_against_the_truth(
    wanted: str, commits: tuple[dict[str, object], ...], right: float, blamed: float, tmp_path: Path
) -> None:
    result = scored(tmp_path, wanted, *commits)
    assert result.summary["commit.right"] == right
    assert result.summary["commit.innocent_blamed"] == blamed
    assert result.summary["component.ac1"] == 1.0
    assert differences(result) == []


def test_a_set_without_commits_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no bundle of it has a commits\.json"):
        suite.run(ModelOptions(data=RECORDINGS, limit=1), Progress())
