"""Commits beside an incident: read from a recording, judged where the cause is located, told."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from copilot.case.briefing import commit_lines
from copilot.case.commits import commit_answer, pointed_commit, without_blame
from copilot.sources.deployment import Sources
from copilot.sources.recorded import RecordedBundle
from copilot.sources.recorded.tables import BundleError
from copilot.testing.model import ScriptedModel
from copilot.types.incident import CommitAnswer
from evals.localization.cases import RECORDINGS, TruthRecord
from evals.localization.look import LocalizationResult, locate_bundle
from prompts import LANGUAGES, Language
from tests.copilot.reasoning_case import ONSET, RANKING, desk, item, state
from tools.types import Candidate, Commit, Ranking, Window

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


POOL_LINES = "@@ -7,1 +7,1 @@\n-db_pool_size: 20\n+db_pool_size: 2"


class OneRepository:
    """Commits as somebody told them; no change took them anywhere, so all are on the way."""

    def __init__(self, *commits: Commit) -> None:
        self._commits = commits

    def commits(self, window: Window) -> Sequence[Commit]:
        return self._commits


def pool_commit(**given: object) -> Commit:
    fields = {"sha": "c0ffee", "at": ONSET - 600, "files": ("cart/db.yaml",), "diff": POOL_LINES}
    return Commit.model_validate(fields | given)


TINTED = pool_commit(sha="71e7", at=ONSET - 900, diff="-tint: red\n+tint: blue")

UNSAID = (item(1, "cart", "cart spills rose to 9, normally 0.", value=9.0, baseline=0.0),)
"""Evidence of which no form of the table knows the words."""


def pointed(folder: Path, *commits: Commit, says: str) -> tuple[dict[Language, str], ScriptedModel]:
    """The brief after the model was asked, and the model."""
    model = ScriptedModel([says])
    with desk(folder, model) as deps:
        given = replace(deps, sources=Sources(repository=OneRepository(*commits)))
        current = state(UNSAID)
        topology = given.sources.topology()
        answer = commit_answer(given.sources, UNSAID, RANKING, topology, ONSET)
        assert answer is not None
        found = pointed_commit(given, current)
        answer = answer.model_copy(update={"pointed": found})
        lines = {lang: "\n".join(commit_lines(answer, lang)) for lang in LANGUAGES}
    return lines, model


def reply(line: str) -> str:
    return json.dumps({"because": "a pool of two cannot serve them", "line": line})


def test_the_brief_says_that_the_model_pointed_and_keeps_its_own_line(tmp_path: Path) -> None:
    lines, model = pointed(tmp_path, pool_commit(), says=reply("L2"))
    own, said = lines["en"].splitlines()[:2]
    assert own == "none convicted; nothing that the 1 looked at do is seen in the evidence"
    assert said.startswith("scripted points at `c0ffee`, cart/db.yaml:7: a smaller pool")
    assert said.endswith("when it came, where and what it does agree with that")
    assert "scripted 指向 `c0ffee`,cart/db.yaml:7" in lines["zh"]
    assert "a pool of two" not in "".join(lines.values())
    assert "L2 | c0ffee | cart/db.yaml | + db_pool_size: 2" in model.requests[0].messages[0].content


@pytest.mark.parametrize(
    ("commits", "says", "asked"),
    [
        pytest.param([pool_commit()], reply(""), 1, id="none of them"),
        pytest.param([pool_commit()], reply("L99"), 2, id="no such line, and none after"),
        pytest.param([pool_commit()], "L1 I think", 2, id="no JSON"),
        pytest.param([pool_commit(diff="-tint: red\n+tint: blue")], reply("L1"), 0, id="no form"),
        pytest.param([pool_commit(), TINTED], reply("L3"), 1, id="no form in the line"),
        pytest.param([pool_commit(), pool_commit(sha="b0b")], reply("L1"), 0, id="a form in two"),
        pytest.param([pool_commit(files=("docs/db.md",))], reply("L1"), 0, id="a document"),
        pytest.param([pool_commit(files=("web/db.yaml",))], reply("L1"), 0, id="elsewhere"),
    ],
)
def test_a_model_that_points_where_the_rules_do_not_agree_changes_nothing(
    tmp_path: Path, commits: list[Commit], says: str, asked: int
) -> None:
    lines, model = pointed(tmp_path, *commits, says=says)
    assert "points at" not in lines["en"]
    assert len(model.requests) == asked


def test_a_secret_in_a_changed_line_is_not_shown_to_the_model(tmp_path: Path) -> None:
    diff = f'{POOL_LINES}\n+password: "{SECRET}"'
    _, model = pointed(tmp_path, pool_commit(diff=diff), says=reply(""))
    assert SECRET not in model.requests[0].messages[0].content
