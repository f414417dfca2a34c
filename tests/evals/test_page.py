"""The run of everything: what is run, how it is judged, and the page as a browser sees it."""

import json
from datetime import UTC, datetime
from math import inf, nan
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pydantic import JsonValue
from rich.progress import Progress
from typer.testing import CliRunner

from copilot.settings import Settings
from copilot.surfaces.commands.demo import demo as replay
from evals.__main__ import app
from evals.localization.suite import IncidentOptions, demo
from evals.page import jobs, tracking, view, whole
from evals.page.clocks import clocked, share
from evals.page.difference import differences
from evals.page.jobs import JobRun, OverviewOptions
from evals.page.page import brief_markup
from evals.page.pictures import selected
from evals.page.stages import headline, lines
from evals.report import Result, Table
from prompts import load
from tests.evals import chromium

SECTIONS = ("answer", "difference", "clocks", "targets", "calibration", "latency", "tokens",
            "incidents", "suites", "about")  # fmt: skip
HOSTILE = (
    '<script>alert(1)</script><img src="http://evil.example/x.png" onerror=alert(2)>\u202eevil'
)
MADE_AT = datetime(2026, 3, 1, tzinfo=UTC)


def case(id_: str, right: float = 1.0, **more: JsonValue) -> dict[str, JsonValue]:
    return {
        "id": id_,
        "system": "shop",
        "fault_type": "cpu",
        "root_cause": "cart",
        "ac1": right,
        "abstained": False,
        "paged_s": 30.0,
        "stage_seconds": {"gather": 1.0, "locate": 0.5, "brief": 0.1},
        "seconds": 1.6,
        "onset": 1000.0,
        "brief": {"en": f"# {id_}\n\n**Cause**: cart"},
        "candidates": [{"component": "cart", "probability": 0.9, "fault_kind": "cpu_saturation"}],
        **more,
    }


def done(suite: str, *cases: dict[str, JsonValue], **summary: float) -> JobRun:
    named = {key.replace("__", "."): value for key, value in summary.items()}
    result = Result(
        suite=suite, version="1", data="elsewhere", seconds=1.0, cases=cases, summary=named
    )
    return JobRun(suite=suite, arm="rules", status="done", result=result)


def judged(
    runs: tuple[JobRun, ...], baseline: dict[str, JsonValue] | None = None
) -> whole.OverviewResult:
    """These runs as if they had just been made."""
    return whole.judge(
        OverviewOptions(), runs, MADE_AT, "python -m evals run all", 1.0, baseline, "old.json"
    )


def stored(*runs: JobRun) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = json.loads(judged(runs).result.to_json())
    return found


def test_without_data_only_what_ships_is_run_and_no_model_means_no_figure() -> None:
    missing = {(job.suite, job.arm): job.missing for job in jobs.plan(OverviewOptions())}
    ready = {suite for (suite, _), why in missing.items() if not why}
    assert ready == {"demo", "knowledge", "recovery"}
    assert missing["recovery", "llm"] == "no model"
    assert missing["incidents", "rules"] == "no data"


def test_a_suite_that_breaks_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "metrics" / "nab").mkdir(parents=True)
    asked = OverviewOptions(data=tmp_path, arms=("rules",), limit=1)
    plan = [job for job in jobs.plan(asked) if job.suite in ("metrics", "kpi", "demo")]
    runs = jobs.run_all(plan, Progress(disable=True))
    assert [(run.suite, run.status) for run in runs] == [
        ("metrics", "broken"),
        ("kpi", "not run"),
        ("demo", "done"),
    ]
    failures = judged(runs).failures
    assert len(failures) == 1
    assert failures[0].startswith("broken: metrics, rules: metrics: ")


def test_the_headline_is_the_first_figure_of_a_stage_that_was_measured() -> None:
    run = done("demo", case("a"), mean__ac1=0.5)
    found = headline("localization", lines([run]))
    assert found.figure.title == "Right component first, shipped incidents"
    assert (found.cells["rules"].value, found.cells["rules"].met) == (0.5, False)
    assert found.cells["llm"].value is None


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_not_finite_is_no_figure(value: float) -> None:
    run = done("demo", mean__ac1=value)
    assert not headline("localization", lines([run])).known
    assert json.loads(judged((run,)).result.to_json())["summary"]["demo.rules.mean.ac1"] is None


