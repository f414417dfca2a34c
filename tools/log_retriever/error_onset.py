"""When did the errors begin? Searched in the log before an alert, where no metric says.

An alert of a rule comes after its errors by what the rule waits (`for:`), so that the alert's own
time puts the first errors of the fault among what is normal.
"""

from collections.abc import Sequence

import numpy as np

from tools.log_retriever.causes import signature_of
from tools.log_retriever.fields import level_name
from tools.log_retriever.miner import Miner
from tools.log_retriever.significance import rate_change
from tools.types import LogLine, Timestamp

EARLIEST_S = 1200.0
"""How long before its alert a fault is taken to have begun at most.

Source: `FARTHEST_S` of `tools/detector/onset.py`.
"""

_LEAST = 3
"""Fewer error lines than this are no sustained rise."""

_TIMES = 2.0
_CHANCE = 1e-3
"""A rise is at least twice the usual rate, and less likely than this to come by chance.

Source: `min_ratio` of `NoveltyConfig`; one alert of a thousand without a rise.
"""

_TEMPLATES = 1000
"""Templates without a level that are read for a cause: under a second of work."""

_ALARMING = frozenset(("ERROR", "FATAL"))
_CALM = frozenset(("TRACE", "DEBUG", "INFO", "NOTICE"))


def error_onset(lines: Sequence[LogLine], alerted_at: Timestamp) -> Timestamp | None:
    """The moment (Unix s) since when error lines come more often, up to the alert.

    Counted are lines at ERROR or above and those that name a cause. Each such line of the 1,200 s
    before the alert is tried as the moment at which the rate of a Poisson process changed; the one
    of the largest likelihood ratio is taken, where the rate at least doubles and the p-value, times
    the moments tried, is below 0.001. None where there is no such rise.

    Source: a single change point by maximum likelihood, Chen and Gupta, Parametric Statistical
    Change Point Analysis, 2nd ed. 2012, ch. 4 (Poisson); Bonferroni's bound for the moments tried.
    """
    before = [line for line in lines if line.at <= alerted_at]
    if not before:
        return None
    times = np.sort([line.at for line in _errors(before)])
    start = min(line.at for line in before)
    tried = times[(times >= alerted_at - EARLIEST_S) & (times > start)]
    best, found = 0.0, None
    for at in np.unique(tried):
        later = int(times.size - np.searchsorted(times, at))
        earlier = int(times.size - later)
        # The line that begins it is counted, so the time since the one before belongs to it.
        change = rate_change(earlier, later, at - start, max(alerted_at - at, 1.0), 1.0)
        rate_before, rate_after = earlier / (at - start), later / max(alerted_at - at, 1.0)
        enough = later >= _LEAST and rate_after >= _TIMES * rate_before
        if enough and change.p_value * tried.size < _CHANCE and change.statistic > best:
            best, found = change.statistic, float(at)
    return found


def _errors(lines: Sequence[LogLine]) -> list[LogLine]:
    """Lines of error level, and lines without a calm one whose template names a cause."""
    miner = Miner()
    known: dict[str, bool] = {}
    found = []
    for line in lines:
        level = level_name(line.level)
        # Only what its source did not say is read in the line itself: reading is what takes time.
        parsed = miner.add(line.message) if level not in _ALARMING | _CALM else None
        level = level or (parsed.level if parsed else "")
        if parsed and level not in _ALARMING and level not in _CALM:
            telling = known.get(parsed.template_id)
            if telling is None and len(known) < _TEMPLATES:
                telling = known[parsed.template_id] = signature_of(line.message) is not None
            level = "ERROR" if telling else level
        if level in _ALARMING:
            found.append(line)
    return found
