"""Deviations of the components' own metrics: resources, latency, errors, traffic."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tools.topology_walker.config import WalkerConfig
from tools.topology_walker.observe.deviation import Deviation, deviation, finite, since
from tools.topology_walker.signals import MetricSemantics, read
from tools.types import RECORDED, Finding, Owner, Series, Telemetry, Timestamp, Window

_JUST_BEFORE_S, _JUST_BEFORE = 1800.0, 10
_ONSET_ERROR_S = 30.0
"""An onset is known to half a minute at best; what lies nearer may be the fault already."""

_LAPSED_Z = 20.0

_MEANS = frozenset({"average", "mean", "avg"})


@dataclass(frozen=True, slots=True)
class SeriesShift:
    """A series and how it moved since the onset."""

    series: Series
    owner: Owner
    signal: MetricSemantics
    by: Deviation

    @property
    def worse(self) -> float:
        """z in the direction in which this signal gets worse; negative when it improved."""
        return self.by.z if self.signal.bad == "up" else -self.by.z


def moved(telemetry: Telemetry, onset: Timestamp) -> list[SeriesShift]:
    """Compare every series since `onset` with its past; series without either are left out."""
    past = {one.name: one for one in telemetry.baseline}
    found = []
    for one in telemetry.series:
        times, values = finite(one)
        first = since(times, onset)
        history = past.get(one.name)
        before_times, before = (times[:first], values[:first])
        if history is not None:
            before_times, before = finite(history)
            kept = int(np.searchsorted(before_times, times[first] if first < times.size else onset))
            before_times, before = before_times[:kept], before[:kept]
        signal = read(one.metric)
        settled = before_times <= onset - _ONSET_ERROR_S
        recent = before[settled & (before_times >= onset - _JUST_BEFORE_S)][-_JUST_BEFORE:]
        # A success share of exactly 100 % for hours has no spread; half a percent of all calls is
        # the least step that a person would call a change.
        relative = 0.005 if signal.family == "success" else 0.05
        by = deviation(before, times[first:], values[first:], just_before=recent, relative=relative)
        if by is not None:
            found.append(SeriesShift(one, Owner.parse(one.owner), signal, by))
    return found


def deviations(
    all_moved: Iterable[SeriesShift], telemetry: Telemetry, onset: Timestamp, config: WalkerConfig
) -> list[Finding]:
    """Return the strongest deviation per component and family, with its share among the peers.

    Where a page names a metric, that metric stands for its family; else of the latencies the mean,
    because what callees add to a caller's latency adds up in means and not in percentiles.
    """
    own = [m for m in all_moved if m.owner.kind != "edge"]
    events = (alert for alert in telemetry.alerts if alert.source == RECORDED)
    paged = {alert.labels.get("signal", "") for alert in events}
    totals: dict[str, float] = defaultdict(float)
    for one in own:
        totals[one.series.metric] += abs(one.by.change)
    rates = {
        m.series.owner: max(m.by.value, m.by.baseline) for m in own if m.signal.family == "traffic"
    }
    best: dict[tuple[str, str, str], tuple[tuple[bool, bool, float], Finding]] = {}
    for one in own:
        if abs(one.by.z) < config.min_strength and not _lapsed(one):
            continue
        share = abs(one.by.change) / totals[one.series.metric]
        finding = _finding(one, share, rates.get(one.series.owner), telemetry.window, onset)
        key = (one.series.owner, one.signal.family, finding.direction)
        mean = one.signal.family == "latency" and one.signal.quantile in _MEANS
        fit = (one.series.metric in paged, mean, finding.strength)
        known = best.get(key)
        if known is None or fit > known[0]:
            best[key] = (fit, finding)
    return [finding for _, finding in best.values()]


def _lapsed(one: SeriesShift) -> bool:
    """A certificate's time runs down evenly, so only where it ends is news."""
    return one.signal.family == "certificate" and one.by.value <= 0.0 < one.by.baseline


def strength_of(z: float) -> float:
    """Robust standard deviations on a scale that a few hundred cannot dominate: ln(1 + |z|)."""
    return float(np.log1p(min(abs(z), 1000.0)))


def _finding(
    one: SeriesShift, share: float, rate: float | None, window: Window, onset: Timestamp
) -> Finding:
    by, series = one.by, one.series
    up = by.value > by.baseline
    ratio = (abs(by.value) + 1e-9) / (abs(by.baseline) + 1e-9)
    return Finding(
        kind="metric",
        subject=series.owner,
        name=series.metric,
        source="metrics",
        query=series.name,
        window=Window(start=onset, end=max(window.end, onset)),
        value=by.value,
        baseline=by.baseline,
        unit=series.unit,
        onset=by.first_out,
        direction="up" if up else "down",
        strength=strength_of(_LAPSED_Z if _lapsed(one) else by.z) * (0.5 + 0.5 * share),
        figures={
            "z": by.z,
            "worse": one.worse,
            "share": share,
            "ratio": float(np.clip(ratio, 1e-3, 1e3)),
            "steady": by.steady,
            "fresh": by.fresh,
            **({"rate": rate} if rate is not None else {}),
        },
        statement=(
            f"{series.owner} {series.metric} {'rose' if up else 'fell'} to {by.value:.4g}"
            f"{_unit(series.unit)}, normally {by.baseline:.4g}{_unit(series.unit)}."
        ),
    )


def _unit(unit: str) -> str:
    return unit if unit in ("", "%") else f" {unit}"
