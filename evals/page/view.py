"""What the page shows, worked out and put into words; the template only places it."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Literal

import numpy as np

from evals.localization.calibration import CalibrationScore
from evals.page import pictures
from evals.page.clocks import CLOCKS, TARGETS, ClockRecord, grouped, share
from evals.page.difference import Difference
from evals.page.jobs import ARMS, JobRun
from evals.page.outcomes import figure
from evals.page.stages import STAGES, Cell, OverviewStage, StageFigure, StageLine, headline, lines
from evals.report import EvalArm, number
from tools.types import FrozenModel

Tone = Literal["good", "bad", "none", "off"]
LISTED = 200
"""Incidents listed one by one; the rest is in the JSON."""

LIMITS = {"detected": "1 min", "located": "5 min", "recovered": "10 min"}


class ToneText(FrozenModel):
    """A text with its tone: met, not met, no target, no value."""

    text: str
    tone: Tone = "none"
    note: str = ""


class StageRow(FrozenModel):
    """One line of the answer: a stage or a figure, its target, and what each arm reached."""

    name: str
    title: str
    target: str
    cells: tuple[ToneText, ...]


class Grid(FrozenModel):
    """A table: the first column names, the others hold figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[ToneText, ...], ...]


def value_text(one: StageFigure, value: float) -> str:
    """The figure in its unit."""
    if one.unit == "%":
        return f"{100.0 * value:.0f} %"
    if one.unit == "n":
        return f"{value:,.0f}"
    digits = 2 if not one.unit and abs(value) < 10 else 1
    return number(value, digits).removesuffix(".0") + (f" {one.unit}" if one.unit else "")


def stage_rows(runs: Sequence[JobRun], asked: Sequence[EvalArm]) -> tuple[StageRow, ...]:
    """The answer: each stage by its leading figure."""
    found = lines(runs)
    return tuple(_row(headline(stage, found), stage, asked) for stage in STAGES[:4])


def figure_rows(
    runs: Sequence[JobRun], asked: Sequence[EvalArm]
) -> tuple[tuple[OverviewStage, tuple[StageRow, ...]], ...]:
    """Every figure that was measured, by stage."""
    known = [line for line in lines(runs) if line.known]
    found = (
        (stage, tuple(_row(one, "", asked) for one in known if one.figure.stage == stage))
        for stage in STAGES
    )
    return tuple((stage, rows) for stage, rows in found if rows)


def _row(line: StageLine, stage: str, asked: Sequence[EvalArm]) -> StageRow:
    one = line.figure
    target = ""
    if one.target is not None:
        target = f"{'≥' if one.least else '≤'} {value_text(one, one.target)}"
    return StageRow(
        name=stage,
        title=one.title,
        target=target,
        cells=tuple(_cell(one, line.cells[arm], arm in asked) for arm in ARMS),
    )


def _cell(one: StageFigure, cell: Cell, asked: bool) -> ToneText:
    if cell.value is None:
        return ToneText(text=cell.missing if asked else "not asked for", tone="off")
    note = {True: "met", False: "not met", None: ""}[cell.met]
    tone: Tone = "none" if cell.met is None else "good" if cell.met else "bad"
    return ToneText(text=value_text(one, cell.value), tone=tone, note=note)


def verdict(rows: Sequence[StageRow]) -> str:
    """The answer in one sentence."""
    met = sum(any(cell.tone == "good" for cell in row.cells) for row in rows)
    missed = sum(
        any(cell.tone == "bad" for cell in row.cells)
        and not any(cell.tone == "good" for cell in row.cells)
        for row in rows
    )
    silent = len(rows) - met - missed
    said = f"{met} of {len(rows)} stages reach their target with at least one arm"
    said += f", {missed} miss it" if missed else ""
    return said + (f", {silent} not measured." if silent else ".")


