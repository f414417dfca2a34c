"""What hurts: whether a reading that left its normal level is felt by who calls, and why.

Callers feel calls that fail and calls that take longer. A busy resource, a longer queue or a
restart is felt by nobody until calls show it (Google, Site Reliability Engineering, ch. 6:
"symptoms versus causes"), so such a reading is `slight` at most. Every threshold of harm stands
here: docs/decisions/normal-and-impact.md.
"""

from dataclasses import dataclass
from typing import Literal

from tools.topology_walker.calibration import LASTING
from tools.topology_walker.signals import SECONDS, MetricCategory, read
from tools.types import Evidence, Text

ImpactLevel = Literal["none", "slight", "felt"]

FAILING, FAILING_LEAST = 0.01, 0.001
"""Share of calls that fails more than normally and is felt, or matters at all: ten times the error
budget of 99.9 %, which is between the burn rates 14.4 and 6 that page, and that whole budget.
source: Google, The Site Reliability Workbook (2018), ch. 5, table 5-8."""

SLOWER = 1.5
"""Times its normal duration from which on a call is felt to be slow.
source: docs/decisions/normal-and-impact.md, quiet stretches of the recordings."""

MOMENT_S = 0.005
"""Seconds more below which no duration matters, whatever its normal one is.
source: docs/decisions/watch.md, measured by `python -m evals run detection`."""

MOVED = 0.1
"""Share of its normal level by which a reading has to move to mean anything.
source: docs/decisions/watch.md, measured by `python -m evals run detection`."""

POINT = 1.0
"""The same in points of what is itself a share in percent, such as a disk that is 1 % used.
source: docs/decisions/watch.md, measured by `python -m evals run detection`."""


@dataclass(frozen=True, slots=True)
class Impact:
    """How much one reading hurts, and why."""

    level: ImpactLevel
    reason: Text

    @property
    def felt(self) -> bool:
        """Whether who calls feels it."""
        return self.level == "felt"


def impact(
    metric: str, normal: float, value: float, unit: str = "", lasting: float = 1.0
) -> Impact:
    """Judge a reading of `metric` that is normally `normal` and now `value`, both in `unit`.

    `lasting` is the share of the time since the onset for which it has held. Without a unit the
    metric's last word is taken for it; what moved for the better hurts nobody.

    >>> impact("latency_ms", 20.0, 45.0).level, impact("cpu_pct", 20.0, 45.0).level
    ('felt', 'slight')
    """
    semantics, unit = read(metric), unit or _unit_of(metric)
    worse = value - normal if semantics.bad == "up" else normal - value
    if semantics.family in ("other", "traffic"):  # less of it may be the worse
        worse = abs(worse)
    if worse <= 0.0:
        return _impact("none", "it moved for the better", "其变化是好转")
    if worse * SECONDS.get(unit, float("inf")) < MOMENT_S:
        return _impact("none", *_TOO_LITTLE)
    if semantics.family in ("errors", "success") and (all_of := whole(metric, unit, normal)):
        return _of_failing(worse / all_of, lasting)
    if semantics.family in ("errors", "latency"):
        return _of_more(semantics.family, normal, value, lasting)
    if worse < (POINT if metric.endswith("used_pct") else MOVED * abs(normal)):
        return _impact("none", *_TOO_LITTLE)
    return _impact(
        "slight", f"no caller feels {metric} by itself", f"调用方不会直接感受到 {metric}"
    )


def impact_of(item: Evidence) -> Impact | None:
    """Judge a numbered measurement; None where there is none, or its normal level is unknown."""
    if item.kind not in ("edge", "metric") or item.value is None or item.baseline is None:
        return None
    lasting = item.figures.get("steady", 1.0)
    if item.kind == "edge" and read(item.name).family == "errors":
        # Measured as shares that succeed or as shares that fail: `delta` is the share failing more.
        return impact(item.name, 0.0, item.figures["delta"], "1", lasting)
    return impact(item.name, item.baseline, item.value, item.unit, lasting)


_PERCENT = 100.0
_MOST = 300  # source: the bound of `Text` (tools/types)
_TOO_LITTLE = ("it moved by too little to matter", "变化太小，没有影响")


def _unit_of(metric: str) -> str:
    return metric.rpartition("_")[2].replace("seconds", "s")


def whole(metric: str, unit: str, normal: float) -> float:
    """What all calls are in the reading's unit; 0 for a count of failures, which has no whole."""
    unit = unit or _unit_of(metric)
    if unit in ("%", "pct", "percent"):
        return _PERCENT
    if read(metric).family == "success":
        return _PERCENT if normal > 1.0 else 1.0
    return 1.0 if unit in ("1", "ratio", "share") else 0.0


def _of_failing(share: float, lasting: float) -> Impact:
    """Judge by the share of calls that fails more than normally."""
    en, zh = f"{share:.1%} more of the calls fail", f"失败的调用多了 {share:.1%}"
    if share < FAILING_LEAST:
        return _impact("none", *_TOO_LITTLE)
    return _lasting(share >= FAILING, en, zh, lasting)


def _of_more(family: MetricCategory, normal: float, value: float, lasting: float) -> Impact:
    """Judge by how many times its normal level a duration, or a count of failures, is."""
    if value - normal < MOVED * abs(normal):
        return _impact("none", *_TOO_LITTLE)
    times = f"{value / normal:.3g}" if normal > 0.0 else "many"
    en, zh = f"calls take {times} times as long", f"调用耗时为平时的 {times} 倍"
    if family == "errors":
        en, zh = f"{times} times as many calls fail", f"失败的调用为平时的 {times} 倍"
    return _lasting(value >= SLOWER * normal, en, zh, lasting)


def _lasting(enough: bool, en: str, zh: str, lasting: float) -> Impact:
    """Felt where it is enough and lasts; else slight, with for how long it lasted."""
    if lasting < LASTING:
        return _impact(
            "slight", f"{en}, {lasting:.0%} of the time", f"{zh}，仅占 {lasting:.0%} 的时间"
        )
    return _impact("felt" if enough else "slight", en, zh)


def _impact(level: ImpactLevel, en: str, zh: str) -> Impact:
    return Impact(level, Text(en=en[:_MOST], zh=zh[:_MOST]))
