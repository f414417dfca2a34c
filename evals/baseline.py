"""Compare a result with a stored one: what got worse, beyond noise."""

from typing import Any

from evals.report import Result

LOWER_IS_BETTER = ("seconds", "delay", "false_alarms", "merged", "clusters", "wrong", "surfaced")
"""Parts of a key's name that say a smaller figure is the better one."""

NOISE = 0.01
"""Absolute slack for scores in [0, 1]; costs in seconds get a factor of two."""


def worse_than(baseline: dict[str, Any], result: Result) -> list[str]:
    """One line per figure of `baseline` that `result` misses, or holds worse."""
    lines = []
    for key, before in baseline.get("summary", {}).items():
        after = result.summary.get(key)
        if after is None:
            lines.append(f"{key}: was {before}, is missing")
        elif any(part in key for part in LOWER_IS_BETTER):
            if after > before * (2.0 if "seconds" in key else 1.05) + NOISE:
                lines.append(f"{key}: was {before:.3f}, is {after:.3f}")
        elif after < before - NOISE * max(1.0, abs(before) / 10):
            lines.append(f"{key}: was {before:.3f}, is {after:.3f}")
    return lines
