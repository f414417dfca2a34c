"""What the stream itself teaches about an alert: how often it fires, and on what clock."""

import json
import math
from dataclasses import asdict, dataclass, field

from tools.clusterer.companions import Companions
from tools.types import Timestamp

HALF_LIFE = 7 * 86400.0
GROUP_HALF_LIFE = 2 * 86400.0
GROUP_PRIOR = 0.1
EPISODE = 60.0
WINDOW = 1800.0
CHRONIC_EPISODES = 20
CHRONIC_PER_DAY = 36.0
CHRONIC_AFTER = 6 * 3600.0
_PRIOR_TIME = 3 * 3600.0
_MIN_WATCHED = 3600.0
_BIN = 0.5
_BINS = 200
_PERIODS = 4
_SURGE = 3.0
_SURGE_FLOOR = 20

AlertFamily = tuple[str, ...]
"""Scope and alert name: what fingerprints are pooled over while they are young."""


@dataclass(slots=True)
class Habit:
    """How one fingerprint, or one family of them, has behaved; counts halve every 7 days."""

    episodes: float = 0.0
    at: Timestamp = -math.inf
    kinds: int = 0
    interval: float = 0.0
    jitter: float = 0.0
    periods: int = 0
    minute: int = -1
    in_minute: int = 0
    peak: float = 0.0
    real: float = 0.0
    chronic: bool = False
    judged_at: Timestamp = -math.inf

    def count(self, at: Timestamp) -> float:
        """Episodes remembered at a time."""
        return self.episodes * _fade(at - self.at) if self.episodes else 0.0

    def begin(self, at: Timestamp) -> None:
        """An episode starts: at least a minute after the one before it."""
        if self.episodes:
            self._learn_period(at - self.at)
        fade = _fade(at - self.at) if self.episodes else 0.0
        self.real *= fade
        self.episodes = self.episodes * fade + 1.0
        self.at = at

    def _learn_period(self, interval: float) -> None:
        if self.periods == 0:
            self.interval, self.jitter, self.periods = interval, interval / 4, 1
            return
        error = abs(interval - self.interval)
        self.jitter += 0.3 * (error - self.jitter)
        self.interval += 0.3 * (interval - self.interval)
        self.periods += 1

    def on_schedule(self, at: Timestamp) -> bool:
        """Whether it repeats on a clock, and now is the time: within 10 % of the period."""
        if self.periods < _PERIODS or self.jitter > 0.1 * self.interval:
            return False
        return abs(at - self.at - self.interval) <= max(EPISODE, 0.1 * self.interval)

    def tick(self, at: Timestamp) -> bool:
        """Count an occurrence; True while its minute is far above its own busiest minute."""
        minute = int(at // 60)
        if minute != self.minute:
            # A surge must not become the new normal: a minute lifts the peak by half at most.
            busy = min(float(self.in_minute), 1.5 * self.peak + _SURGE_FLOOR)
            self.peak = max(0.999 * self.peak, busy)
            self.minute, self.in_minute = minute, 0
        self.in_minute += 1
        return self.in_minute > _SURGE * self.peak + _SURGE_FLOOR


@dataclass
class NoiseModel:
    """Firing rates per fingerprint, pooled over families, and how strange groups usually are.

    An alert's surprise, in nats, is `-ln(1 - exp(-rate * 1800 s))`: how unlikely its fingerprint
    shows up in half an hour by habit. The rate is a gamma-Poisson estimate, episodes over time
    watched, shrunk to the mean of its family with a weight of three hours. A group's strangeness is
    the sum over its distinct fingerprints; its return rate is how many groups a day, in its
    scope, are at least as strange. Nothing here needs labels; `learn_real` takes them if given.

    >>> model = NoiseModel()
    >>> for hour in range(48):
    ...     _ = model.observe("f", ("prod", "BackupSlow"), hour * 3600.0)
    >>> model.surprise("g", ("prod", "NeverSeen"), 48 * 3600.0) > model.surprise(
    ...     "f", ("prod", "BackupSlow"), 48 * 3600.0 + 900)
    True
    """

    keep: int = 50_000
    started_at: Timestamp | None = None
    habits: dict[str, Habit] = field(default_factory=dict)
    families: dict[AlertFamily, Habit] = field(default_factory=dict)
    strangeness: dict[AlertFamily, tuple[Timestamp, list[float]]] = field(default_factory=dict)
    companions: Companions = field(default_factory=Companions)

    def observe(self, fingerprint: str, family: AlertFamily, at: Timestamp) -> bool:
        """Learn one occurrence; True if it surges: far more a minute than it ever had."""
        habit = self.habits.get(fingerprint)
        if habit is None:
            habit = self._meet(fingerprint, family, at)
        if at - habit.at >= EPISODE:
            habit.begin(at)
            self.families.setdefault(family, Habit(kinds=1)).begin(at)
        return habit.tick(at)

    def _meet(self, fingerprint: str, family: AlertFamily, at: Timestamp) -> Habit:
        if self.started_at is None:
            self.started_at = at
        if len(self.habits) >= self.keep:
            self._forget()
        habit = self.habits[fingerprint] = Habit()
        self.families.setdefault(family, Habit()).kinds += 1
        return habit

    def _forget(self) -> None:
        """Drop the tenth that was silent longest; the families keep their counts."""
        oldest = sorted(self.habits, key=lambda key: self.habits[key].at)
        for key in oldest[: max(1, self.keep // 10)]:
            del self.habits[key]
        if len(self.families) > self.keep:
            silent = sorted(self.families, key=lambda key: self.families[key].at)
            for family in silent[: self.keep // 10]:
                del self.families[family]

    def watched(self, at: Timestamp, half_life: float = HALF_LIFE) -> float:
        """Seconds of history, forgotten like the counts."""
        return half_life / math.log(2) * (1.0 - _fade(self.age(at), half_life))

    def age(self, at: Timestamp) -> float:
        """Seconds since the first alert."""
        return 0.0 if self.started_at is None else max(0.0, at - self.started_at)

    def surprise(self, fingerprint: str, family: AlertFamily, at: Timestamp) -> float:
        """Nats of information in the alert showing up now; 0.1 for one that is on schedule."""
        habit = self.habits.get(fingerprint)
        if habit is not None and habit.on_schedule(at):
            return 0.1
        return -math.log(-math.expm1(-self.rate(fingerprint, family, at) * WINDOW))

    def rate(self, fingerprint: str, family: AlertFamily, at: Timestamp) -> float:
        """Episodes a second, shrunk to those of the family."""
        habit, pooled = self.habits.get(fingerprint), self.families.get(family)
        watched = max(self.watched(at), _MIN_WATCHED)
        prior = pooled.count(at) / watched / (pooled.kinds + 1) if pooled else 0.0
        own = habit.count(at) if habit else 0.0
        return (own + prior * _PRIOR_TIME + 0.02) / (watched + _PRIOR_TIME)

    def family_count(self, family: AlertFamily, at: Timestamp) -> float:
        """Episodes of all fingerprints of a family together."""
        habit = self.families.get(family)
        return habit.count(at) if habit else 0.0

    def chronic(self, fingerprint: str, family: AlertFamily, at: Timestamp) -> bool:
        """Whether it fires so often (36 times a day), or so punctually, that it says nothing.

        Not before six hours of watching: an incident may be all the history there is.
        """
        habit = self.habits.get(fingerprint)
        if habit is None or habit.episodes < CHRONIC_EPISODES:
            return False
        # A storm asks thousands of times a second; the answer changes over hours.
        if not 0.0 <= at - habit.judged_at < EPISODE:
            often = habit.count(at) >= CHRONIC_EPISODES and self.watched(at) >= CHRONIC_AFTER
            per_day = self.rate(fingerprint, family, at) * 86400.0
            dull = per_day >= CHRONIC_PER_DAY or habit.on_schedule(at)
            habit.chronic = often and dull
            habit.judged_at = at
        return habit.chronic

    def history(self, fingerprint: str, at: Timestamp) -> str:
        """What is known of a fingerprint, for a reason."""
        habit = self.habits.get(fingerprint)
        if habit is None or habit.count(at) < 1:
            return "never seen before"
        days = max(self.watched(at), _MIN_WATCHED) / 86400.0
        return (
            f"fired {habit.count(at):.0f} times in {days:.1f} days, "
            f"{min(habit.real, habit.count(at)):.0f} of them in told incidents"
        )

    def learn_real(self, fingerprint: str) -> None:
        """Its last episode was part of an incident that people were told of."""
        habit = self.habits.get(fingerprint)
        if habit is not None:
            habit.real += 1.0

    def learn_group(self, scope: AlertFamily, strangeness: float, at: Timestamp) -> None:
        """A group has ended with this strangeness."""
        then, bins = self.strangeness.get(scope, (at, [0.0] * _BINS))
        fade = _fade(at - then, GROUP_HALF_LIFE)
        faded = [each * fade for each in bins] if fade < 1.0 else bins
        faded[_bin(strangeness)] += 1.0
        self.strangeness[scope] = (max(at, then), faded)

    def as_strange(self, scope: AlertFamily, strangeness: float, at: Timestamp) -> float:
        """How many groups of this scope, as remembered, were at least this strange."""
        then, bins = self.strangeness.get(scope, (at, []))
        return sum(bins[_bin(strangeness) :]) * _fade(at - then, GROUP_HALF_LIFE)

    def return_rate(self, scope: AlertFamily, strangeness: float, at: Timestamp) -> float:
        """Groups a day in this scope that are at least this strange, this one counted in."""
        days = self.watched(at, GROUP_HALF_LIFE) / 86400.0
        return (self.as_strange(scope, strangeness, at) + 1.0) / (days + GROUP_PRIOR)

    def dump(self) -> str:
        """The model as JSON, so that a restarted service need not learn again."""
        document = {
            "started_at": self.started_at,
            "habits": {key: asdict(habit) for key, habit in self.habits.items()},
            "families": [[list(key), asdict(habit)] for key, habit in self.families.items()],
            "strangeness": [[list(k), at, bins] for k, (at, bins) in self.strangeness.items()],
            "companions": self.companions.dump(),
        }
        return json.dumps(document)

    @classmethod
    def load(cls, text: str) -> "NoiseModel":
        """Read what `dump` wrote."""
        document = json.loads(text)
        return cls(
            started_at=document["started_at"],
            habits={key: Habit(**habit) for key, habit in document["habits"].items()},
            families={tuple(key): Habit(**habit) for key, habit in document["families"]},
            strangeness={tuple(k): (at, bins) for k, at, bins in document["strangeness"]},
            companions=Companions.load(document.get("companions", [])),
        )


def _fade(seconds: float, half_life: float = HALF_LIFE) -> float:
    return 2.0 ** (-max(0.0, seconds) / half_life) if seconds < math.inf else 0.0


def _bin(strangeness: float) -> int:
    return min(_BINS - 1, int(strangeness / _BIN))
