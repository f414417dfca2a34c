"""Root-cause localization on recorded incidents: AC@k per system, beside the peers."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from pydantic import JsonValue
from rich.progress import Progress

import copilot
from copilot.adapters.recorded import RecordedBundle
from evals.localization.cases import Case, read
from evals.localization.look import Located, locate_bundle
from evals.localization.perturb import anonymous, perturb
from evals.report import Options, Result, Table, number
from evals.scoring.fault_kinds import accepted
from evals.scoring.ranking import Place, RankingScore, place, score
from tools.types import Ranking, Telemetry


@dataclass(frozen=True, slots=True)
class Scored:
    """One case: the answer, what was said, where the answer stood."""

    case: Case
    located: Located
    place: Place
    kind_right: bool | None


def run(options: Options, progress: Progress) -> Result:
    """Locate the cause of every bundle under --data and score it."""
    if options.data is None:
        raise SystemExit("incidents needs --data DIR with incidents/, history/ and truth/")
    return score_set(options, read(options.data, options.limit), progress, "incidents")


def score_set(options: Options, cases: Sequence[Case], progress: Progress, suite: str) -> Result:
    """Run and score these cases; shared by `incidents` and `demo`."""
    started = time.perf_counter()
    task = progress.add_task(suite, total=len(cases))
    scored = []
    for case in cases:
        scored.append(_score_case(case, options))
        progress.advance(task)
    summary = _summary(scored)
    return Result(
        suite=suite,
        arm=options.arm,
        version=copilot.__version__,
        data=str(options.data or "shipped"),
        seconds=time.perf_counter() - started,
        cases=tuple(_row(one) for one in scored),
        summary=summary,
        tables=(_table(scored, options.split_by),),
        notes={
            "onset": options.onset,
            "split_by": options.split_by,
            "perturb": options.perturb,
        },
    )


def _score_case(case: Case, options: Options) -> Scored:
    bundle = RecordedBundle(case.folder)
    arm: Literal["rules", "ml"] = "ml" if options.arm == "ml" else "rules"

    def worse(seen: Telemetry) -> Telemetry:
        at = case.answer.alert_ts or case.answer.inject_ts or bundle.window.start
        return perturb(seen, options.perturb, at, options.seed)

    located = locate_bundle(bundle, case.answer, arm, options.onset, worse)
    renamed = options.perturb == "renamed"
    cause = anonymous(case.answer.root_cause) if renamed else case.answer.root_cause
    names = [(one.component, one.score) for one in located.ranking.candidates]
    return Scored(case, located, place(names, cause), _kind_right(case, located, cause))


def _kind_right(case: Case, located: Located, cause: str) -> bool | None:
    released = bool(located.telemetry.changes)
    kinds = accepted(case.answer.fault_type, released=released)
    first = next(iter(located.ranking.candidates), None)
    if not kinds or first is None or first.component != cause:
        return None
    return first.fault_kind in kinds


def _summary(scored: Sequence[Scored]) -> dict[str, float]:
    found: dict[str, float] = {}
    scores = {
        name: score([one.place for one in group]) for name, group in _by(scored, "system").items()
    }
    for name, figures in scores.items():
        found |= {f"{name}.{key}": getattr(figures, key) for key in _KEYS}
    found |= {f"mean.{key}": fmean(getattr(f, key) for f in scores.values()) for key in _KEYS}
    kinds = [one.kind_right for one in scored if one.kind_right is not None]
    unsure = [one for one in scored if one.located.ranking.abstained]
    seconds = [one.located.seconds for one in scored]
    found["abstained"] = len(unsure) / len(scored)
    if kinds:
        found["kind_accuracy"] = fmean(kinds)
    if unsure:
        found["abstained_right"] = fmean(1.0 - one.place.within(1) for one in unsure)
    found["brief_seconds.p50"] = float(np.percentile(seconds, 50))
    found["brief_seconds.p95"] = float(np.percentile(seconds, 95))
    return found


_KEYS = ("ac1", "ac3", "ac5", "avg5", "mrr")


def _by(scored: Sequence[Scored], split: str) -> dict[str, list[Scored]]:
    groups: dict[str, list[Scored]] = defaultdict(list)
    for one in scored:
        answer = one.case.answer
        name = answer.system if split == "system" else f"{answer.system} {answer.fault_type}"
        groups[name].append(one)
    return dict(sorted(groups.items()))


def _table(scored: Sequence[Scored], split: str) -> Table:
    rows = [
        _cells(name, score([one.place for one in group]))
        for name, group in _by(scored, split).items()
    ]
    return Table(
        title=f"Root cause by {split}",
        columns=(split, "cases", "AC@1", "AC@3", "AC@5", "Avg@5", "MRR"),
        rows=tuple(rows),
    )


def _cells(name: str, figures: RankingScore) -> tuple[str, ...]:
    return (name, str(figures.cases), *(number(getattr(figures, key)) for key in _KEYS))


def _row(one: Scored) -> dict[str, JsonValue]:
    ranking: Ranking = one.located.ranking
    return {
        "id": one.case.answer.id,
        "system": one.case.answer.system,
        "fault_type": one.case.answer.fault_type,
        "root_cause": one.case.answer.root_cause,
        "ac1": one.place.within(1),
        "better": one.place.better,
        "tied": one.place.tied,
        "kind_right": one.kind_right,
        "abstained": ranking.abstained,
        "reason": ranking.reason,
        "onset": one.located.onset,
        "seconds": one.located.seconds,
        "candidates": [
            {
                "component": c.component,
                "score": c.score,
                "probability": c.probability,
                "fault_kind": c.fault_kind,
                "terms": [
                    {"name": t.name, "weight": t.weight, "evidence": list(t.evidence)}
                    for t in c.terms
                ],
            }
            for c in ranking.candidates[:5]
        ],
    }
