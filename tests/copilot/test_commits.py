"""Commits beside an incident: read from a recording, judged where the cause is located, told."""

import json
import shutil
from pathlib import Path

import pytest

from copilot.case.briefing import commit_lines
from copilot.case.commits import without_blame
from copilot.sources.recorded import RecordedBundle
from copilot.sources.recorded.tables import BundleError
from copilot.types.incident import CommitAnswer
from evals.localization.cases import RECORDINGS, TruthRecord
from evals.localization.look import LocalizationResult, locate_bundle
from tools.types import Candidate, Ranking

POOL = "lab-851d38"  # cart: its connection pool is exhausted
SECRET = "hunter2hunter2hunter2"


def with_commits(folder: Path, commits: object) -> RecordedBundle:
    """A recording that ships, with commits beside it."""
    copied = folder / POOL
    shutil.copytree(RECORDINGS / "incidents" / POOL, copied)
    shutil.copytree(RECORDINGS / "history", folder / "history")
    (copied / "commits.json").write_text(json.dumps(commits), encoding="utf-8")
    return RecordedBundle(copied)


def located(bundle: RecordedBundle) -> LocalizationResult:
    answer = TruthRecord(id=bundle.id, system="lab", root_cause="cart")
    return locate_bundle(bundle, answer)


def made(bundle_time: str, **given: object) -> dict[str, object]:
    base = {"sha": "0a1b2c3d4e5f", "author": "lin", "timestamp": bundle_time, "message": "tidy"}
    return {**base, "files_changed": ["pkg/db/pool.yaml"], **given}


EARLY = "2026-11-25T12:00:00Z"


def test_the_brief_names_commit_author_file_and_form(tmp_path: Path) -> None:
    diff = f'-maximum_pool_size: 20\n+maximum_pool_size: 2\n+password: "{SECRET}"'
    found = located(with_commits(tmp_path, [made(EARLY, diff=diff)]))
    assert found.commit is not None
    assert found.commit.sha == "0a1b2c3d4e5f"
    assert "**Commit**: `0a1b2c3d4e` by lin, pkg/db/pool.yaml: a smaller pool" in found.brief["en"]
    assert "**提交**:`0a1b2c3d4e`,作者 lin" in found.brief["zh"]
    assert SECRET not in "".join(found.brief.values())


def test_the_brief_says_that_none_of_those_looked_at_did_it(tmp_path: Path) -> None:
    innocent = made(EARLY, diff="-colour: red\n+colour: blue", files_changed=["web/theme.yaml"])
    found = located(with_commits(tmp_path, [innocent]))
    assert found.commit is not None
    assert found.commit.sha == ""
    assert found.commit.innocent[0].sha == "0a1b2c3d4e5f"
    assert "**Commit**: none convicted" in found.brief["en"]
    innocent_line = "- innocent: `0a1b2c3d4e` “tidy”: nothing that it does is seen in the evidence"
    assert innocent_line in found.brief["en"]
    assert "- 排除:`0a1b2c3d4e` “tidy”:证据中未见其所为" in found.brief["zh"]


def test_of_many_innocent_commits_a_few_are_told_and_the_others_counted(tmp_path: Path) -> None:
    plain = {"diff": "-colour: red\n+colour: blue", "files_changed": ["web/theme.yaml"]}
    many = [made(EARLY, sha=f"{number:012x}", **plain) for number in range(8)]
    found = located(with_commits(tmp_path, many))
    assert found.brief["en"].count("- innocent: ") == 3
    assert "- 5 others were looked at, too" in found.brief["en"]


def test_the_brief_names_the_line_and_hides_the_secret_of_a_message(tmp_path: Path) -> None:
    diff = "@@ -40,2 +40,2 @@ pool:\n host: db\n-maximum_pool_size: 20\n+maximum_pool_size: 2"
    found = located(with_commits(tmp_path, [made(EARLY, diff=diff, message=f"password={SECRET}")]))
    assert "by lin, pkg/db/pool.yaml:41: a smaller pool" in found.brief["en"]
    assert SECRET not in "".join(found.brief.values())


def test_what_is_not_known_of_the_commits_is_told_where_none_is_convicted() -> None:
    answer = CommitAnswer(looked_at=0, gap="cart: its commits could not be read: 403 Forbidden")
    assert commit_lines(answer, "en") == [
        "not known",
        "not known: cart: its commits could not be read: 403 Forbidden",
    ]
    assert commit_lines(answer.model_copy(update={"sha": "0a", "file": "a.py"}), "en")[-1] != (
        "not known: cart: its commits could not be read: 403 Forbidden"
    )
    assert commit_lines(None, "en") == []


def test_without_commits_the_brief_does_not_speak_of_any(tmp_path: Path) -> None:
    found = located(with_commits(tmp_path, []))
    assert found.commit is None
    assert "**Commit**" not in found.brief["en"]


@pytest.mark.parametrize(
    "row",
    [{"sha": "1"}, {"sha": "1", "timestamp": "yesterday"}, {"sha": 1, "timestamp": EARLY}],
    ids=["no time", "no moment", "sha is a number"],
)
def test_a_commit_that_cannot_be_read_is_told_with_its_field(
    row: dict[str, object], tmp_path: Path
) -> None:
    bundle = with_commits(tmp_path, [row])
    with pytest.raises(BundleError, match="commits.json"):
        bundle.commits(bundle.window)


def test_a_release_is_not_blamed_where_a_cause_outside_is_said() -> None:
    blamed = Candidate(component="cart", score=1.0, fault_kind="bad_deploy")
    other = Candidate(component="web", score=0.5, fault_kind="errors")
    ranking = Ranking(certainty="likely", candidates=(blamed, other))
    provider = CommitAnswer(looked_at=3, outside_kind="dependency_down")
    kinds = [one.fault_kind for one in without_blame(ranking, provider).candidates]
    assert kinds == ["dependency_down", "errors"]
    assert without_blame(ranking, None) == ranking
    assert without_blame(ranking, CommitAnswer(looked_at=3)) == ranking
    assert without_blame(ranking, CommitAnswer(sha="0a1b", looked_at=3)) == ranking