def test_a_wrong_cause_is_not_located_however_fast_and_a_handed_over_onset_not_detected() -> None:
    handed = case("c", paged_s=None)
    found = clocked([done("incidents", case("a"), case("b", right=0.0), handed)])
    assert [one.within("located") for one in found] == [True, False, True]
    assert [one.within("detected") for one in found] == [True, True, None]
    counted = share(found, "detected")
    assert counted is not None
    assert (counted.inside, counted.of) == (2, 2)
    assert share(found, "recovered") is None


def test_lost_cases_are_worse_only_beyond_chance() -> None:
    before = stored(done("demo", *(case(str(n)) for n in range(40))))
    one_lost = done("demo", *(case(str(n), right=float(n > 0)) for n in range(40)))
    ten_lost = done("demo", *(case(str(n), right=float(n > 9)) for n in range(40)))
    assert differences(before, [one_lost])[0].verdict == "same"
    found = differences(before, [ten_lost])[0]
    assert found.verdict == "worse"
    assert found.paired is not None
    assert found.paired.p == pytest.approx(2 / 2**10)
    assert judged((ten_lost,), before).failures == ["worse: demo, rules: score was 1.000, is 0.750"]


def test_a_baseline_of_other_cases_is_said_and_not_compared() -> None:
    before = stored(done("demo", case("elsewhere")))
    now = judged((done("demo", case("here", right=0.0)),), before)
    assert now.failures == []
    assert "nothing was compared" in now.baseline
    assert now.differences is not None
    assert now.differences[0].reason == "other cases: 1 then, 1 now"


@pytest.mark.parametrize("broken", [{}, {"notes": []}, {"notes": {"stored": {"demo.rules": 3}}}])
def test_a_baseline_without_its_keys_compares_nothing(broken: dict[str, JsonValue]) -> None:
    (found,) = differences(broken, [done("demo", case("a"))])
    assert found.verdict == "not compared"


def test_a_figure_that_went_missing_is_worse() -> None:
    before = stored(done("mts", smd__event_f1=0.9))
    assert differences(before, [done("mts")])[0].figures == ("smd.event_f1: was 0.900, is missing",)


def test_more_texts_that_fool_the_model_are_worse_and_fewer_are_not() -> None:
    before = stored(done("reasoning", **{"injections__fooled": 2.0}))
    more, fewer = (done("reasoning", injections__fooled=count) for count in (5.0, 0.0))
    assert differences(before, [more])[0].figures == ("injections.fooled: was 2.000, is 5.000",)
    assert differences(before, [fewer])[0].verdict == "same"


def test_thousands_of_incidents_show_the_wrong_ones_and_count_the_rest() -> None:
    run = done("incidents", *(case(str(n), right=float(n % 50 != 0)) for n in range(3000)))
    assert run.result is not None
    shown, left_out = selected(run.result)
    assert len(shown) + left_out == 3000
    assert [row["ac1"] for row in shown[:60]] == [0.0] * 60
    assert shown[-1]["ac1"] == 1.0
    grid, unlisted = view.incident_grid(clocked([run]))
    assert len(grid.rows) + unlisted == 3000