def clock_grid(incidents: Sequence[ClockRecord]) -> Grid:
    """1-5-10 for each suite and arm: the share inside each limit."""
    names = dict.fromkeys((one.suite, one.arm) for one in incidents)
    return Grid(
        title="Share of incidents inside each limit",
        columns=("suite, arm", "incidents", *_clock_columns()),
        rows=tuple(
            _clock_row(
                f"{suite}, {arm}", [i for i in incidents if (i.suite, i.arm) == (suite, arm)]
            )
            for suite, arm in names
        ),
    )


def clock_grids(
    incidents: Sequence[ClockRecord], by: Literal["system", "kind"]
) -> tuple[Grid, ...]:
    """The same for each suite, a row per system or kind of fault and arm."""
    return tuple(
        Grid(
            title=suite,
            columns=(f"{'system' if by == 'system' else 'fault'}, arm", "incidents",
                     "right component", *_clock_columns()),
            rows=tuple(
                _clock_row(f"{name}, {arm}", [one for one in group if one.arm == arm], right=True)
                for name, group in grouped([i for i in incidents if i.suite == suite], by).items()
                for arm in dict.fromkeys(one.arm for one in group)
            ),
        )
        for suite in dict.fromkeys(one.suite for one in incidents)
    )  # fmt: skip


def _clock_columns() -> tuple[str, ...]:
    return tuple(f"{clock} ≤ {LIMITS[clock]}" for clock in CLOCKS)


def _clock_row(
    name: str, incidents: Sequence[ClockRecord], right: bool = False
) -> tuple[ToneText, ...]:
    cells = [ToneText(text=name), ToneText(text=str(len(incidents)))]
    if right:
        known = [one.right for one in incidents if one.right is not None]
        cells.append(ToneText(text=f"{100 * sum(known) / len(known):.0f} %" if known else "–"))
    for clock in CLOCKS:
        one = share(incidents, clock)
        if one is None:
            cells.append(ToneText(text="not measured", tone="off"))
            continue
        met = one.inside / one.of >= TARGETS[clock]
        cells.append(
            ToneText(
                text=f"{100 * one.inside / one.of:.0f} %",
                tone="good" if met else "bad",
                note=f"{one.inside} of {one.of}; {100 * one.low:.0f}–{100 * one.high:.0f} %",
            )
        )
    return tuple(cells)


def incident_grid(incidents: Sequence[ClockRecord]) -> tuple[Grid, int]:
    """Each incident with its clocks, those outside a limit first; and how many are left out."""

    def inside(one: ClockRecord) -> bool:
        return not any(one.within(clock) is False for clock in CLOCKS)

    listed = sorted(incidents, key=inside)[:LISTED]
    grid = Grid(
        title="Each incident, outside a limit first",
        columns=("incident", "suite, arm", "system", "fault", *_clock_columns()),
        rows=tuple(
            (
                ToneText(text=one.id),
                ToneText(text=f"{one.suite}, {one.arm}"),
                ToneText(text=one.system or "–"),
                ToneText(text=one.kind or "–"),
                *(_clock(one, clock) for clock in CLOCKS),
            )
            for one in listed
        ),
    )
    return grid, len(incidents) - len(listed)


def _clock(one: ClockRecord, clock: Literal["detected", "located", "recovered"]) -> ToneText:
    inside = one.within(clock)
    if inside is None:
        return ToneText(text="not measured", tone="off")
    after = one.seconds[clock]
    if after is None:
        return ToneText(text="wrong" if clock == "located" else "never", tone="bad")
    return ToneText(text=duration(after), tone="good" if inside else "bad")


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 0.0995:
        return f"{1000.0 * seconds:.0f} ms"
    if seconds < 100.0:
        return f"{seconds:.1f} s" if seconds < 10.0 else f"{seconds:.0f} s"
    return f"{seconds / 60.0:.1f} min"


def calibrations(runs: Sequence[JobRun]) -> tuple[tuple[str, EvalArm, CalibrationScore], ...]:
    """The located probability against the truth, for each suite and arm that states one."""
    found = []
    for run in runs:
        if run.suite not in ("demo", "incidents", "reasoning") or run.result is None:
            continue
        found.append((run.suite, run.arm, pictures.stated(run.result)))
    return tuple(found)


