"""`copilot slice`: a table of a business metric in, the attributes to blame out."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from copilot.ports import SourceError
from copilot.settings import Settings
from copilot.sources.business import MetricColumns, moment, read_csv
from copilot.types.time_format import date_time
from prompts import Language
from tools.log_retriever import sanitize
from tools.slice_finder import BlamedSlice, MetricCube, SliceAnswer, SliceError, find

WIDTH = 24
"""Characters of a whole bar: what is left beside a name on a narrow terminal."""

THIRD = 1.0 / 3.0

WORDS: dict[Language, tuple[str, ...]] = {
    "en": ("slice", "of the rise", "of the fall", "now", "normally", "everything else"),
    "zh": ("切片", "占上升的", "占下降的", "现在", "平时", "其余部分"),
}


USUAL: dict[Language, str] = {
    "en": "The metric as a whole is as usual here, so this may be chance; --at says which moment.",
    "zh": "此刻该指标整体与平时无异,结果可能只是偶然;可用 --at 指定时刻。",
}


def slice_of(
    settings: Settings, *, table: Path, at: str, columns: dict[str, Any], as_json: bool
) -> int:
    """Print the slices to blame, with a bar each; exit code 1 where it is everywhere."""
    named = MetricColumns.model_validate(columns)
    try:
        cube = read_csv(table, named)
        # A third of the table is the past, where nobody says which moment is meant.
        worst, departed = cube.worst(
            float(np.quantile(cube.times, THIRD)) if not at else moment(at)
        )
        asked = moment(at) if at else worst
        answer = find(cube.moment(asked))
    except SliceError as error:
        raise SourceError(str(table), f"{error}{_span(table, named)}", recoverable=False) from error
    except ValueError as error:
        problem = f"{at!r} is no moment: give Unix seconds or ISO 8601 (2026-11-30T08:00:00Z)"
        raise SourceError("--at", problem, recoverable=False) from error
    console = Console(highlight=False)
    if as_json:
        console.print_json(answer.model_dump_json())
    else:
        _show(console, cube, asked, answer, settings.language)
        if not departed:
            console.print(USUAL[settings.language], style="yellow", soft_wrap=True)
    return int(answer.everywhere)


def _span(table: Path, columns: MetricColumns) -> str:
    times = read_csv(table, columns).times
    if not times.size:
        return "; the table has no rows"
    return f"; rows are from {date_time(float(times[0]))} to {date_time(float(times[-1]))}"


def _amount(cube: MetricCube, at: float) -> str:
    """The whole metric, a ratio in percent where it is one."""
    total = float(cube.total()[int(np.searchsorted(cube.times, at))])
    return f"{total:,.6g}" if cube.counts is None or total > 1 else f"{total:.3%}"


def _show(
    console: Console, cube: MetricCube, at: float, answer: SliceAnswer, language: Language
) -> None:
    slice_, rise, fall, now, normally, others = WORDS[language]
    reason = answer.reason.zh if language == "zh" else answer.reason.en
    console.print(f"{date_time(at)}, {_amount(cube, at)}: ", end="")
    console.print(sanitize(reason, 300), style="bold", soft_wrap=True)
    shown = Table(box=None, pad_edge=False)
    shown.add_column(slice_)
    shown.add_column(rise if answer.direction == "up" else fall)
    shown.add_column(now, justify="right")
    shown.add_column(normally, justify="right")
    rest = BlamedSlice(
        attributes={},
        observed=answer.observed - sum(one.observed for one in answer.slices),
        expected=answer.expected - sum(one.expected for one in answer.slices),
        share=1.0 - sum(one.share for one in answer.slices),
    )
    for one in (*answer.slices, rest):
        bar = "█" * round(WIDTH * min(max(one.share, 0.0), 1.0))
        shown.add_row(
            sanitize(one.name, 120) or others,
            Text(f"{bar:<{WIDTH}} {one.share:.0%}", style="bold red" if one.name else ""),
            f"{one.observed:,.6g}",
            f"{one.expected:,.6g}",
        )
    console.print(shown)
    past = int((cube.times < at).sum())
    said = f"平时:此前 {past} 个时刻中较平静的一半" if language == "zh" else (
        f"normally: the calmer half of the {past} moments before"
    )  # fmt: skip
    console.print(said, style="dim")
