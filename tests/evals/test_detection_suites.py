"""The metric suites over data of the published layout, made here."""

import csv
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from evals.detection import kpi, metrics, mts
from evals.detection.folds import FoldOptions
from evals.keys import differences
from evals.report import Result

START = 1_400_000_000


def write(path: Path, header: str, rows: Sequence[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as handle:
        handle.write(header + "\n")
        csv.writer(handle).writerows(rows)


def moment(i: int) -> str:
    return datetime.fromtimestamp(START + 300 * i, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two NAB files, one KPI curve, one machine; each breaks once, plainly."""
    rng = np.random.default_rng(0)
    place = tmp_path / "metrics"
    for name in ("a/one.csv", "a/two.csv"):
        values = rng.normal(50.0, 1.0, 1000)
        values[700:710] += 40.0
        rows = [(moment(i), value) for i, value in enumerate(values)]
        write(place / "nab" / name, "timestamp,value", rows)
    windows = {name: [[moment(690), moment(740)]] for name in ("a/one.csv", "a/two.csv")}
    windows["a/gone.csv"] = []
    (place / "nab" / "combined_windows.json").write_text(json.dumps(windows), encoding="utf-8")
    values, labels = rng.normal(5.0, 0.1, 3000), np.zeros(3000, dtype=int)
    values[2000:2010] += 3.0
    labels[2000:2010] = 1
    points = [
        (START + 60 * i, v, lab) for i, (v, lab) in enumerate(zip(values, labels, strict=True))
    ]
    write(place / "kpi" / "curve.csv", "timestamp,value,label", points)
    train, test = rng.uniform(0.4, 0.6, (400, 5)), rng.uniform(0.4, 0.6, (300, 5))
    test[100:110, 2:] = 1.0
    (place / "mts").mkdir()
    marked = np.zeros(300, dtype=np.uint8)
    marked[100:110] = 1
    np.savez(
        place / "mts" / "machine-9.npz",
        train=train.astype(np.float32),
        test=test.astype(np.float32),
        test_label=marked,
        interpretation="100-110:3,4,5",
    )
    return tmp_path


def suite(name: str, options: FoldOptions) -> Result:
    module = {"metrics": metrics, "kpi": kpi, "mts": mts}[name]
    result: Result = module.run(options, Progress(disable=True))
    return result


@pytest.mark.parametrize("arm", ["rules", "ml"])
@pytest.mark.parametrize(
    ("name", "figure"),
    [("metrics", "nab.standard"), ("kpi", "kpi.f1_pooled"), ("mts", "smd.event_f1")],
)
def test_a_plain_break_is_found_by_every_suite_and_arm(
    data: Path, name: str, figure: str, arm: str
) -> None:
    result = suite(name, FoldOptions.model_validate({"data": data, "arm": arm}))
    best = 100.0 if name == "metrics" else 1.0
    assert result.summary[figure] > 0.8 * best
    assert result.tables[-1].rows[0][0] == f"ours, {arm} (measured)"


def test_the_published_keys_are_there_and_only_they(data: Path) -> None:
    results = [suite(name, FoldOptions(data=data)) for name in ("metrics", "kpi", "mts")]
    assert [line for result in results for line in differences(result)] == []
    assert json.loads(results[2].to_json())["summary"]["asd.aucpr"] is None


@pytest.mark.parametrize("name", ["metrics", "kpi", "mts"])
def test_left_out_each_series_is_shown_beside_the_peers(data: Path, name: str) -> None:
    metrics_at = data / "metrics"
    for kind, ending in (("kpi", "csv"), ("mts", "npz")):
        (only,) = (metrics_at / kind).glob(f"*.{ending}")
        only.with_stem(f"{only.stem}0").write_bytes(only.read_bytes())
    plain, cv = (suite(name, FoldOptions(data=data, arm="ml", cv=flag)) for flag in (False, True))
    np.testing.assert_equal(cv.summary, plain.summary)
    (folds,) = [table for table in cv.tables if "jackknife" in table.title]
    assert folds.rows[0][0] == "ours"
    assert {"EWMA z", "Holt-Winters", "top-3 z"} & {row[0] for row in folds.rows}
    assert folds.rows[-1][0] == "the best on the others"


def test_one_curve_cannot_be_left_out(data: Path) -> None:
    with pytest.raises(SystemExit, match="two series or machines"):
        suite("kpi", FoldOptions(data=data, cv=True))


def test_a_limit_takes_the_first_files(data: Path) -> None:
    assert [case["id"] for case in suite("metrics", FoldOptions(data=data, limit=2)).cases] == [
        "a/one.csv",
        "a/two.csv",
    ]


@pytest.mark.parametrize("name", ["metrics", "kpi", "mts"])
def test_a_missing_folder_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"{name}: .*metrics.*does not exist"):
        suite(name, FoldOptions(data=tmp_path))
    with pytest.raises(SystemExit, match="needs --data"):
        suite(name, FoldOptions())


def test_the_scorer_checks_itself_against_supplied_scores(data: Path) -> None:
    reference = data / "metrics" / "nab" / "reference_scores" / "ARTime" / "a"
    for name in ("one.csv", "two.csv"):
        rows = [(moment(i), 1.0 if i == 690 else 0.0) for i in range(1000)]
        write(reference / name, "timestamp,anomaly_score", rows)
    result = suite("metrics", FoldOptions(data=data))
    assert "not checked" in str(result.notes["reference_check"])
    (row,) = [row for row in result.tables[-1].rows if row[0].startswith("ARTime (measured")]
    assert row[1:4] == ("100.0", "100.0", "100.0")
