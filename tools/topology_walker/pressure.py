"""How much of a resource's rise is pressure: near its limit, waited for, not merely held longer.

Why these numbers: docs/decisions/telltale-signs.md.
"""

from collections.abc import Iterable

import numpy as np

from tools.topology_walker.signals import SECONDS, read
from tools.types import Evidence, Owner

_NEAR_LIMIT = 80.0
"""A pool that is used more than before, but below this many percent, is busy and not exhausted."""

_EXPLAINS = 0.5
"""A wait counts fully where it is half of what the component's latency rose by."""

_SLOWER, _HELD_LONGER = 2.0, 0.5
"""What is held while a call lasts is held longer by slow callees, in proportion (Little's law)."""

_POOLED = "pool", "connection", "thread", "handle", "descriptor"


class Pressure:
    """Tells pressure on a resource from a resource that is only held longer, by waits and calls."""

    def __init__(self, evidence: Iterable[Evidence]) -> None:
        self._slower_by: dict[str, float] = {}
        self._waits_for_callees: set[str] = set()
        for item in evidence:
            owner = Owner.parse(item.subject)
            if item.direction != "up" or item.value is None or item.baseline is None:
                continue
            if item.kind == "metric" and owner.kind == "service" and _is_latency(item):
                rise = (item.value - item.baseline) * SECONDS[item.unit]
                self._slower_by[owner.service] = max(rise, self._slower_by.get(owner.service, 0.0))
            elif item.name == "caller_latency" and item.value >= _SLOWER * item.baseline:
                self._waits_for_callees.add(owner.caller)

    def of(self, item: Evidence) -> float:
        """Return the share, in [0, 1], of a rise that counts against the component itself."""
        family, service = read(item.name).family, Owner.parse(item.subject).service
        if family not in ("saturation", "disk") or item.value is None:
            return 1.0
        counts = 1.0
        if item.unit in SECONDS:
            wait = (item.value - (item.baseline or 0.0)) * SECONDS[item.unit]
            slower_by = self._slower_by.get(service, 0.0)
            counts = float(np.clip(wait / max(_EXPLAINS * slower_by, 1e-9), 0.0, 1.0))
        elif item.unit == "%" and family == "saturation":
            counts = float(np.clip(item.value / _NEAR_LIMIT, 0.0, 1.0))
        return counts * (self.held(service) if _is_pooled(item.name) else 1.0)

    def held(self, service: str) -> float:
        """Return the share, in [0, 1], of a full pool that slow callees do not explain."""
        return _HELD_LONGER if service in self._waits_for_callees else 1.0


def is_wait(item: Evidence) -> bool:
    """Whether the metric is the time that something waits for the resource."""
    return item.unit in SECONDS and read(item.name).family in ("saturation", "disk")


def _is_latency(item: Evidence) -> bool:
    signal = read(item.name)
    return signal.family == "latency" and signal.side == "own" and item.unit in SECONDS


def _is_pooled(name: str) -> bool:
    return any(word in name.lower() for word in _POOLED)
