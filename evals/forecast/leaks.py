"""Resources as a lab sees them, drawn with a seed: some reach their limit, some only look like it.

Three weeks at a quarter of an hour. Values are percent of the limit; of a certificate, days since
a lifetime of 90 began in percent. What a resource does after it was full is left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tools.types import FloatArray

STEP_S, DAYS = 900.0, 21
HOUR, DAY = 3600.0, 86_400.0
FULL = 100.0
START = 1_800_000_000.0 - 1_800_000_000.0 % (7 * DAY)
"""A Thursday at midnight, as Unix time begins."""

Draw = np.random.Generator


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource by the name of its kind and seed; `full_at` is when it is full, None: never."""

    kind: str
    seed: int
    times: FloatArray
    values: FloatArray
    full_at: float | None

    @property
    def name(self) -> str:
        """Kind and number."""
        return f"{self.kind}-{self.seed}"


def resource(kind: str, seed: int) -> Resource:
    """Draw one resource of a kind."""
    rng = np.random.default_rng([sorted(KINDS).index(kind), seed])
    times = START + STEP_S * np.arange(DAYS * DAY / STEP_S)
    values = KINDS[kind](rng, (times - START) / DAY)
    over = np.flatnonzero(values >= FULL)
    if not len(over):
        return Resource(kind, seed, times, values, None)
    end = int(over[0])
    return Resource(kind, seed, times[:end], values[:end], float(times[end]))


def _hours(days: FloatArray, rng: Draw) -> FloatArray:
    """Traffic over a week around one: a working day's hump, quieter at the weekend."""
    hump = 1.0 + 0.6 * np.sin(2 * np.pi * (days + rng.uniform()))
    weekend = np.where((days % 7).astype(int) >= 5, 0.6, 1.0)
    return hump * weekend


def _noise(rng: Draw, count: int, size: float, memory: float = 0.7) -> FloatArray:
    """Noise that remembers: x(t) = memory x(t-1) + e."""
    steps = rng.normal(0.0, size * np.sqrt(1 - memory**2), count)
    found = np.empty(count)
    last = 0.0
    for i, step in enumerate(steps):
        last = memory * last + step
        found[i] = last
    return found


def _ramp(days: FloatArray, rate: FloatArray | float) -> FloatArray:
    step = STEP_S / DAY
    return np.cumsum(np.broadcast_to(np.asarray(rate, dtype=np.float64), days.shape)) * step


def disk_fills(rng: Draw, days: FloatArray) -> FloatArray:
    """Grows with what is written, by day more than by night."""
    level, full = rng.uniform(20, 60), rng.uniform(8, 18)
    rate = (FULL - level) / full * _hours(days, rng) / 0.9
    return level + _ramp(days, rate) + _noise(rng, len(days), 0.2)


def disk_fills_of_a_sudden(rng: Draw, days: FloatArray) -> FloatArray:
    """A debug log is turned on: flat, then full within hours or two days."""
    level, begins, lasts = rng.uniform(30, 70), rng.uniform(7, 16), rng.uniform(0.25, 2.5)
    rate = np.where(days >= begins, (FULL - level) / lasts, 0.2)
    return level + _ramp(days, rate) + _noise(rng, len(days), 0.3)


def memory_leaks(rng: Draw, days: FloatArray) -> FloatArray:
    """A little lost with each request."""
    level, begins, lasts = rng.uniform(30, 60), rng.uniform(2, 12), rng.uniform(1.5, 7)
    rate = np.where(days >= begins, (FULL - level) / lasts, 0.0) * _hours(days, rng) / 0.9
    return level + _ramp(days, rate) + _noise(rng, len(days), 1.5, 0.9)


