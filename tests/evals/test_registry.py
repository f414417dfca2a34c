"""What can be run: the published names, the options each suite knows, and no hidden import."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from rich.progress import Progress
from typer.testing import CliRunner

import evals
from evals.__main__ import app
from evals.keys import KEYS
from evals.localization.suite import IncidentOptions
from evals.registry import BENCHMARKS, SUITES, TRAININGS, own_options
from evals.report import Options, Result

HOUSE = Path(evals.__file__).parent
OURS = ("evals", "copilot", "tools", "prompts", "knowledge_base")
PUBLISHED = ("demo", "incidents", "cloud-opsbench", "metrics", "kpi", "mts", "alerts", "logs",
             "recovery", "knowledge", "reasoning", "detection", "changes", "objects",
             "chat", "slices", "database", "forecast")  # fmt: skip


def refused(*given: str) -> str:
    """What the command line says as it refuses."""
    answer = CliRunner().invoke(app, given, env={"COLUMNS": "200"})
    assert answer.exit_code == 2, answer.output
    return answer.output


def test_every_suite_has_a_published_name_and_published_keys() -> None:
    assert set(SUITES) == set(PUBLISHED) == set(KEYS) - {"torture"}


def test_benchmarks_and_trainings_have_their_published_names() -> None:
    benches = {"detector", "clusterer", "logs", "locate", "ingest", "brief", "redaction", "site"}
    benches |= {"storm", "fleet", "viewers", "watch"}
    assert set(BENCHMARKS) == benches
    assert set(TRAININGS) == {"calibration", "ranker"}


def test_every_entry_says_what_it_measures_and_its_options_extend_the_common_ones() -> None:
    for entry in (*SUITES.values(), *BENCHMARKS.values(), *TRAININGS.values()):
        assert entry.measures
        assert issubclass(entry.options, Options)


def test_an_option_means_the_same_in_every_suite_that_knows_it() -> None:
    for name, (field, suites) in own_options().items():
        assert field.description
        for suite in suites:
            other = SUITES[suite].options.model_fields[name]
            assert (other.annotation, other.default) == (field.annotation, field.default)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["kpi", "--perturb", "no_logs"], "kpi knows no --perturb; known to demo, incidents"),
        (["demo", "--policy", "good"], "demo knows no --policy; known to reasoning"),
        (["recovery", "--model-url", "http://x", "--runs", "2"], "recovery knows no --runs"),
        (["logs", "--report", "x"], "logs knows no --report; known to all"),
        (["all", "--onset", "detected"], "known to demo, incidents, reasoning"),
        (["demo", "--onset", "guessed"], "'oracle', 'detected'"),
        (["reasoning", "--runs", "0"], "--runs: Input should be greater than or equal to 1"),
        (["clever"], "unknown suite 'clever'"),
    ],
)
def test_an_option_or_suite_that_is_not_known_is_refused_before_anything_runs(
    given: list[str], said: str
) -> None:
    assert said in refused("run", *given)


def test_unknown_benchmarks_and_trainings_are_refused(tmp_path: Path) -> None:
    assert "choose detector" in refused("bench", "clever")
    assert "choose ranker" in refused("train", "clever", "--data", str(tmp_path))


def test_a_flag_reaches_the_options_of_its_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Options] = []

    def stop(options: Options, progress: Progress) -> Result:
        asked.append(options)
        raise SystemExit("seen")

    monkeypatch.setitem(SUITES, "demo", replace(SUITES["demo"], run=stop))
    CliRunner().invoke(app, ["run", "demo", "--split-by", "fault", "--limit", "3", "--seed", "7"])
    assert asked == [IncidentOptions(split_by="fault", limit=3, seed=7, best_arm=True)]


def test_no_module_of_ours_is_imported_by_its_name_in_a_string() -> None:
    hidden = [
        f"{path.relative_to(HOUSE)}:{node.lineno}"
        for path in sorted(HOUSE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "import_module"
        for name in node.args[:1]
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str))
        or name.value.partition(".")[0] in OURS
    ]
    assert hidden == []
