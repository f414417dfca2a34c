"""Which kinds of alerts begin together, again and again: a habit that the stream itself teaches."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tools.types import Timestamp

RECENT = 64
"""Starts that a new one is paired with at most: a storm pairs everything with everything.
Source: more than twice the two dozen subjects that are a storm (`storm_subjects`)."""

WINDOW = 130.0
"""Seconds between starts that count as together. Source: `unrelated_gap` of the configuration."""

TIMES = 2
"""Episodes that make a habit: one is chance. Source: docs/diary/alerts.md (1 to 4 were tried)."""


@dataclass
class Companions:
    """Counts how often alerts of two kinds began within `window` seconds on different subjects.

    A kind is a rule in its scope and namespace; a kind may be its own companion. After `times`
    episodes two kinds are companions, and so are companions of companions: a circle. An episode of
    a subject, or of a pair, ends after `window` seconds without a start of it.
    `keep` bounds what is remembered; what was seen longest ago goes first.

    >>> habit = Companions(window=60.0, times=2)
    >>> for hour in (0.0, 3600.0):
    ...     habit.observe("LatencyHigh", "cart", hour)
    ...     habit.observe("ErrorsHigh", "shop", hour + 10.0)
    >>> habit.circle("LatencyHigh") == habit.circle("ErrorsHigh") != ""
    True
    >>> habit.circle("BackupFailed")
    ''
    """

    window: float = WINDOW
    times: int = TIMES
    keep: int = 100_000
    pairs: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)
    _recent: deque[tuple[Timestamp, str, str]] = field(default_factory=lambda: deque(maxlen=RECENT))
    _last: OrderedDict[tuple[str, str], Timestamp] = field(default_factory=OrderedDict)
    _counted: dict[tuple[str, str], Timestamp] = field(default_factory=dict)
    _parent: dict[str, str] = field(default_factory=dict)

    def observe(self, kind: str, subject: str, at: Timestamp) -> None:
        """Learn that an alert of `kind` about `subject` began at `at` (Unix seconds)."""
        before = self._last.get((kind, subject))
        self._last[kind, subject] = at
        self._last.move_to_end((kind, subject))
        if len(self._last) > self.keep:
            self._last.popitem(last=False)
        if before is not None and abs(at - before) <= self.window:
            return
        near = {
            other
            for then, other, about in self._recent
            if about != subject and abs(at - then) <= self.window
        }
        self._recent.append((at, kind, subject))
        for other in near:
            self._count((min(kind, other), max(kind, other)), at)

    def circle(self, kind: str) -> str:
        """The name of the circle that a kind is in; empty where it has no companion yet."""
        if kind not in self._parent:
            return ""
        while (above := self._parent[kind]) != kind:
            kind = above
        return kind

    def dump(self) -> list[tuple[str, str, int]]:
        """The pairs with their counts, for `load`."""
        return [(one, other, count) for (one, other), count in self.pairs.items()]

    @classmethod
    def load(cls, pairs: Iterable[tuple[str, str, int]]) -> "Companions":
        """Go on from the counts that `dump` wrote."""
        known = cls()
        for one, other, count in pairs:
            known.pairs[one, other] = count
            if count >= known.times:
                known._unite(one, other)
        return known

    def _count(self, pair: tuple[str, str], at: Timestamp) -> None:
        """Count an episode of a pair; it lasts while its starts come within the window."""
        last = self._counted.get(pair)
        self._counted[pair] = at
        if last is not None and abs(at - last) <= self.window:
            return
        count = self.pairs[pair] = self.pairs.get(pair, 0) + 1
        self.pairs.move_to_end(pair)
        if len(self.pairs) > self.keep:
            self._counted.pop(self.pairs.popitem(last=False)[0], None)
        if count == self.times:
            self._unite(*pair)

    def _unite(self, one: str, other: str) -> None:
        for kind in (one, other):
            self._parent.setdefault(kind, kind)
        top, above = self.circle(one), self.circle(other)
        if top != above:
            self._parent[max(top, above)] = min(top, above)
