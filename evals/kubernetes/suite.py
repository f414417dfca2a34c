"""Recorded Kubernetes faults (Cloud-OpsBench): name taxonomy, object and root cause."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from pydantic import JsonValue
from rich.progress import Progress

import copilot
from copilot.ports import SourceError
from evals.kubernetes.cache import ToolCache
from evals.kubernetes.cases import (
    Label,
    OpsBenchCase,
    OpsBenchScore,
    answer,
    cases,
    label,
    means,
    score,
)
from evals.localization.calibration import (
    AnswerClaim,
    calibration_keys,
    calibration_table,
    claims,
)
from evals.report import Options, Result, Table, number
from tools.cluster_inspector import ClusterDiagnosis, diagnose, survey
from tools.evidence import number as numbered
from tools.topology_walker import rank
from tools.types import ClusterState, Evidence, Topology, Window

_NOTE = (
    "The authors' prompt names two causes otherwise than their answers (db_readonly_mode, "
    "gateway_misrouted): that costs every published agent up to 14 % on Train-Ticket."
)
_PUBLISHED = (
    ("DeepSeek-V3.2", "0.73 / 0.79", "0.54 / 0.58", "86"),
    ("GPT-5", "0.67 / 0.75", "0.57 / 0.59", "72"),
    ("Claude-4-Sonnet", "0.54 / 0.59", "0.58 / 0.60", "42–59"),
    ("Qwen3-235B", "0.54 / 0.70", "0.25 / 0.30", "32–46"),
    ("Qwen3-14B", "0.34 / 0.43", "0.25 / 0.29", "46–103"),
    ("Qwen3-8B", "0.21 / 0.23", "0.26 / 0.29", "31–56"),
)


@dataclass(frozen=True)
class OpsBenchRow:
    """One case: the answer, what was said, and what it cost."""

    case: str
    system: str
    truth: Label
    said: tuple[Label, ...]
    diagnosis: ClusterDiagnosis
    score: OpsBenchScore
    calls: tuple[str, ...]
    seconds: float


def run(options: Options, progress: Progress) -> Result:
    """Diagnose every case of the archive or folder under --data from its recorded calls."""
    if options.data is None:
        raise SystemExit("cloud-opsbench needs --data ARCHIVE or the folder it unpacks to")
    started = time.perf_counter()
    task = progress.add_task("cloud-opsbench", total=options.limit)
    scored: list[OpsBenchRow] = []
    try:
        for case in cases(options.data):
            if options.limit is not None and len(scored) >= options.limit:
                break
            scored.append(solve(case))
            progress.advance(task)
    except SourceError as error:
        raise SystemExit(str(error)) from error
    return Result(
        suite="cloud-opsbench",
        arm="rules",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=tuple(_row(one) for one in scored),
        summary=_summary(scored),
        tables=(
            _against_peers(scored),
            _by("taxonomy", scored),
            _by("cause", scored),
            calibration_table({system: _said(scored, system) for system in _systems(scored)}),
        ),
        notes={"peers": _NOTE},
    )


def solve(case: OpsBenchCase) -> OpsBenchRow:
    started = time.perf_counter()
    cache = ToolCache(case)
    state = survey(cache.look, ClusterState(namespace=case.namespace))
    found = diagnose(state)
    seconds = time.perf_counter() - started
    said = tuple(Label(*label(one)) for one in found.predictions)
    truth = answer(case.answer)
    return OpsBenchRow(
        case=case.id, system=case.system, truth=truth, said=said, diagnosis=found,
        score=score(said, truth), calls=tuple(cache.made), seconds=seconds,
    )  # fmt: skip


def _row(one: OpsBenchRow) -> dict[str, JsonValue]:
    predictions: list[JsonValue] = [
        {
            "taxonomy": said.taxonomy,
            "object": said.object,
            "cause": said.cause,
            "rule": found.rule.id,
            "score": found.score,
            "seen_on": f"{found.kind}/{found.name}",
            "field": found.field,
            "observed": found.observed,
            "expected": found.expected,
            "evidence": found.evidence,
        }
        for said, found in zip(one.said, one.diagnosis.predictions, strict=True)
    ]
    return {
        "id": one.case,
        "system": one.system,
        "truth": list(one.truth),
        "predictions": predictions,
        "reason": one.diagnosis.reason,
        **one.score.model_dump(),
        "calls": list(one.calls),
        "seconds": round(one.seconds, 4),
    }


def _summary(scored: list[OpsBenchRow]) -> dict[str, float]:
    summary: dict[str, float] = {}
    for system in ("all", *_systems(scored)):
        taken = [one.score for one in scored if system in ("all", one.system)]
        summary |= {f"{system}.{name}": value for name, value in means(taken).items()}
    summary |= calibration_keys(*_said(scored, "all"))
    if scored:
        seconds = [one.seconds for one in scored]
        summary["calls.mean"] = fmean(len(one.calls) for one in scored)
        summary["seconds.p50"] = float(np.percentile(seconds, 50))
        summary["seconds.p95"] = float(np.percentile(seconds, 95))
    return summary


def _systems(scored: list[OpsBenchRow]) -> list[str]:
    return sorted({one.system for one in scored})


def evidence_of(diagnosis: ClusterDiagnosis) -> tuple[Evidence, ...]:
    """The findings as the evidence that the ranking would read."""
    moment = Window(start=0.0, end=0.0)
    return numbered(one.as_finding(moment) for one in diagnosis.predictions)


def names_of(truth: Label) -> tuple[str, ...]:
    """The component of the answer as the ranking would name it."""
    scope, _, name = truth.object.partition("/")
    return (f"node:{name}",) if scope == "node" else (name,)


def _said(scored: list[OpsBenchRow], system: str) -> tuple[list[AnswerClaim], int]:
    """How sure the ranking is of the object, and of how many cases."""
    taken = [one for one in scored if system in ("all", one.system)]
    answers = []
    for one in taken:
        ranking = rank(evidence_of(one.diagnosis), Topology())
        right = any(c.component in names_of(one.truth) for c in ranking.candidates[:1])
        answers.append((ranking, float(right)))
    return claims(answers), len(taken)


def _against_peers(scored: list[OpsBenchRow]) -> Table:
    def pair(system: str) -> str:
        figures = means(one.score for one in scored if one.system == system)
        return f"{number(figures.get('a1'))} / {number(figures.get('a3'))}"

    seconds = np.percentile([one.seconds for one in scored], 95) if scored else float("nan")
    ours = ("cluster inspector (measured)", pair("boutique"), pair("trainticket"),
            f"{number(float(seconds))} p95")  # fmt: skip
    peers = tuple((f"{name} (published, all cases)", *rest) for name, *rest in _PUBLISHED)
    return Table(
        title=f"Cloud-OpsBench, {len(scored)} cases. {_NOTE}",
        columns=("", "Boutique A@1 / A@3", "Train-Ticket A@1 / A@3", "seconds per case"),
        rows=(ours, *peers),
    )


def _by(part: str, scored: list[OpsBenchRow]) -> Table:
    groups: dict[str, list[OpsBenchRow]] = defaultdict(list)
    for one in scored:
        groups[str(getattr(one.truth, part))].append(one)
    return Table(
        title=f"by {part}",
        columns=(part, "cases", "A@1", "A@3", "object+cause", "object", "calls"),
        rows=tuple((name, *_figures(groups[name])) for name in sorted(groups)),
    )


def _figures(group: list[OpsBenchRow]) -> tuple[str, ...]:
    def share(figure: Callable[[OpsBenchRow], float]) -> str:
        return number(fmean(figure(one) for one in group))

    return (
        str(len(group)),
        share(lambda one: one.score.a1),
        share(lambda one: one.score.a3),
        share(lambda one: one.score.object_cause1),
        share(lambda one: one.score.object1),
        share(lambda one: len(one.calls)),
    )
