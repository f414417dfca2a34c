"""Metrics of two sources, as one source of them."""

from collections.abc import Callable, Sequence

from copilot.ports import MetricSource, Remote, SourceError
from tools.types import Series, Timestamp, Window


class Beside:
    """Series of both; of two with one name the first source's.

    The second may have nothing to say. Where the first does not answer its error is raised, or,
    if the second has series, named among the problems.
    """

    def __init__(self, first: MetricSource, second: MetricSource) -> None:
        self._first = first
        self._second = second
        self._silent: tuple[str, ...] = ()

    def series(self, window: Window) -> Sequence[Series]:
        """Series inside the window."""
        return self._union(lambda source: source.series(window))

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        """Normal operation, as far as each source knows it."""
        return self._union(lambda source: source.baseline(before))

    def describe(self) -> str:
        """What each of them says of itself."""
        both = (self._first, self._second)
        return "; ".join(one.describe() for one in both if isinstance(one, Remote))

    def problems(self) -> Sequence[str]:
        """What the first one's last answer lacked, or why there was none."""
        known = self._first.problems() if isinstance(self._first, Remote) else ()
        return self._silent or known

    def _union(self, ask: Callable[[MetricSource], Sequence[Series]]) -> Sequence[Series]:
        told = {one.name: one for one in self._more(ask)}
        try:
            first = ask(self._first)
        except SourceError as error:
            if not told:
                raise
            self._silent = (str(error),)
            return tuple(told.values())
        self._silent = ()
        return tuple((told | {one.name: one for one in first}).values())

    def _more(self, ask: Callable[[MetricSource], Sequence[Series]]) -> Sequence[Series]:
        try:
            return ask(self._second)
        except SourceError:
            return ()
