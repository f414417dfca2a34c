"""Business metrics by attribute: CSV as people export it, and what is refused."""

import gzip
from pathlib import Path

import pytest

from copilot.ports import SourceError
from copilot.sources import business
from copilot.sources.business import MetricColumns, moment, read_csv

ORDERS = "minute,region,value\n60,south,3\n60,north,4\n120,south,1\n120,south,1\n"


def table(folder: Path, text: str, *, packed: bool = False) -> Path:
    path = folder / "orders.csv"
    data = text.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_rows_become_leaves_by_minute_equal_ones_added_and_silent_ones_zero(
    tmp_path: Path, packed: bool
) -> None:
    read = read_csv(table(tmp_path, "﻿" + ORDERS, packed=packed))
    assert (read.dimensions, read.leaves) == (("region",), (("south",), ("north",)))
    assert read.values.tolist() == [[3.0, 2.0], [4.0, 0.0]]
    assert read.counts is None


def test_columns_of_other_names_are_named_by_hand(tmp_path: Path) -> None:
    columns = MetricColumns(time="when", value="failed", count="tried", dimensions=("isp",))
    text = "when,isp,note,failed,tried\n2026-11-30T08:00:00,a,x,1,9\n"
    read = read_csv(table(tmp_path, text), columns)
    assert read.dimensions == ("isp",)
    assert read.counts is not None
    assert read.times[0] == moment("2026-11-30T08:00:00Z")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("1700000000", 1.7e9),
        ("1700000000000", 1.7e9),
        ("2023-11-14T22:13:20+00:00", 1.7e9),
        ("2023-11-15 06:13:20+08:00", 1.7e9),
    ],
)
def test_a_moment_is_seconds_milliseconds_or_iso(given: str, seconds: float) -> None:
    assert moment(given) == seconds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"no column of time .*; it has none"),
        ("a,b\n1,2\n", r"no column of time \(time, .*\); it has a, b"),
        ("time,region\n1,x\n", "no column of value"),
        ("time,value\n1,2\n", "no column of an attribute"),
        ("time,time,value\n1,1,2\n", "not all of another name"),
        ("time,region,value\nyesterday,x,2\n", "row 2: .*yesterday"),
        ("time,region,value\n1,x,2\n2,x,many\n", "row 3: .*many"),
        ("time,region,value\n1,x,-2\n", "row 2: .*not negative"),
        ("time,region,value\n1,x,nan\n", "row 2: .*finite"),
        ("time,region,value\n1\n", "row 2: "),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_the_row(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(SourceError, match=problem):
        read_csv(table(tmp_path, text))


def test_files_that_are_no_text_missing_or_endless_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_csv(tmp_path / "none.csv")
    broken = tmp_path / "broken.csv"
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="UTF-8"):
        read_csv(broken)
    monkeypatch.setattr(business, "MOST_BYTES", 20)
    with pytest.raises(SourceError, match="more than"):
        read_csv(table(tmp_path, ORDERS, packed=True))
