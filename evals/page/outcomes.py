"""How each case of a suite went, as one number in [0, 1], so that two runs can be paired."""

from collections.abc import Callable, Mapping
from math import isfinite

from pydantic import JsonValue

from evals.recovery.score import LIMIT_MIN
from evals.report import Result

CaseRow = Mapping[str, JsonValue]
OutcomeReader = Callable[[CaseRow, str], float | None]


def figure(value: JsonValue) -> float | None:
    """A finite number, or nothing."""
    if isinstance(value, bool):
        return float(value)
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def text(value: JsonValue) -> str:
    """A text, empty where there is none."""
    return value if isinstance(value, str) else ""


def _of(key: str) -> OutcomeReader:
    return lambda row, arm: figure(row.get(key))


def _recovered(row: CaseRow, arm: str) -> float | None:
    """A fault recovered in time; a healthy day left alone; a botched cure rolled back."""
    if row.get("arm") != arm:
        return None
    if row.get("sort") == "fault":
        minutes = figure(row.get("minutes_to_recover"))
        return float(minutes is not None and minutes <= LIMIT_MIN)
    if row.get("sort") == "mishandled":
        return float(bool(row.get("rolled_back")) or not row.get("executed"))
    return float(not row.get("executed"))


def _answered(row: CaseRow, arm: str) -> float | None:
    ranks, found = row.get("rank"), row.get("found")
    if not isinstance(ranks, dict) or not isinstance(found, dict):
        return None
    way = "fused" if "fused" in ranks else "lexical"
    return float(ranks.get(way) == 1 if row.get("documents") else not found.get(way))


def _own(key: str, mark: str = "") -> OutcomeReader:
    """Of a suite whose cases hold the peers, too."""

    def score(row: CaseRow, arm: str) -> float | None:
        ours = row.get("method") == f"ours, {arm}" and (not mark or row.get("source") == mark)
        return figure(row.get(key)) if ours else None

    return score


OUTCOMES: Mapping[str, OutcomeReader] = {
    "demo": _of("ac1"),
    "incidents": _of("ac1"),
    "reasoning": _of("ac1"),
    "cloud-opsbench": _of("a1"),
    "detection": _of("within_60_s"),
    "kpi": _of("f1_default"),
    "mts": _of("event_f1"),
    "alerts": _own("ari"),
    "logs": _own("ga", "content"),
    "recovery": _recovered,
    "knowledge": _answered,
}
"""The score of a case by suite; a suite that is missing here scores a whole, not cases."""


def outcomes(result: Result) -> dict[str, float]:
    """Each case's score by its name; a name that occurs again gets a number."""
    score = OUTCOMES.get(result.suite)
    found: dict[str, float] = {}
    for row in result.cases if score else ():
        value = score(row, result.arm) if score else None
        if value is not None:
            name = text(row.get("id")) or "?"
            again = sum(one == name or one.startswith(f"{name} #") for one in found)
            found[f"{name} #{again + 1}" if again else name] = value
    return found
