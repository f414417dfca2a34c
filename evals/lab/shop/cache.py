"""Cache: answers kept for a while, each entry expiring at a moment of its own."""

import random
import time

from evals.lab.shop.meters import CacheMeters

_KEYS = 120
_TTL_S = 60.0


class Cache:
    """Whether an item is at hand; with `worthless` entries expire the moment they are stored."""

    def __init__(self, meters: CacheMeters) -> None:
        self._meters = meters
        self._until: dict[int, float] = {}
        self.worthless = False

    def has(self, rng: random.Random) -> bool:
        """Look up a random item, the popular ones more often; keep it from now on."""
        key, now = int(_KEYS * rng.random() ** 2), time.monotonic()
        hit = self._until.get(key, 0.0) > now
        (self._meters.hits if hit else self._meters.misses).inc()
        if not hit:
            lives = 0.0 if self.worthless else _TTL_S * rng.uniform(0.5, 1.5)
            self._until[key] = now + lives
        return hit

    def flush(self) -> None:
        """Forget everything."""
        self._until.clear()
