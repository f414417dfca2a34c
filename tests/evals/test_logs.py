"""Scores of log parsing by hand-made cases, the reader, and the suite on made-up systems."""

import csv
import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.progress import Progress

from evals.keys import differences
from evals.logs import suite as logs
from evals.logs.bench import made_up
from evals.logs.files import read_logs
from evals.logs.score import LogScore, mean, normalise, score
from evals.report import Options


@pytest.mark.parametrize(
    ("template", "common"),
    [
        ("  two   blanks ", "two blanks"),
        ("took 35 ms", "took <*> ms"),
        ("block blk_<*> lost", "block <*> lost"),
        ("from <*>.<*>.<*>:<*> to x", "from <*> to x"),
        ("id <*><*> seen", "id <*> seen"),
        ("node-<*> up", "node-<*> up"),
        ("key=<*> kept", "key=<*> kept"),
        ('said "<*>" twice', "said <*> twice"),
        ("plain words", "plain words"),
    ],
)
def test_templates_are_brought_to_one_notation(template: str, common: str) -> None:
    assert normalise(template) == common


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="ab1<*> .:/-#=", max_size=30))
def test_the_notation_is_a_fixed_point(template: str) -> None:
    once = normalise(normalise(template))
    assert normalise(once) == once


def test_a_perfect_parse_scores_one_everywhere() -> None:
    truth = ["a <*>", "a <*>", "b", "c <*>"]
    assert score(truth, truth) == LogScore(1.0, 1.0, 1.0, 1.0)


def test_right_groups_with_wrong_text_keep_the_grouping_scores() -> None:
    found = score(["x", "x", "b"], ["a <*>", "a <*>", "b"])
    assert (found.ga, found.fga) == (1.0, 1.0)
    assert found.pa == pytest.approx(1 / 3)
    assert found.fta == pytest.approx(2 * 1 / (2 + 2))


def test_a_split_group_loses_all_its_lines() -> None:
    found = score(["a 1", "a 2", "b", "b"], ["a <*>", "a <*>", "b", "b"])
    assert found.ga == pytest.approx(0.5)
    assert found.fga == pytest.approx(2 * 1 / (3 + 2))


def test_merged_groups_lose_both() -> None:
    found = score(["x", "x", "c"], ["a", "b", "c"])
    assert found.ga == pytest.approx(1 / 3)
    assert found.fga == pytest.approx(2 * 1 / (2 + 3))


def test_a_template_over_lines_of_another_is_not_exact() -> None:
    assert score(["a", "a"], ["a", "b"]).fta == 0


def test_the_mean_weighs_systems_alike() -> None:
    assert mean([LogScore(1, 1, 1, 1), LogScore(0, 0.5, 0, 1)]) == LogScore(0.5, 0.75, 0.5, 1)


def test_scores_need_as_many_predictions_as_lines() -> None:
    with pytest.raises(ValueError, match="1 predictions for 2 lines"):
        score(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="no lines"):
        score([], [])


ROWS = [("user ann in", "user <*> in"), ("user bob in", "user <*> in"), ("up 5 s", "up <*> s")]


def write(folder: Path, system: str, compress: bool) -> None:
    """A system as recorded: raw lines with a header, and the table of templates."""
    (folder / system).mkdir(parents=True)
    raw = "".join(f"2024-05-01 10:00:0{i} INFO {c}\n" for i, (c, _) in enumerate(ROWS))
    table = folder / system / f"{system}.log_structured.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["LineId", "Content", "EventTemplate"])
        writer.writerows((i, *row) for i, row in enumerate(ROWS))
    (folder / system / f"{system}.log").write_text(raw, encoding="utf-8")
    if compress:
        for path in list((folder / system).iterdir()):
            path.with_suffix(path.suffix + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()


def test_systems_are_read_plain_or_compressed(tmp_path: Path) -> None:
    write(tmp_path / "logs", "Beta", compress=True)
    write(tmp_path / "logs", "Alpha", compress=False)
    first, second = read_logs(tmp_path)
    assert (first.system, second.system) == ("Alpha", "Beta")
    assert first.contents == second.contents == tuple(content for content, _ in ROWS)
    assert first.raw[0] == "2024-05-01 10:00:00 INFO user ann in"
    assert first.truth[2] == "up <*> s"


def test_a_table_that_does_not_fit_its_log_is_named(tmp_path: Path) -> None:
    write(tmp_path / "logs", "Alpha", compress=False)
    (tmp_path / "logs" / "Alpha" / "Alpha.log").write_text("one line\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"1 lines.*3 rows"):
        list(read_logs(tmp_path))


@pytest.mark.parametrize("arm", ["rules", "ml"])
def test_the_suite_writes_the_published_keys(tmp_path: Path, arm: str) -> None:
    write(tmp_path / "logs", "Alpha", compress=False)
    options = Options.model_validate({"data": tmp_path, "arm": arm, "limit": 1})
    result = logs.run(options, Progress(disable=True))
    assert differences(result) == []
    assert result.arm == arm
    assert result.summary["content.ga"] == result.summary["raw.ga"] == 1.0


def test_the_suite_takes_only_as_many_systems_as_asked(tmp_path: Path) -> None:
    for system in ("Alpha", "Beta"):
        write(tmp_path / "logs", system, compress=False)
    result = logs.run(Options(data=tmp_path, limit=1), Progress(disable=True))
    assert {case["system"] for case in result.cases if "system" in case} == {"Alpha"}
    assert [case["id"] for case in result.cases if "half" in case] == ["causes/hikari-orders"]


def test_a_folder_without_logs_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no logs/SYSTEM/"):
        logs.run(Options(data=tmp_path), Progress(disable=True))
    with pytest.raises(SystemExit, match="needs --data"):
        logs.run(Options(), Progress(disable=True))


def test_made_up_lines_are_the_same_for_the_same_seed() -> None:
    assert made_up(50, 1, headers=True) == made_up(50, 1, headers=True)
    assert made_up(50, 1, headers=True) != made_up(50, 2, headers=True)
