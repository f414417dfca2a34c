"""The objects suite: its words and its score, as the README of its data set defines them."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from evals.keys import differences
from evals.kubernetes import objects
from evals.kubernetes.words import WORDS, fulfilled, wanted
from evals.report import Options
from tools.cluster_inspector import inspect
from tools.cluster_inspector.rules import RULES
from tools.types import ClusterState

LOST = {"kind": "PersistentVolumeClaim", "metadata": {"name": "disk", "namespace": "a"},
        "status": {"phase": "Lost"}}  # fmt: skip
FINE = {**LOST, "status": {"phase": "Bound"}}
LOST_STATE = objects.state_of([LOST], "a")


def verdict(*what: str, lint: bool = False) -> dict[str, Any]:
    """What the data set says of the claim."""
    return {"kind": "PersistentVolumeClaim", "name": "disk", "namespace": "a",
            "what": list(what), "lint": lint}  # fmt: skip


def case(document: dict[str, Any], *verdicts: dict[str, Any]) -> dict[str, Any]:
    return {"test": "t", "case": "c", "objects": [document], "verdicts": list(verdicts)}


@pytest.mark.parametrize(
    ("written", "outcome", "detected", "wrong", "false"),
    [
        pytest.param(case(LOST, verdict("claim-lost")), "right", 1.0, 0.0, 0.0, id="right"),
        pytest.param(
            case(LOST, verdict("evicted")), "WRONG REASON", 0.0, 1.0, 0.0, id="another reason"
        ),
        pytest.param(case(FINE, verdict("claim-lost")), "MISSED", 0.0, 0.0, 0.0, id="missed"),
    ],
)
def test_an_object_is_scored_by_the_words_of_its_findings(
    tmp_path: Path, written: dict[str, Any], outcome: str, detected: float, wrong: float,
    false: float,
) -> None:  # fmt: skip
    (tmp_path / "analyzers.json").write_text(json.dumps([written, case(LOST, verdict())]))
    (tmp_path / "twins.json").write_text(
        json.dumps({"one": {"want": "claim-lost on disk", "objects": [LOST]}})
    )
    with Progress(disable=True) as progress:
        got = objects.run(Options(data=tmp_path), progress)

    assert [row["outcome"] for row in got.cases] == [outcome, "FALSE", "right"]
    assert got.summary == {
        "faults.detected": detected, "faults.wrong_reason": wrong, "healthy.false": 1.0,
        "twins.detected": 1.0,
    }  # fmt: skip
    assert differences(got) == []


def test_the_words_are_of_rules_that_exist() -> None:
    assert set(WORDS) <= set(RULES)


@pytest.mark.parametrize(
    ("want", "met"),
    [
        pytest.param("disk is lost", True, id="in other words"),
        pytest.param("claim-lost on disk", True, id="by the rule's name"),
        pytest.param("claim-lost on data", True, id="a name that no object has is no name"),
        pytest.param("claim-lost on web", False, id="at another object"),
        pytest.param("pod-evicted disk", False, id="another rule"),
        pytest.param("disk lost, not the claim", False, id="what must not be said"),
        pytest.param("nothing", False, id="a finding where none is wanted"),
    ],
)
def test_a_want_is_read_as_rules_and_names(want: str, met: bool) -> None:
    assert fulfilled(want, ["disk", "web"], inspect(LOST_STATE)) is met


def test_nothing_is_said_of_nothing() -> None:
    assert fulfilled("nothing", [], inspect(ClusterState()))
    assert wanted("gibberish") == ""


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with Progress(disable=True) as progress, pytest.raises(SystemExit, match="analyzers.json"):
        objects.run(Options(data=tmp_path), progress)