def queue_grows(rng: Draw, days: FloatArray) -> FloatArray:
    """Consumers keep up by night and fall behind by day, a little more than they make good."""
    begins, lasts = rng.uniform(3, 10), rng.uniform(2, 7)
    behind = np.where(days >= begins, FULL / lasts, 0.0) * (_hours(days, rng) * 2.2 - 1.0)
    held = np.empty(len(days))
    last = 2.0
    for i, rate in enumerate(behind):
        last = max(last + rate * STEP_S / DAY, 1.0)
        held[i] = last
    return held + np.abs(_noise(rng, len(days), 0.8))


def connections_leak(rng: Draw, days: FloatArray) -> FloatArray:
    """Now and then a connection is not given back; by day more are in use."""
    begins, lasts = rng.uniform(2, 10), rng.uniform(2, 8)
    lost = np.cumsum(rng.poisson(np.where(days >= begins, 70.0 / lasts * STEP_S / DAY, 0.0)))
    return np.floor(12 + 10 * _hours(days, rng) + lost + np.abs(_noise(rng, len(days), 2.0)))


def descriptors_leak(rng: Draw, days: FloatArray) -> FloatArray:
    """Sockets that are never closed."""
    begins, lasts = rng.uniform(1, 8), rng.uniform(1.5, 9)
    rate = np.where(days >= begins, 85.0 / lasts, 0.0)
    return np.floor((10 + _ramp(days, rate) + np.abs(_noise(rng, len(days), 1.0))) * 10) / 10


def inodes_fill(rng: Draw, days: FloatArray) -> FloatArray:
    """Sessions as small files; a nightly job removes a part."""
    level, full = rng.uniform(30, 60), rng.uniform(9, 19)
    removed = 1.2 * np.floor(days)
    rate = (FULL - level) / full + 1.2
    return level + _ramp(days, rate) - removed + _noise(rng, len(days), 0.1)


def certificate_ends(rng: Draw, days: FloatArray) -> FloatArray:
    """A certificate of 90 days that nobody renews."""
    left = rng.uniform(6, 20)
    return FULL * (90.0 - (left - days)) / 90.0


def weekly_peak_grows(rng: Draw, days: FloatArray) -> FloatArray:
    """Capacity: each week's peak is higher, until one is too high."""
    peak = rng.uniform(66, 74)
    grown = 1.0 + days / 7 * rng.uniform(0.19, 0.28)
    shape = _hours(days, rng) / 1.6
    return peak * grown * shape + _noise(rng, len(days), 1.5)


def budget_burns(rng: Draw, days: FloatArray) -> FloatArray:
    """An error budget used up in bursts."""
    lasts = rng.uniform(8, 17)
    bursts = rng.gamma(0.15, 1.0, len(days))
    return np.cumsum(bursts / bursts.mean()) * FULL / lasts * STEP_S / DAY


def quota_fills(rng: Draw, days: FloatArray) -> FloatArray:
    """Each release asks for a little more of a namespace's quota."""
    level, lasts = rng.uniform(40, 65), rng.uniform(9, 18)
    steps = rng.random(len(days)) < 2.0 * STEP_S / DAY
    size = (FULL - level) / lasts / 2.0
    return level + np.cumsum(steps * rng.uniform(0.5, 1.5, len(days)) * size)


def heap_is_collected(rng: Draw, days: FloatArray) -> FloatArray:
    """A sawtooth of garbage collection, high but without a trend."""
    low, high, cycle = rng.uniform(15, 35), rng.uniform(70, 92), rng.uniform(0.15, 1.2)
    return low + (high - low) * (days / cycle % 1.0) + _noise(rng, len(days), 0.8)


def disk_is_compacted(rng: Draw, days: FloatArray) -> FloatArray:
    """A store that merges its files every few days."""
    low, high = rng.uniform(40, 50), rng.uniform(70, 85)
    cycle, phase = rng.uniform(1.5, 4.0), rng.uniform()
    wobble = 1.0 + 0.05 * np.sin(days)
    return (
        low + (high - low) * ((days / cycle + phase) % 1.0) * wobble + _noise(rng, len(days), 0.3)
    )


