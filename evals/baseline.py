"""Compare a result with a stored one: what got worse, beyond noise."""

import json
from collections.abc import Mapping
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

from evals.report import Result

LOWER_IS_BETTER = (
    *("seconds", "delay", "false_alarms", "merged", "clusters", "wrong", "surfaced", "minutes"),
    *("tokens", "repairs", "fallbacks", "repeated_calls", "calls.mean", "injected", "fooled"),
    *("ece", "brier"),
)
"""Parts of a key's name that say a smaller figure is the better one."""

NEITHER = ("abstained", "attacks", "injections")
"""Last parts of keys that are no score: more of it is neither better nor worse."""

NOISE = 0.01
"""Absolute slack for scores in [0, 1]; costs in seconds get a factor of two and half a second."""

SECONDS = 0.5


class BaselineError(Exception):
    """The stored baseline cannot be read."""


def read(path: Path) -> dict[str, Any]:
    """A stored result, as `--json` writes it."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BaselineError(f"--baseline {str(path)!r} cannot be read: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("summary"), dict):
        raise BaselineError(
            f"--baseline {str(path)!r} is no result: it needs a 'summary' of figures, as --json "
            "writes it"
        )
    return found


def worse_than(baseline: Mapping[str, Any], result: Result) -> list[str]:
    """One line per figure of `baseline` that `result` misses, or holds worse.

    The very same cases without a model are no other draw: then a single case lost is worse.
    """
    same = _names(baseline.get("cases")) == _names([*result.cases]) != []
    drawn = 0 if same and result.arm != "llm" else len(result.cases)
    return worse_figures(baseline["summary"], result.summary, drawn)


def worse_figures(
    before: Mapping[str, Any], after: Mapping[str, float], cases: int = 0
) -> list[str]:
    """One line per figure that is missing or worse by more than noise.

    With `cases` a share may also waver by twice its standard error, as another draw of as many
    cases would.
    """
    lines = []
    for key, was in before.items():
        if not _number(was):
            continue
        now = after.get(key)
        if now is None or not isfinite(now):
            lines.append(f"{key}: was {was:.3f}, is missing")
        elif is_worse(key, float(was), now, cases):
            lines.append(f"{key}: was {was:.3f}, is {now:.3f}")
    return lines


def is_worse(key: str, before: float, after: float, cases: int = 0) -> bool:
    """Whether the figure of this name is worse by more than noise."""
    if key.rpartition(".")[2] in NEITHER:
        return False
    if any(part in key for part in LOWER_IS_BETTER):
        slack = before + SECONDS if "seconds" in key else 0.05 * abs(before)
        return after > before + slack + NOISE
    return after < before - _slack(before, cases)


def _names(cases: object) -> list[str]:
    found = cases if isinstance(cases, list) else []
    return sorted(str(one["id"]) for one in found if isinstance(one, dict) and "id" in one)


def _slack(before: float, cases: int) -> float:
    own = NOISE * max(1.0, abs(before) / 10)
    if cases == 0 or not 0.0 <= before <= 1.0:
        return own
    share = (before * cases + 1.0) / (cases + 2.0)
    return max(own, 2.0 * sqrt(share * (1.0 - share) / cases))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