def calibration_grid(found: Sequence[tuple[str, EvalArm, CalibrationScore]]) -> Grid:
    """Brier score and calibration error, beside what the mean share alone would get."""
    rows = []
    for suite, arm, one in found:
        base = sum(b.count * b.came_true for b in one.bins) / one.count if one.count else np.nan
        cells = (one.brier, base * (1.0 - base), one.error, base)
        rows.append(
            (
                ToneText(text=f"{suite}, {arm}"),
                ToneText(text=str(one.count)),
                *(ToneText(text=number(cell, 3)) for cell in cells),
            )
        )
    return Grid(
        title="Calibration of the first candidate's probability",
        columns=("suite, arm", "incidents", "Brier", "Brier of the mean", "ECE", "share right"),
        rows=tuple(rows),
    )


def latencies(runs: Sequence[JobRun]) -> dict[tuple[str, EvalArm, str], list[float]]:
    """Seconds by suite, arm and what was timed."""
    found: dict[tuple[str, EvalArm, str], list[float]] = {}
    for run in runs:
        for row in run.result.cases if run.result is not None else ():
            if run.suite == "recovery" and row.get("arm") != run.arm:
                continue
            timed: dict[str, float | None] = {"alert to brief": figure(row.get("seconds"))}
            stages = row.get("stage_seconds")
            for name, one in stages.items() if isinstance(stages, dict) else ():
                timed[f"… {name}"] = figure(one)
            timed["onset to alarm"] = figure(row.get("delay_s"))
            minutes = figure(row.get("minutes_to_recover"))
            timed["onset to recovered (simulated clock)"] = minutes and minutes * 60.0
            if run.suite == "cloud-opsbench":
                timed["diagnosis"] = timed.pop("alert to brief")
            for name, one in timed.items():
                if one is not None:
                    found.setdefault((run.suite, run.arm, name), []).append(one)
    return found


def latency_grid(found: Mapping[tuple[str, EvalArm, str], Sequence[float]]) -> Grid:
    """Quantiles of what was timed."""
    rows = []
    for (suite, arm, name), some in found.items():
        p50, p95 = np.quantile(some, (0.5, 0.95))
        shown = (duration(float(one)) if isfinite(one) else "–" for one in (p50, p95, max(some)))
        cells = (f"{suite}, {arm}", name, str(len(some)), *shown)
        rows.append(tuple(ToneText(text=one) for one in cells))
    return Grid(
        title="Seconds, wall clock of this machine where not said otherwise",
        columns=("suite, arm", "what", "cases", "p50", "p95", "slowest"),
        rows=tuple(rows),
    )


def difference_grid(found: Sequence[Difference]) -> Grid:
    """Each suite against the baseline."""
    tones: dict[str, Tone] = {"worse": "bad", "better": "good", "same": "none"}
    rows = []
    for one in found:
        paired = one.paired
        change = bounds = moved = "–"
        p = "–"
        if paired is not None:
            change = f"{100 * (paired.after - paired.before):+.1f}"
            bounds = f"{100 * paired.low:+.1f} … {100 * paired.high:+.1f}"
            p = number(paired.p, 3)
            moved = f"−{len(paired.lost)} / +{len(paired.gained)} of {paired.cases}"
        rows.append(
            (
                ToneText(text=f"{one.suite}, {one.arm}"),
                ToneText(text=one.verdict, tone=tones.get(one.verdict, "off"), note=one.reason),
                *(ToneText(text=text) for text in (change, bounds, p, moved)),
            )
        )
    return Grid(
        title="Against the baseline, same cases",
        columns=("suite, arm", "verdict", "change, points", "95 % (paired bootstrap)", "McNemar p",
                 "cases lost / gained"),
        rows=tuple(rows),
    )  # fmt: skip