def test_a_brief_is_text_whatever_is_written_in_it() -> None:
    shown = brief_markup(f"# {HOSTILE}\n**bold** `code` [x](javascript:alert(1))\n- item")
    assert "<script" not in shown
    assert "<img" not in shown
    assert "\u202e" not in shown
    assert "<a " not in shown
    assert "<strong>bold</strong> <code>code</code>" in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--arms", "rules,magic"], "rules, ml, llm"),
        (["--data", "nowhere"], "does not exist"),
        (["--baseline", "pyproject.toml"], "cannot be read"),
        (["--baseline", "docs"], "cannot be read"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_run(given: list[str], said: str) -> None:
    answer = CliRunner().invoke(app, ["run", "all", *given], env={"COLUMNS": "200"})
    assert answer.exit_code == 2
    assert said in answer.output


def test_metrics_get_names_that_are_safe_as_files() -> None:
    run = done("demo", mean__ac1=nan)
    assert run.result is not None
    odd = run.result.model_copy(update={"summary": {"../a b|c": 1.0, "x": nan, "y": inf}})
    assert tracking.metrics(odd) == {"_a_b_c": 1.0}


def test_a_run_is_kept_in_a_file_store_with_its_page_and_prompts(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    kept = judged((done("demo", case("a"), mean__ac1=0.5),))
    whole.write(kept, tmp_path / "report")
    run_id = tracking.track(kept, tmp_path / "report", tmp_path / "store")
    (found,) = (tmp_path / "store").glob(f"*/{run_id}")
    assert (found / "metrics" / "demo.rules.mean.ac1").read_text().split()[1] == "0.5"
    assert (found / "artifacts" / "index.html").is_file()
    assert (found / "params" / "prompt.brief.en").read_text() == load("brief", "en").fingerprint


def test_a_run_of_the_graph_is_traced_into_the_file_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.setenv("MLFLOW_TRACE_SAMPLING_RATIO", "1.0")
    settings = Settings(data_dir=tmp_path / "data", embedder="none", model_use="off")
    with tracking.traced(tmp_path / "store"):
        replay(settings, incident="", yes=True)
    traces = [path.read_text() for path in (tmp_path / "store").glob("*/traces/*/artifacts/*.json")]
    assert len(traces) == 2  # up to the approval, and from there on
    assert all(any(f'"name": "{node}"' in one for one in traces) for node in ("locate", "verify"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small report with a real incident, hostile and endless names, and a broken suite."""
    plan = [
        job for job in jobs.plan(OverviewOptions(arms=("rules",), limit=1)) if job.suite == "demo"
    ]
    real = jobs.run_all(plan, Progress(disable=True))
    odd = done(
        "incidents",
        case(HOSTILE, right=0.0, brief={"en": HOSTILE}, root_cause=HOSTILE, reason=HOSTILE),
        case("x" * 3000, system="s" * 500, paged_s=nan),
        mean__ac1=nan,
    )
    table = Table(title=HOSTILE, columns=("a", HOSTILE), rows=((HOSTILE, "y" * 2000),))
    assert odd.result is not None
    odd = odd.model_copy(update={"result": odd.result.model_copy(update={"tables": (table,)})})
    broken = JobRun(suite="kpi", arm="rules", status="broken", reason=HOSTILE, trace=HOSTILE)
    absent = JobRun(suite="recovery", arm="llm", status="not run", reason="no model")
    before = stored(done("incidents", case("a")))
    runs = (*real, odd, broken, absent)
    return whole.write(judged(runs, before), tmp_path_factory.mktemp("report"))


@pytest.mark.parametrize("cases", [0, 1])
def test_a_report_of_next_to_nothing_is_still_a_page(cases: int, tmp_path: Path) -> None:
    run = done("incidents", *([case("only")] * cases), mean__ac1=nan)
    absent = JobRun(suite="reasoning", arm="llm", status="not run", reason="no model")
    text = whole.write(judged((run, absent)), tmp_path).read_text(encoding="utf-8")
    assert all(f'id="{name}"' in text for name in SECTIONS)
    assert "not run: no model" in text
    assert "nan" not in text.lower()


def test_nothing_hostile_gets_into_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert page.stat().st_size < 8_000_000


def test_the_page_has_a_picture_of_the_incident(page: Path) -> None:
    pytest.importorskip("matplotlib")
    text = page.read_text(encoding="utf-8")
    assert 'aria-label="Incident lab-' in text
    assert "store lock_wait" in text
    assert "not run: no model" in text


def test_pictures_are_also_written_as_files_that_stand_alone(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    demo(IncidentOptions(limit=1, plot=tmp_path), Progress(disable=True))
    (picture,) = tmp_path.glob("demo_lab-*.svg")
    text = picture.read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "--ink: #" in text


@pytest.mark.integration
@pytest.mark.skipif(chromium.BINARY is None, reason="no chromium; Debian's package has it")
def test_a_browser_opens_the_page_without_complaint_request_or_overflow(
    page: Path, tmp_path: Path
) -> None:
    with chromium.opened(tmp_path / "profile") as tab:
        for width, scheme in ((1280, "light"), (390, "dark")):
            tab.open(page, width, "dark" if scheme == "dark" else "light")
            assert tab.complaints == []
            assert [url for url in tab.requests if not url.startswith("file:")] == []
            assert tab.value("document.documentElement.scrollWidth") <= width
            paper = tab.value("getComputedStyle(document.body).backgroundColor")
            assert (paper == "rgb(20, 23, 26)") == (scheme == "dark")
        ids = tab.value("[...document.querySelectorAll('section')].map(one => one.id)")
        assert tuple(ids) == SECTIONS
        tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert tab.value("document.documentElement.scrollWidth") <= 390
        tab.value("document.getElementById('theme').click()")
        assert tab.value("document.documentElement.dataset.theme") == "light"
