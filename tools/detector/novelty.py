"""How unlike everything it has shown a series is now: the distance to remembered states.

A state is two vectors of residuals (arsinh of their multiples of the mean absolute residual):
short memory with the hour of the day, and three memories from ten to a thousand points. A state
farther than the memory's reach from all those remembered is remembered; the least recently used of
256 is forgotten. So a kind of event is news once, as in adaptive resonance (Carpenter and Grossberg
1987). The distances of three reaches are averaged: which states happen to be remembered first
makes one alone waver.
"""

import numpy as np

from tools.detector.model import DetectorConfig
from tools.detector.residuals import HourProfile, Residuals
from tools.types import FloatArray

ALPHAS = (0.3, 0.1, 0.01, 0.001)
REACHES = (0.3, 0.4, 0.5)
CAPACITY = 256
BLOCK = 64
EQUALISE = 1.0 / 3.0
LEAST = 0.02
SETTLING = 10
"""Points before which the scales are not known and every state would look new."""


class StateMemory:
    """Remembers states, vectors of `width` residuals, at least `reach` apart; bounded."""

    def __init__(self, width: int, reach: float) -> None:
        self._reach = reach
        self._states = np.zeros((CAPACITY, width))
        self._used = np.zeros(CAPACITY)
        self._held = 0
        self._clock = 0.0

    @property
    def state_bytes(self) -> int:
        """Memory of the states in bytes."""
        return self._states.nbytes + self._used.nbytes

    def distance(self, state: FloatArray) -> float:
        """Euclidean distance to the nearest state remembered; 0 for the first."""
        self._clock += 1.0
        if self._held == 0:
            self._keep(state)
            return 0.0
        apart = self._states[: self._held] - state
        squares = np.einsum("ij,ij->i", apart, apart)
        nearest = int(np.argmin(squares))
        distance = float(np.sqrt(squares[nearest]))
        if distance > self._reach:
            self._keep(state)
        else:
            self._used[nearest] = self._clock
        return distance

    def _keep(self, state: FloatArray) -> None:
        place = self._held if self._held < CAPACITY else int(np.argmin(self._used))
        self._held = min(self._held + 1, CAPACITY)
        self._states[place] = state
        self._used[place] = self._clock


class Equaliser:
    """Divides by the cube root of the usual largest novelty of 64 points."""

    def __init__(self) -> None:
        self._usual, self._blocks = 0.0, 0
        self._peak, self._points = 0.0, 0

    def step(self, distance: float) -> float:
        """The distance in the series' own terms, by the blocks completed before it."""
        self._peak = max(self._peak, distance)
        usual = self._usual if self._blocks >= 2 else self._peak
        self._points += 1
        if self._points == BLOCK:
            self._blocks += 1
            self._usual += (self._peak - self._usual) / self._blocks
            self._peak, self._points = 0.0, 0
        return distance / float(max(usual, LEAST) ** EQUALISE)


class Novelty:
    """The streaming state of one series; `step` takes one point."""

    def __init__(self) -> None:
        self._residuals = Residuals(ALPHAS, 1)
        self._hours = HourProfile()
        self._near = tuple(StateMemory(2, reach) for reach in REACHES)
        self._far = tuple(StateMemory(3, reach) for reach in REACHES)
        self._equaliser = Equaliser()

    @property
    def state_bytes(self) -> int:
        """Memory of the state in bytes."""
        memories = sum(memory.state_bytes for memory in (*self._near, *self._far))
        return memories + self._hours.level.nbytes

    def step(self, t: float, value: float) -> float:
        """How new the state at this point is."""
        seen = float(self._residuals.seen[0])
        z = self._residuals.step(np.array([value]), None)[:, 0]
        hour = self._hours.step(t, value)
        if seen < SETTLING:
            return 0.0
        state = np.arcsinh(np.array([z[0], hour, z[1], z[2], z[3]]))
        near, far = state[:2], state[2:]
        distance = sum(memory.distance(near) for memory in self._near)
        distance += sum(memory.distance(far) for memory in self._far)
        return self._equaliser.step(distance / len(REACHES))


def novelties(times: FloatArray, values: FloatArray) -> FloatArray:
    """The novelty of every point; 0 where no value is known."""
    state = Novelty()
    news = np.zeros(len(values))
    for i in np.flatnonzero(np.isfinite(values)).tolist():
        news[i] = state.step(float(times[i]), float(values[i]))
    return news


def latest(news: FloatArray, config: DetectorConfig) -> FloatArray:
    """Keep novelties that are the largest of the stretch before them; set the others to 0.

    The stretch is `spacing * horizon` points, the horizon being the series' length unless
    configured: a length of time, as the benchmark's own probation is, not its values.
    """
    stretch = config.spacing * (config.horizon or len(news))
    return np.where(lookback(news) >= stretch, news, 0.0)


def lookback(values: FloatArray) -> FloatArray:
    """Count the points back to the last value at least as large; all of them if none is."""
    back = np.zeros(len(values))
    larger: list[int] = []
    for i, value in enumerate(values.tolist()):
        while larger and values[larger[-1]] < value:
            larger.pop()
        back[i] = i - larger[-1] if larger else i
        larger.append(i)
    return back
