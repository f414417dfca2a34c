"""Many series judged together: which of them leave what the others and the moment before allow.

Two residuals of every series, in units of what was learned: from its own level, and from a linear
prediction of the next row by the present one (ridge regression, a vector autoregression of order
one). A row's departure is the soft maximum of the three largest of the first and the root mean
square of the second, both as multiples of their usual size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tools.detector.calibration import Calibration, tail_probability
from tools.detector.clean import ordered
from tools.detector.model import DEFAULT, SETTINGS, DetectorConfig, JointAnomaly
from tools.types import FloatArray, Series

FLOOR = 0.01
RIDGE = 1.0
BOUND = 20.0
FARTHEST = 1e50
STRONGEST = 3
SHARPNESS = 4.0
HOLD = 0.7
SMOOTH = 0.2
STALE = 5.0
SHOWN = 5


@dataclass(frozen=True, slots=True)
class JointScores:
    """Per row: `alarm` to open episodes, `state` to say how ill the whole is, and each share.

    `alarm` is the departure of this row alone; `state` holds and smooths it over about ten rows,
    so that it stays up while something is wrong. `shares` (rows, series) sum to 1 in a row.
    """

    alarm: FloatArray
    state: FloatArray
    shares: FloatArray


class JointModel:
    """What is normal for many series together; learned once, then row by row or at once.

    `resolution` is the smallest change that matters, in the series' own unit; by default one
    hundredth of what each ranged over while it was learned from.
    """

    def __init__(
        self,
        train: FloatArray,
        config: DetectorConfig = DEFAULT,
        resolution: float | None = None,
    ) -> None:
        if train.ndim != 2 or len(train) < 3:
            raise ValueError(f"joint normal behaviour needs (rows >= 3, series); got {train.shape}")
        self._rules = config.arm == "rules"
        self._mean = _column_means(train)
        filled = np.where(np.isfinite(train), train, self._mean)
        self._unit = filled.std(axis=0) + _floor(filled, resolution)
        z = self._standard(train)
        bounded = np.clip(z, -BOUND, BOUND)
        now, then = bounded[:-1], bounded[1:]
        gram = now.T @ now + RIDGE * np.eye(z.shape[1])
        self._predict = np.linalg.solve(gram, now.T @ then)
        self._noise = (then - now @ self._predict).std(axis=0) + FLOOR
        self._last = bounded[-1]
        self._usual = (1.0, 1.0)
        level, step = self._parts(z, bounded[0])
        self._usual = (max(float(np.median(level)), FLOOR), max(float(np.median(step)), FLOOR))

    def scores(self, rows: FloatArray) -> JointScores:
        """Judge the rows that follow what was learned or judged last."""
        z = self._standard(rows)
        level, step = self._parts(z, self._last)
        level, step = level / self._usual[0], step / self._usual[1]
        if len(z):
            self._last = np.clip(z[-1], -BOUND, BOUND)
        size = np.abs(z) ** 2
        shares = size / np.maximum(size.sum(axis=1, keepdims=True), 1e-300)
        if self._rules:
            return JointScores(alarm=level, state=level, shares=shares)
        alarm = (level**SHARPNESS + step**SHARPNESS) ** (1.0 / SHARPNESS)
        return JointScores(alarm=alarm, state=_held(level + step), shares=shares)

    def _standard(self, rows: FloatArray) -> FloatArray:
        z: FloatArray = (rows - self._mean) / self._unit
        return np.clip(np.where(np.isfinite(z), z, 0.0), -FARTHEST, FARTHEST)

    def _parts(self, z: FloatArray, before: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The mean of the largest departures, and the size of what was not predicted."""
        bounded = np.clip(z, -BOUND, BOUND)
        now = np.vstack((before[None, :], bounded[:-1])) if len(z) else bounded
        missed = np.minimum(np.abs((bounded - now @ self._predict) / self._noise), BOUND)
        strongest = np.sort(np.abs(z), axis=1)[:, -STRONGEST:]
        return strongest.mean(axis=1), np.sqrt((missed**2).mean(axis=1))


def _column_means(train: FloatArray) -> FloatArray:
    finite = np.isfinite(train)
    count = np.maximum(finite.sum(axis=0), 1)
    mean: FloatArray = np.where(finite, train, 0.0).sum(axis=0) / count
    return mean


