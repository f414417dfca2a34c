"""Scores of a run as summary keys and as tables beside the peers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from statistics import fmean, median

import numpy as np
from pydantic import JsonValue

from evals.detection.replay import Detection
from evals.localization.calibration import calibration_keys, calibration_table, claims
from evals.localization.cases import BundleCase
from evals.localization.look import LocalizationResult
from evals.localization.score import AnswerRank, RankingScore, score
from evals.report import Table, number

# AC@1, AC@3 (None: not reported).
PUBLISHED: dict[str, tuple[tuple[str, float, float | None], ...]] = {
    "ob": (("Nezha, published", 0.93, 0.96),),
    "tt": (("Nezha, rerun", 0.87, 0.98),),
    "oc": (("ChangeRCA, published", 0.88, 1.00),),
    "ps": (("ranked corr., rerun", 0.65, 0.83),),
}


KEYS = ("ac1", "ac3", "ac5", "avg5", "mrr")


@dataclass(frozen=True, slots=True)
class CaseScore:
    """One case: the answer, what was said, where the answer stood; the same for the peers."""

    case: BundleCase
    located: LocalizationResult
    place: AnswerRank
    kind_right: bool | None
    peers: Mapping[str, AnswerRank]


def by(scored: Sequence[CaseScore], split: str) -> dict[str, list[CaseScore]]:
    """Cases per system, or per system and fault type."""
    groups: dict[str, list[CaseScore]] = defaultdict(list)
    for one in scored:
        answer = one.case.answer
        name = answer.system if split == "system" else f"{answer.system} {answer.fault_type}"
        groups[name].append(one)
    return dict(sorted(groups.items()))


def summary(scored: Sequence[CaseScore], detection: Detection) -> dict[str, float]:
    """The keys of the published format."""
    found: dict[str, float] = {}
    scores = {
        name: score([one.place for one in group]) for name, group in by(scored, "system").items()
    }
    for name, figures in scores.items():
        found |= {f"{name}.{key}": getattr(figures, key) for key in KEYS}
    found |= {f"mean.{key}": fmean(getattr(f, key) for f in scores.values()) for key in KEYS}
    kinds = [one.kind_right for one in scored if one.kind_right is not None]
    unsure = [one for one in scored if one.located.ranking.abstained]
    seconds = [one.located.seconds for one in scored]
    found["abstained"] = len(unsure) / len(scored)
    found["kind_accuracy"] = fmean(kinds) if kinds else nan
    found["abstained_right"] = fmean(1.0 - one.place.within(1) for one in unsure) if unsure else nan
    found["detect_delay_s.p50"] = median(detection.delays) if detection.delays else nan
    found["false_alarms_per_quiet_hour"] = detection.false_per_hour
    said = claims([(one.located.ranking, one.place.within(1)) for one in scored])
    found |= calibration_keys(said, len(scored))
    found["brief_seconds.p50"] = float(np.percentile(seconds, 50))
    found["brief_seconds.p95"] = float(np.percentile(seconds, 95))
    return found


def own_table(scored: Sequence[CaseScore], split: str) -> Table:
    """Ours, per system or fault."""
    rows = []
    for name, group in by(scored, split).items():
        figures = score([one.place for one in group])
        kinds = [one.kind_right for one in group if one.kind_right is not None]
        cells = (number(getattr(figures, key)) for key in KEYS)
        unsure = sum(one.located.ranking.abstained for one in group)
        kind = number(fmean(kinds) if kinds else None)
        prior = score([one.peers["label prior"] for one in group]).ac1
        rows.append((name, str(figures.cases), *cells, kind, str(unsure), number(prior)))
    figures_named = ("AC@1", "AC@3", "AC@5", "Avg@5", "MRR", "kind", "abstained")
    columns = (split, "cases", *figures_named, "label prior AC@1")
    return Table(title=f"Root cause by {split}", columns=columns, rows=tuple(rows))


def overall_table(scored: Sequence[CaseScore]) -> Table:
    """How sure it was, and what it cost."""
    figures = summary(scored, Detection())
    unsure = [one for one in scored if one.located.ranking.abstained]
    decided = [one.place.within(1) for one in scored if not one.located.ranking.abstained]
    rows = (
        ("abstained", f"{len(unsure)} of {len(scored)}"),
        ("first candidate wrong where it abstained", number(figures["abstained_right"])),
        ("first candidate right where it decided", number(fmean(decided) if decided else None)),
        ("fault kind right where the component is", number(figures["kind_accuracy"])),
        ("seconds per case, p50", number(figures["brief_seconds.p50"])),
        ("seconds per case, p95", number(figures["brief_seconds.p95"])),
    )
    return Table(title="Over all cases", columns=("what", "figure"), rows=rows)


def said_table(scored: Sequence[CaseScore]) -> Table:
    """How sure it was, and how right, per system."""
    return calibration_table(
        {
            system: (
                claims([(one.located.ranking, one.place.within(1)) for one in group]),
                len(group),
            )
            for system, group in by(scored, "system").items()
        }
    )


def peer_table(scored: Sequence[CaseScore]) -> Table:
    """AC@1 / AC@3 / Avg@5 per system, ours first, then peers measured here, then published."""
    groups = by(scored, "system")
    names = ["ours", *dict.fromkeys(name for one in scored for name in one.peers)]
    rows = []
    for name in names:
        cells = []
        for group in groups.values():
            places = [one.place if name == "ours" else one.peers[name] for one in group]
            cells.append(_short(score(places)))
        rows.append((name if name == "ours" else f"{name}, measured", *cells))
    rows += _published(groups)
    return Table(
        title="AC@1 / AC@3 / Avg@5, same telemetry",
        columns=("method", *groups),
        rows=tuple(rows),
    )


def _short(figures: RankingScore) -> str:
    return f"{figures.ac1:.2f} / {figures.ac3:.2f} / {figures.avg5:.2f}"


def _published(groups: Mapping[str, Sequence[CaseScore]]) -> list[tuple[str, ...]]:
    methods: dict[str, dict[str, str]] = defaultdict(dict)
    for system in groups:
        for method, ac1, ac3 in PUBLISHED.get(system, ()):
            methods[method][system] = f"{ac1:.2f} / {number(ac3)} / –"
    return [
        (method, *(cells.get(system, "–") for system in groups))
        for method, cells in methods.items()
    ]


def detection_table(found: Mapping[str, Detection]) -> Table:
    """How soon and how falsely the detector raised an alarm in replayed metrics."""
    rows = [
        (
            name,
            str(one.incidents + one.unjudged),
            number(one.recall()) if one.incidents else _unjudged(one),
            number(median(one.delays) if one.delays else None, 0),
            number(one.quiet_hours),
            number(one.false_per_hour if one.quiet_hours else None),
        )
        for name, one in found.items()
        if one.incidents or one.quiet_hours or one.unjudged
    ]
    columns = (
        "replayed",
        "incidents",
        "recall in 5 min",
        "median delay s",
        "quiet hours",
        "false alarms / quiet hour",
    )
    return Table(title="Detection from metrics alone", columns=columns, rows=tuple(rows))


def _unjudged(one: Detection) -> str:
    return "not judged: too little past" if one.unjudged else number(None)


DRAWN = 4
"""Series worth a look in one incident's picture."""

