"""A world as every telemetry port at once, and as a clock whose sleep moves the world on."""

from collections.abc import Sequence

from copilot.simulator.world import World
from tools.types import (
    Alert,
    Change,
    LogLine,
    Series,
    Span,
    Timestamp,
    Topology,
    Window,
)

_HISTORY_S = 3600.0


class SimulatedSource:
    """Telemetry of a world up to the world's own now; its baseline is the day before."""

    def __init__(self, world: World, history_s: float = _HISTORY_S) -> None:
        self._world = world
        self._history_s = history_s
        self._yesterday: World | None = None

    def now(self) -> Timestamp:
        """The world's time."""
        return self._world.now

    def sleep(self, seconds: float) -> None:
        """Let the world run on for this long."""
        self._world.advance(self._world.now + max(0.0, seconds))

    def series(self, window: Window) -> Sequence[Series]:
        """All series of the window, as far as the world has come."""
        return self._world.series(window)

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        """The same hour of the day before, in which nothing was wrong."""
        history = self._history()
        return history.series(Window(start=history.first, end=min(before, history.now)))

    def lines(self, window: Window) -> Sequence[LogLine]:
        """Log lines of the window."""
        return self._world.logs(window)

    def baseline_lines(self, before: Timestamp) -> Sequence[LogLine]:
        """Log lines of the same hour of the day before."""
        history = self._history()
        return history.logs(Window(start=history.first, end=min(before, history.now)))

    def spans(self, window: Window) -> Sequence[Span]:
        """Spans of the sampled traces."""
        return self._world.spans(window)

    def topology(self) -> Topology:
        """The declared service map."""
        return self._world.topology()

    def changes(self, window: Window) -> Sequence[Change]:
        """Deploys, flags, configuration and scaling inside the window."""
        return self._world.changes(window)

    def alerts(self, window: Window) -> Sequence[Alert]:
        """Alerts that began inside the window, as they stand now."""
        return self._world.alerts(window)

    def _history(self) -> World:
        if self._yesterday is None:
            self._yesterday = World(self._world.scenario.history(self._history_s))
            self._yesterday.advance(self._yesterday.first + self._history_s)
        return self._yesterday
