"""What a run of everything changed against a stored one, suite by suite, on the same cases only."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import JsonValue

from evals.baseline import worse_figures
from evals.localization.paired import PairedComparison, compare
from evals.page.jobs import JobRun
from evals.page.outcomes import figure, outcomes
from evals.report import EvalArm, Result
from tools.types import FrozenModel

DifferenceVerdict = Literal["worse", "better", "same", "not compared"]


class Difference(FrozenModel):
    """One suite with one arm against the baseline; `reason` says why it was not compared."""

    suite: str
    arm: EvalArm
    verdict: DifferenceVerdict
    reason: str = ""
    figures: tuple[str, ...] = ()
    paired: PairedComparison | None = None


def name_of(suite: str, arm: str) -> str:
    """What a suite's figures are kept under."""
    return f"{suite}.{arm}"


def fingerprint(result: Result) -> str:
    """The same for the same cases, whatever was said of them and whichever peers ran along."""
    names = sorted(outcomes(result) or {str(row.get("id")) for row in result.cases})
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def stored(runs: Sequence[JobRun]) -> dict[str, JsonValue]:
    """What a later run needs of these ones, beside their scores, to be compared."""
    return {
        name_of(run.suite, run.arm): {
            "fingerprint": fingerprint(run.result),
            "cases": len(run.result.cases),
            "more": dict(run.result.more),
        }
        for run in runs
        if run.result is not None
    }


def differences(baseline: Mapping[str, Any], runs: Sequence[JobRun]) -> tuple[Difference, ...]:
    """Every suite that ran now, against the baseline's."""
    before = _mapping(_mapping(baseline.get("notes")).get("stored"))
    return tuple(_difference(baseline, before, run) for run in runs if run.result is not None)


def _difference(baseline: Mapping[str, Any], before: Mapping[str, Any], run: JobRun) -> Difference:
    result = run.result
    assert result is not None
    name = name_of(run.suite, run.arm)
    kept = _mapping(before.get(name))
    reason = _incomparable(kept, result)
    if reason:
        return Difference(suite=run.suite, arm=run.arm, verdict="not compared", reason=reason)
    now, was = outcomes(result), _scores(baseline, run)
    paired = compare(was, now) if was.keys() & now.keys() else None
    prefix = f"{name}."
    summary = {
        key.removeprefix(prefix): value
        for key, value in _mapping(baseline.get("summary")).items()
        if key.startswith(prefix)
    }
    worse = tuple(
        worse_figures(
            {**_mapping(kept.get("more")), **summary},
            {**result.more, **result.summary},
            len(now) or len(result.cases),
        )
    )
    verdict: DifferenceVerdict = "same"
    if worse or (paired is not None and paired.worse):
        verdict = "worse"
    elif paired is not None and paired.better:
        verdict = "better"
    return Difference(suite=run.suite, arm=run.arm, verdict=verdict, figures=worse, paired=paired)


def _incomparable(kept: Mapping[str, Any], result: Result) -> str:
    if not kept:
        return "the baseline did not run it"
    if kept.get("fingerprint") != fingerprint(result):
        return f"other cases: {kept.get('cases', '?')} then, {len(result.cases)} now"
    return ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _scores(baseline: Mapping[str, Any], run: JobRun) -> dict[str, float]:
    cases = baseline.get("cases")
    rows = [_mapping(row) for row in cases] if isinstance(cases, list) else []
    known = {
        str(row.get("id")): figure(row.get("score"))
        for row in rows
        if (row.get("suite"), row.get("arm")) == (run.suite, run.arm)
    }
    return {name: one for name, one in known.items() if one is not None}