def logs_are_rotated(rng: Draw, days: FloatArray) -> FloatArray:
    """Filled by day, rotated at midnight."""
    level, daily = rng.uniform(30, 60), rng.uniform(8, 25)
    return level + daily * (days % 1.0) + _noise(rng, len(days), 0.4)


def nightly_batch(rng: Draw, days: FloatArray) -> FloatArray:
    """A job writes half a disk for two hours each night and takes it away."""
    level, size, at = rng.uniform(20, 40), rng.uniform(30, 50), rng.uniform(0.0, 0.9)
    inside = np.clip((days % 1.0 - at) / 0.08, 0, 1) * ((days % 1.0) < at + 0.1)
    return level + size * inside + _noise(rng, len(days), 0.4)


def cache_warms_up(rng: Draw, days: FloatArray) -> FloatArray:
    """A cache that fills to where it is meant to, ever more slowly."""
    begins, slow, top = rng.uniform(1, 8), rng.uniform(0.5, 3.0), rng.uniform(60, 88)
    after = np.maximum(days - begins, 0.0)
    return 15 + (top - 15) * (1 - np.exp(-after / slow)) + _noise(rng, len(days), 0.8)


def one_step(rng: Draw, days: FloatArray) -> FloatArray:
    """Somebody puts a large file there, and it stays."""
    level, size, at = rng.uniform(20, 40), rng.uniform(10, 45), rng.uniform(4, 18)
    rise = np.clip((days - at) / rng.uniform(0.01, 0.15), 0, 1)
    return level + size * rise + _noise(rng, len(days), 0.3)


def weekly_peak(rng: Draw, days: FloatArray) -> FloatArray:
    """Traffic of every week, its peak below the limit."""
    return rng.uniform(65, 85) * _hours(days, rng) / 1.6 + _noise(rng, len(days), 2.0)


def wanders(rng: Draw, days: FloatArray) -> FloatArray:
    """No trend, but a long memory."""
    found = rng.uniform(40, 65) + _noise(rng, len(days), rng.uniform(4, 8), 0.995)
    return np.clip(found, 1.0, 97.0)


def flat(rng: Draw, days: FloatArray) -> FloatArray:
    """Nothing happens, near the limit or not."""
    return rng.uniform(20, 95) + _noise(rng, len(days), 0.3)


def certificate_is_renewed(rng: Draw, days: FloatArray) -> FloatArray:
    """Renewed when a third of its 90 days is left, as certificate managers do."""
    since = (days + rng.uniform(45, 58)) % 60.0
    return FULL * since / 90.0


def is_cleaned_up(rng: Draw, days: FloatArray) -> FloatArray:
    """Grows for a week, and a person or a job clears it well before it is full."""
    level, size = rng.uniform(25, 40), rng.uniform(25, 40)
    return level + size * ((days + rng.uniform(0, 7)) % 7.0) / 7.0 + _noise(rng, len(days), 0.4)


def grows_slowly(rng: Draw, days: FloatArray) -> FloatArray:
    """A trend that needs months."""
    return rng.uniform(30, 60) + days * rng.uniform(0.05, 0.3) + _noise(rng, len(days), 0.6, 0.9)


LEAKS: Mapping[str, Callable[[Draw, FloatArray], FloatArray]] = {
    one.__name__: one
    for one in (
        disk_fills, disk_fills_of_a_sudden, memory_leaks, queue_grows, connections_leak,
        descriptors_leak, inodes_fill, certificate_ends, weekly_peak_grows, budget_burns,
        quota_fills,
    )
}  # fmt: skip
"""Kinds that reach their limit, but for a draw that does not within three weeks."""

HARMLESS: Mapping[str, Callable[[Draw, FloatArray], FloatArray]] = {
    one.__name__: one
    for one in (
        heap_is_collected, disk_is_compacted, logs_are_rotated, nightly_batch, cache_warms_up,
        one_step, weekly_peak, wanders, flat, certificate_is_renewed, is_cleaned_up, grows_slowly,
    )
}  # fmt: skip

KINDS = {**LEAKS, **HARMLESS}
