"""`copilot slice`: what a person sees, in both languages, and what is refused."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from copilot.surfaces.cli import app


def orders(folder: Path, *, last: int = 10) -> str:
    """Orders of ten minutes by provider and region; at the end one provider's in the south fail."""
    lines = ["minute,isp,region,value,count"]
    for minute in range(10):
        for isp in ("telecom", "mobile"):
            for region in ("south", "north"):
                hit = (isp, region, minute) == ("telecom", "south", 9)
                lines.append(f"{minute * 60},{isp},{region},{last if hit else 10 + minute % 2},500")
    path = folder / "orders.csv"
    path.write_text("\n".join(lines))
    return str(path)


def said(*given: str) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["slice", *given], env={"COLUMNS": "120"})
    return answer.exit_code, answer.output


def test_the_slice_stands_first_with_a_bar_and_what_is_normal(tmp_path: Path) -> None:
    code, shown = said(orders(tmp_path, last=90))
    assert code == 0
    assert "only isp=telecom in region=south, " in shown.splitlines()[0]
    assert "████" in shown
    assert "calmer half of the 9 moments before" in shown
    code, shown = said(orders(tmp_path, last=90), "--lang", "zh")
    assert "仅 isp=telecom、region=south,占上升的" in shown


def test_a_moment_as_usual_is_told_as_that(tmp_path: Path) -> None:
    assert "as usual here, so this may be chance" in said(orders(tmp_path))[1]


def test_json_holds_the_answer_whole(tmp_path: Path) -> None:
    code, shown = said(orders(tmp_path, last=90), "--json", "--at", "540", "--by", "isp")
    answer = json.loads(shown)
    assert code == 0
    assert answer["slices"][0]["attributes"] == {"isp": "telecom"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["--at", "noon"], "'noon' is no moment"),
        (["--at", "77"], "no rows at 77.0"),
        (["--by", "city"], "no column 'city'; it has minute, isp"),
        (["--value", "loss"], "no column 'loss'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(
    tmp_path: Path, given: list[str], problem: str
) -> None:
    code, shown = said(orders(tmp_path), *given)
    assert code == 2
    assert problem in shown
    assert "Traceback" not in shown
