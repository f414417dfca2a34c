"""Count the lines of every service and template before and after a moment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tools.log_retriever.levels import level_name
from tools.log_retriever.miner import Miner, MinerConfig
from tools.types import LogLine, Timestamp

_LONG_SILENCE_S = 60.0


@dataclass(slots=True)
class Tally:
    """The lines of one template of one service."""

    service: str
    template: str
    level: str
    before: list[Timestamp] = field(default_factory=list)
    after: list[Timestamp] = field(default_factory=list)
    example: LogLine | None = None

    def join(self, other: "Tally") -> None:
        """Take the lines of a tally whose template has been merged into this one's."""
        self.before += other.before
        self.after += other.after
        self.example = self.example or other.example


def tally(before: Sequence[LogLine], after: Sequence[LogLine], config: MinerConfig) -> list[Tally]:
    """One tally per service and template; templates are those known after the last line."""
    miner = Miner(config)
    raw: dict[tuple[str, str], Tally] = {}
    for lines, is_after in ((before, False), (after, True)):
        for line in lines:
            parsed = miner.add(line.message)
            key = (line.service, parsed.template_id)
            found = raw.get(key)
            if found is None:
                level = level_name(line.level) or parsed.level
                found = raw[key] = Tally(line.service, parsed.template, level)
            (found.after if is_after else found.before).append(line.at)
            if found.example is None or (is_after and len(found.after) == 1):
                found.example = line
    return _resolved(miner, raw)


def _resolved(miner: Miner, raw: dict[tuple[str, str], Tally]) -> list[Tally]:
    final: dict[tuple[str, str], Tally] = {}
    for (service, former), counted in raw.items():
        counted.template = miner.resolve(former).text
        known = final.setdefault((service, counted.template), counted)
        if known is not counted:
            known.join(counted)
    return list(final.values())


def exposure(times: Sequence[Timestamp]) -> float:
    """Return the seconds that lines at `times` cover, without gaps much longer than usual.

    Recordings of several stretches are so many stretches, not the time between them.
    """
    if len(times) < 2:
        return 1.0
    gaps = np.diff(np.sort(np.asarray(times, dtype=np.float64)))
    usual = max(_LONG_SILENCE_S, 20.0 * float(np.median(gaps)))
    return max(1.0, float(gaps[gaps <= usual].sum()))


def active_bins(times: Sequence[Timestamp], width: float) -> tuple[int, ...]:
    """Return the bins of `width` seconds that hold at least one of `times`."""
    return tuple(sorted({math.floor(time / width) for time in times}))


def in_bins(times: Sequence[Timestamp], active: Sequence[int], width: float) -> list[int]:
    """Count the times that fall into each active bin of `width` seconds."""
    counts = dict.fromkeys(active, 0)
    for time in times:
        counts[math.floor(time / width)] += 1
    return list(counts.values())
