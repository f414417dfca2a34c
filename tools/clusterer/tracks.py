"""What the clusterer remembers of each fingerprint: firing or not, its group, how it flaps."""

import math
from collections import OrderedDict
from dataclasses import dataclass

from tools.clusterer.group import Group
from tools.types import Timestamp


@dataclass(slots=True)
class Track:
    """The last firing of one fingerprint."""

    starts_at: Timestamp
    group: Group | None
    firing: bool
    ended_at: Timestamp = 0.0
    restarts: float = 0.0
    restarted_at: Timestamp = 0.0

    def restart(self, at: Timestamp, window: float) -> float:
        """Count one more start after an end; old ones fade with `window` as time constant."""
        self.restarts = self.restarts_at(at, window) + 1.0
        self.restarted_at = at
        return self.restarts

    def restarts_at(self, at: Timestamp, window: float) -> float:
        """How many restarts are remembered at a time."""
        past = max(0.0, at - self.restarted_at)
        return self.restarts * math.exp2(-past / window)


class Tracks:
    """A bounded map of fingerprint to track; the one unseen longest goes first."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._tracks: OrderedDict[str, Track] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tracks)

    def get(self, fingerprint: str) -> Track | None:
        """The track of a fingerprint, None if it is new or forgotten."""
        return self._tracks.get(fingerprint)

    def put(self, fingerprint: str, track: Track) -> None:
        """Remember a track as the latest one."""
        self._tracks[fingerprint] = track
        self._tracks.move_to_end(fingerprint)
        if len(self._tracks) > self._keep:
            self._tracks.popitem(last=False)
