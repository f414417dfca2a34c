"""The four stages beside their targets: which figure says how a stage is, and what it has to be."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from math import isfinite, nan
from typing import Literal

from evals.page.jobs import ARMS, JobRun
from evals.report import EvalArm
from tools.log_retriever import sanitize
from tools.types import FrozenModel

SAID = 120
"""Characters of a reason in a cell; the whole of it stands with the suite."""

OverviewStage = Literal["discovery", "delivery", "localization", "recovery", "instruments"]
STAGES: tuple[OverviewStage, ...] = (
    "discovery",
    "delivery",
    "localization",
    "recovery",
    "instruments",
)
"""`instruments`: what serves all four, the knowledge base and the log miner."""


Unit = Literal["%", "", "s", "min", "n"]
"""`n` counts things; an empty unit is a score."""


class StageFigure(FrozenModel):
    """One figure of a stage. A `*` in its key takes the worst of all that match.

    `per`: the key to divide by, where the published figures are counts. The first suite that has
    the figure for an arm gives it.
    """

    stage: OverviewStage
    title: str
    suites: tuple[str, ...]
    key: str
    target: float | None = None
    least: bool = True
    unit: Unit = ""
    per: str = ""


class Cell(FrozenModel):
    """One figure with one arm: its value, or why there is none."""

    value: float | None = None
    met: bool | None = None
    missing: str = ""


class StageLine(FrozenModel):
    """A figure and its cells by arm."""

    figure: StageFigure
    cells: Mapping[EvalArm, Cell]

    @property
    def suite(self) -> str:
        """Where the figure comes from, for a person."""
        return self.figure.suites[0]

    @property
    def known(self) -> bool:
        """Whether any arm has a value."""
        return any(cell.value is not None for cell in self.cells.values())


def _least(stage: OverviewStage, suites: str, key: str, title: str, target: float | None = None,
           unit: Unit = "", per: str = "") -> StageFigure:  # fmt: skip
    return StageFigure(
        stage=stage, title=title, suites=tuple(suites.split()), key=key, target=target,
        unit=unit, per=per,
    )  # fmt: skip


def _most(stage: OverviewStage, suites: str, key: str, title: str, target: float | None = None,
          unit: Unit = "") -> StageFigure:  # fmt: skip
    return StageFigure(
        stage=stage, title=title, suites=tuple(suites.split()), key=key, target=target,
        least=False, unit=unit,
    )  # fmt: skip


FIGURES: tuple[StageFigure, ...] = (
    _least("discovery", "detection", "detected_within_60_s",
           "Faults the watch detects within 1 min", 0.95, "%"),
    _least("discovery", "detection", "watch.recall5", "The same within 5 min", 0.88, "%"),
    _most("discovery", "detection", "watch.false_per_quiet_hour", "False alarms per quiet hour"),
    _most("discovery", "detection", "watch.delay_s.p50", "Median delay of detection", 60.0, "s"),
    _least("discovery", "metrics", "nab.standard", "NAB, standard profile", 68.0),
    _least("discovery", "kpi", "kpi.f1_default", "KPI F1 at the shipped threshold", 0.70),
    _least("discovery", "kpi", "kpi.f1_pooled", "KPI F1, best threshold", 0.75),
    _least("discovery", "kpi", "kpi.recall_1fp_day", "KPI recall at one false episode a day", 0.90),
    _least("discovery", "mts", "smd.event_f1", "SMD event F1", 0.85),
    _least("discovery", "mts", "smd.aucpr", "SMD AUC-PR", 0.86),
    _least("discovery", "mts", "asd.event_f1", "ASD event F1", 0.83),
    _least("discovery", "mts", "asd.aucpr", "ASD AUC-PR", 0.40),
    _least("delivery", "alerts", "*.ap", "Real incidents rank first (AP, worst stream)", 0.60),
    _least("delivery", "alerts", "*.incident_recall", "Incidents told, worst stream", 0.95, "%"),
    _most("delivery", "alerts", "*.surfaced_per_week",
          "Groups told a week, worst stream", 100.0, "n"),
    _most("delivery", "alerts", "*.added_delay_s", "Delay added, worst stream", 60.0, "s"),
    _least("delivery", "alerts", "isolated.ari", "ARI, isolated incidents", 0.95),
    _least("delivery", "alerts", "cross_cluster_overlap.ari", "ARI, overlap across clusters", 0.95),
    _least("delivery", "alerts", "same_cluster_overlap.ari", "ARI, overlap in one cluster", 0.85),
    _least("delivery", "alerts", "ait.v", "Security storms, V", 0.87),
    _least("localization", "incidents reasoning", "mean.ac1",
           "Right component first, mean over systems", 0.85, "%"),
    _least("localization", "demo reasoning", "mean.ac1",
           "Right component first, shipped incidents", 0.85, "%"),
    _least("localization", "incidents reasoning", "mean.ac3", "Among the first three", None, "%"),
    _least("localization", "incidents reasoning demo", "kind_accuracy",
           "Right kind of fault, of those located", 0.80, "%"),
    _most("localization", "incidents reasoning demo", "brief_seconds.p95",
          "Seconds to the brief, p95", 2.0, "s"),
    _least("localization", "cloud-opsbench", "boutique.a1",
           "Kubernetes faults, Online Boutique, A@1", 0.93, "%"),
    _least("localization", "cloud-opsbench", "trainticket.a1",
           "Kubernetes faults, Train-Ticket, A@1", 0.85, "%"),
    _least("recovery", "recovery", "recovered_within_10_min",
           "Recovered and verified within 10 min", 0.90, "%"),
    _least("recovery", "recovery", "right_playbook", "Right playbook, of located", 0.95, "%"),
    _most("recovery", "recovery", "wrong_actions", "Wrong plans executed", 0.0, "n"),
    _most("recovery", "recovery", "minutes_to_recover.p90", "Minutes to recover, p90", 10.0, "min"),
    _least("recovery", "recovery", "refused_attacks", "Attacks refused", 1.0, "%", per="attacks"),
    _least("instruments", "knowledge", "lexical.recall5", "Right document among five, words", 0.95,
           "%"),
    _least("instruments", "knowledge", "fused.recall5", "… words and meaning", None, "%"),
    _least("instruments", "logs", "content.ga", "Log lines grouped right (GA)", 0.93),
    _least("instruments", "logs", "content.fta", "Log templates right (FTA)", 0.66),
    _least("instruments", "logs", "raw.ga", "GA from the raw line", 0.85),
)  # fmt: skip
"""In each stage the first that has a value is the headline."""


def lines(runs: Sequence[JobRun]) -> tuple[StageLine, ...]:
    """Every figure with what each arm measured."""
    return tuple(
        StageLine(figure=one, cells={arm: _cell(one, arm, runs) for arm in ARMS}) for one in FIGURES
    )


def headline(stage: OverviewStage, found: Sequence[StageLine]) -> StageLine:
    """The first figure of the stage that was measured; else the first."""
    own = [line for line in found if line.figure.stage == stage]
    return next((line for line in own if line.known), own[0])


def _cell(figure: StageFigure, arm: EvalArm, runs: Sequence[JobRun]) -> Cell:
    asked = [run for run in runs if run.arm == arm and run.suite in figure.suites]
    for run in asked:
        value = _value(figure, run)
        if value is not None:
            return Cell(value=value, met=_met(figure, value))
    broken = [run for run in asked if run.status == "broken"]
    if broken:
        return Cell(missing=f"broken: {sanitize(broken[0].reason, SAID)}")
    if asked:
        reasons = [run.reason for run in asked if run.status == "not run"]
        return Cell(missing=f"not run: {reasons[0]}" if reasons else "nothing to measure")
    others = any(run.suite in figure.suites for run in runs)
    return Cell(missing=f"no {arm} arm" if others else "not asked for")


def _value(figure: StageFigure, run: JobRun) -> float | None:
    if run.result is None:
        return None
    figures = {**run.result.more, **run.result.summary}
    found = [v for k, v in figures.items() if fnmatchcase(k, figure.key) and isfinite(v)]
    if not found:
        return None
    value = min(found) if figure.least else max(found)
    whole = figures.get(figure.per, nan) if figure.per else 1.0
    return value / whole if isfinite(whole) and whole else None


def _met(figure: StageFigure, value: float) -> bool | None:
    if figure.target is None:
        return None
    return value >= figure.target if figure.least else value <= figure.target