def _floor(train: FloatArray, resolution: float | None) -> FloatArray:
    if resolution is not None:
        return np.full(train.shape[1], resolution)
    spread = train.max(axis=0) - train.min(axis=0)
    width = np.where(spread > 0, spread, np.abs(train).max(axis=0))
    return FLOOR * np.where(width > 0, width, 1.0)


def _held(sizes: FloatArray) -> FloatArray:
    """The size held for some rows and smoothed."""
    held, smooth = 0.0, 0.0
    out = np.empty(len(sizes))
    for i, size in enumerate(sizes.tolist()):
        held = max(size, HOLD * held)
        smooth += SMOOTH * (held - smooth)
        out[i] = smooth
    return out


def detect_joint(
    series: Sequence[Series], baseline: Sequence[Series], config: DetectorConfig = DEFAULT
) -> list[JointAnomaly]:
    """Return the episodes in which several series depart together, with the share of each; what is
    normal is learned from `baseline`.

    Series are matched by name; those the baseline lacks are left out. Rows are taken at every
    time any series has a value, with the last value of the others while it is fresh.
    """
    known = {one.name: one for one in baseline}
    both = [(one, known[one.name]) for one in series if one.name in known]
    if not both:
        return []
    names = [one.name for one, _ in both]
    _, train = side_by_side([past for _, past in both])
    times, rows = side_by_side([one for one, _ in both])
    if len(train) < config.warmup or not len(rows):
        return []
    model = JointModel(train, config)
    judged = model.scores(np.vstack((train, rows)))
    ratio, gamma = _calibrated(judged.alarm, config)
    first = len(train)
    return _episodes(names, times, ratio[first:], gamma, judged.shares[first:], config)


def _calibrated(alarm: FloatArray, config: DetectorConfig) -> tuple[FloatArray, float]:
    """Alarms as multiples of the level one episode in 720 rows exceeds."""
    if not SETTINGS[config.arm].calibrated:
        return alarm / SETTINGS[config.arm].fixed, 0.0
    tail = Calibration(1)
    ratio = np.empty(len(alarm))
    for i, size in enumerate(alarm):
        ratio[i] = tail.step(np.array([size]), None)[0]
    return ratio, float(tail.gamma[0])


def _episodes(
    names: list[str],
    times: FloatArray,
    ratio: FloatArray,
    gamma: float,
    shares: FloatArray,
    config: DetectorConfig,
) -> list[JointAnomaly]:
    found: list[JointAnomaly] = []
    for start, stop, ended in stretches(ratio, 1.0, config.quiet):
        worst = start + int(np.argmax(ratio[start:stop]))
        largest = np.argsort(-shares[worst], kind="stable")[:SHOWN].tolist()
        parts = tuple((names[i], round(float(shares[worst, i]), 4)) for i in largest)
        found.append(
            JointAnomaly(
                onset=float(times[start]),
                end=float(times[stop - 1]) if ended else None,
                score=tail_probability(float(ratio[worst]), gamma) if gamma else 0.0,
                shares=parts,
                reason=f"{ratio[worst]:.1f} times the joint departure the past allows, "
                f"most of it in {parts[0][0]} ({parts[0][1]:.0%})",
            )
        )
    return found


def stretches(heights: FloatArray, call: float, quiet: int) -> Iterator[tuple[int, int, bool]]:
    """First row, row after the last, and whether it ended, of each stretch from `call` upwards.

    A stretch ends with `quiet` rows in succession below half of `call`.
    """
    after = 0
    for start in np.flatnonzero(heights >= call).tolist():
        if start < after:
            continue
        calm = np.convolve(heights[start:] < call / 2.0, np.ones(quiet), mode="valid")
        ends = np.flatnonzero(calm >= quiet)
        after = start + int(ends[0]) + quiet if len(ends) else len(heights)
        yield start, after, len(ends) > 0


def side_by_side(series: Sequence[Series]) -> tuple[FloatArray, FloatArray]:
    """The series side by side at every time of any; stale values are missing."""
    clean = [ordered(one) for one in series]
    times = np.unique(np.concatenate([t for t, _ in clean]))
    rows = np.full((len(times), len(clean)), np.nan)
    for column, (t, values) in enumerate(clean):
        if len(t) == 0:
            continue
        place = np.searchsorted(t, times, side="right") - 1
        usual = float(np.median(np.diff(t))) if len(t) > 1 else np.inf
        fresh = (place >= 0) & (times - t[place] <= STALE * usual)
        rows[fresh, column] = values[place[fresh]]
    return times, rows
