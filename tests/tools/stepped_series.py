"""Series that waver around a level and step to another at the onset: what one fault does to one."""

import numpy as np

from tools.types import LogLine, Series

ONSET = 3600.0
END = 4200.0
TIMES = np.arange(0.0, END + 1, 60.0)
UNITS = {"pct": "%", "s": "s", "ms": "ms", "bytes": "bytes"}


def series(owner: str, metric: str, normal: float, faulty: float | None = None) -> Series:
    """A wavering level that steps to `faulty` at the onset."""
    seed = sum(map(ord, owner + metric))
    noise = 1.0 + 0.02 * np.random.default_rng(seed).standard_normal(TIMES.size)
    level = np.where(TIMES >= ONSET, normal if faulty is None else faulty, normal)
    return Series(owner, metric, TIMES, level * noise, UNITS.get(metric.rpartition("_")[2], ""))


def unpaid_orders(service: str) -> tuple[LogLine, ...]:
    """Every order was received and paid; from the onset on each is received and refused."""
    lines = []
    for place, at in enumerate(np.arange(ONSET - 600.0, ONSET + 120.0, 2.0)):
        last = ("ERROR", "order refused") if at >= ONSET else ("INFO", "order paid")
        lines.append(LogLine(float(at), service, "INFO", "order received", f"t{place}"))
        lines.append(LogLine(float(at) + 0.1, service, *last, f"t{place}"))
    return tuple(lines)