SERIES = "metrics"
"""The source of findings about one series; their query is its name."""


def row(one: CaseScore, seen_s: float | None = None) -> dict[str, JsonValue]:
    """A case in the JSON: what was predicted, on what evidence, and where the answer stood.

    `paged_s` and `seen_s`: from the injection to the recorded page, and to the watch's own alarm.
    """
    ranking, answer = one.located.ranking, one.case.answer
    cited = {id_ for c in ranking.candidates[:3] for term in c.terms for id_ in term.evidence}
    return {
        "id": answer.id,
        "system": answer.system,
        "fault_type": answer.fault_type,
        "root_cause": answer.root_cause,
        "also_right": list(answer.also_right),
        "ac1": one.place.within(1),
        "better": one.place.better,
        "tied": one.place.tied,
        "kind_right": one.kind_right,
        "abstained": ranking.abstained,
        "certainty": ranking.certainty,
        "none_of_these": ranking.none_of_these,
        "reason": ranking.reason,
        "onset": one.located.onset,
        "injected": answer.inject_ts,
        "paged_s": _paged(one),
        "seen_s": seen_s,
        "seconds": one.located.seconds,
        "stage_seconds": dict(one.located.stages),
        "brief": dict(one.located.brief),
        "drawn": list(_drawn(one)),
        "evidence": {e.id: e.statement for e in one.located.evidence if e.id in cited},
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


def _paged(one: CaseScore) -> float | None:
    injected, paged = one.case.answer.inject_ts, one.located.paged_at
    if injected is None or not one.located.page_recorded or paged < injected:
        return None
    return paged - injected


def _drawn(one: CaseScore) -> tuple[str, ...]:
    """The series the leading candidates rest on, and the strongest of the true cause."""
    found = {evidence.id: evidence for evidence in one.located.evidence}
    cited = [
        found[id_]
        for candidate in one.located.ranking.candidates[:2]
        for term in candidate.terms
        for id_ in term.evidence
    ]
    cause = one.case.answer.root_cause
    own = [evidence for evidence in one.located.evidence if evidence.subject == cause]
    own.sort(key=lambda evidence: -evidence.strength)
    shown = [*cited[: DRAWN - 1], *own, *cited]
    names = (evidence.query for evidence in shown if evidence.source == SERIES)
    return tuple(dict.fromkeys(names))[:DRAWN]


Means = Mapping[str, float]
"""AC@1 per system."""


def robustness_table(found: Mapping[str, Means], cases: int) -> Table:
    """Mean AC@1 over the systems under each perturbation; `found` begins with `none`."""
    systems = tuple(next(iter(found.values())))
    whole = mean(found["none"])
    rows = []
    for kind, means in found.items():
        cells = (number(means[system]) for system in systems)
        loss = f"{100.0 * (1.0 - mean(means) / whole):.1f} %" if whole else "–"
        rows.append((kind, number(mean(means), 3), loss, *cells))
    return Table(
        title=f"AC@1 under perturbation, {cases} incidents",
        columns=("perturbation", "mean AC@1", "loss", *systems),
        rows=tuple(rows),
    )


def mean(means: Means) -> float:
    """Every system counts alike."""
    return fmean(means.values())
