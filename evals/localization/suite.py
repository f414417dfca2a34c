"""Root-cause localization on recorded incidents: AC@k per system, beside the peers."""

import time
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from pydantic import Field
from rich.progress import Progress

import copilot
from copilot.sources.recorded import RecordedBundle
from evals.detection.replay import Detection, by_watch, of_cases, of_timelines, with_history
from evals.localization.calibration import QuietCount, quiet_keys, quiet_table
from evals.localization.cases import (
    RECORDINGS,
    BundleCase,
    CaseSetError,
    Perturbation,
    anonymous,
    perturb,
    read,
)
from evals.localization.fitting import cross_validated
from evals.localization.look import LocalizationResult, locate_bundle
from evals.localization.peers import PEERS, PeerMethod, label_prior
from evals.localization.score import AnswerRank, accepted, place, score
from evals.localization.tables import (
    CaseScore,
    by,
    detection_table,
    overall_table,
    own_table,
    peer_table,
    robustness_table,
    row,
    said_table,
    summary,
)
from evals.page import pictures
from evals.report import Options, Result
from tools.types import Telemetry


class LocalizationOptions(Options):
    """Of a suite that locates a cause: from which onset, and how its table is split."""

    onset: Literal["oracle", "detected"] = Field(
        default="oracle", description="Hand the onset over, or detect it."
    )
    split_by: Literal["system", "fault"] = Field(default="system", description="Rows of the table.")


class IncidentOptions(LocalizationOptions):
    """What `incidents` and `demo` take."""

    perturb: Perturbation = Field(
        default="none",
        description="Make the recorded telemetry worse first; all: one table of every way.",
    )
    cv: bool = Field(
        default=False,
        description="Leave one system, series or machine out: what judges it never saw it.",
    )


SHIPPED = "shipped, after half an hour of another day"
"""The recordings as the watch sees them: its false alarms say more of that seam than of a quiet
hour (docs/decisions/watch.md)."""


def demo(options: IncidentOptions, progress: Progress) -> Result:
    """Locate the cause of every recording that ships; needs no data."""
    cases = read(RECORDINGS, options.limit)
    return score_set(options, cases, progress, "demo", {SHIPPED: with_history(cases, by_watch())})


def run(options: IncidentOptions, progress: Progress) -> Result:
    """Locate the cause of every bundle under --data and score it."""
    if options.data is None:
        raise SystemExit("incidents needs --data DIR with incidents/, history/ and truth/")
    try:
        cases = read(options.data, options.limit)
    except CaseSetError as error:
        raise SystemExit(str(error)) from error
    if options.perturb == "all":
        return _every_perturbation(options, cases, progress)
    detected = {
        "timelines": of_timelines(options.data, by_watch()),
        "incidents without history": of_cases(cases, by_watch()),
    }
    if not detected["timelines"].incidents:
        # A replayed day says more of a watch than incidents behind a calm of another hour.
        detected["incidents after their history"] = with_history(cases, by_watch())
    return score_set(options, cases, progress, "incidents", detected)


def score_set(
    options: IncidentOptions,
    cases: Sequence[BundleCase],
    progress: Progress,
    suite: str,
    detected: Mapping[str, Detection],
) -> Result:
    """Run and score these cases; shared by `incidents` and `demo`."""
    started = time.perf_counter()
    task = progress.add_task(suite, total=len(cases))
    scored = []
    for case in cases:
        scored.append(_score_case(case, cases, options))
        progress.advance(task)
    counts: dict[str, QuietCount] = {}
    if options.cv:
        arm: Literal["rules", "ml"] = "ml" if options.arm == "ml" else "rules"
        scored, counts = cross_validated(scored, options.data or RECORDINGS, arm, progress)
    # A replayed day has the history a running copilot would have; else the bundles have to do.
    best = next((one for one in detected.values() if one.incidents), Detection())
    tables = [
        own_table(scored, options.split_by),
        peer_table(scored),
        said_table(scored),
        overall_table(scored),
    ]
    if counts:
        tables.append(quiet_table(counts))
    if best.incidents:
        tables.append(detection_table(detected))
    result = Result(
        suite=suite,
        arm=options.arm,
        version=copilot.__version__,
        data=str(options.data or "shipped"),
        seconds=time.perf_counter() - started,
        cases=tuple(row(one, best.by_incident.get(one.case.answer.id)) for one in scored),
        summary=summary(scored, best),
        more=quiet_keys(counts) if counts else {},
        tables=tuple(tables),
        notes={
            "onset": options.onset,
            "split_by": options.split_by,
            "perturb": options.perturb,
            "cv": options.cv,
            "detection": {name: one.model_dump() for name, one in detected.items()},
        },
    )
    if options.plot is not None:
        pictures.save(result, options.plot)
        pictures.save_reliability(result, options.plot)
    return result


def _every_perturbation(
    options: IncidentOptions, cases: Sequence[BundleCase], progress: Progress
) -> Result:
    """The summary is that of the incidents as recorded; `more` holds the others' mean AC@1."""
    started = time.perf_counter()
    kinds: list[Perturbation] = [kind for kind in get_args(Perturbation) if kind != "all"]
    task = progress.add_task("incidents, perturbed", total=len(cases) * len(kinds))
    found: dict[str, dict[str, float]] = {}
    recorded: list[CaseScore] = []
    for kind in kinds:
        asked = options.model_copy(update={"perturb": kind})
        scored = []
        for case in cases:
            scored.append(_score_case(case, cases, asked, peers={}))
            progress.advance(task)
        recorded = recorded or scored
        found[kind] = {
            system: score([one.place for one in group]).ac1
            for system, group in by(scored, "system").items()
        }
    return Result(
        suite="incidents",
        arm=options.arm,
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=tuple(map(row, recorded)),
        summary=summary(recorded, Detection()),
        more={
            f"{kind}.{system}.ac1": ac1
            for kind, means in found.items()
            for system, ac1 in means.items()
        },
        tables=(robustness_table(found, len(cases)),),
        notes={"onset": options.onset, "perturb": "all"},
    )


def _score_case(
    case: BundleCase,
    cases: Sequence[BundleCase],
    options: IncidentOptions,
    peers: Mapping[str, PeerMethod] = PEERS,
) -> CaseScore:
    bundle = RecordedBundle(case.folder)
    arm: Literal["rules", "ml"] = "ml" if options.arm == "ml" else "rules"

    def worse(seen: Telemetry) -> Telemetry:
        at = case.answer.alert_ts or case.answer.inject_ts or bundle.window.start
        return perturb(seen, options.perturb, at, options.seed)

    located = locate_bundle(bundle, case.answer, arm, options.onset, worse)
    renamed = options.perturb == "renamed"
    right = tuple(map(anonymous, case.answer.right)) if renamed else case.answer.right
    names = [(one.component, one.score) for one in located.ranking.candidates]
    return CaseScore(
        case,
        located,
        place(names, *right),
        kind_right(case, located, right),
        _peers(case, cases, located, right, peers),
    )


def _peers(
    case: BundleCase,
    cases: Sequence[BundleCase],
    located: LocalizationResult,
    right: Sequence[str],
    peers: Mapping[str, PeerMethod],
) -> dict[str, AnswerRank]:
    found = {
        name: place([*peer(located.telemetry, located.onset).items()], *right)
        for name, peer in peers.items()
    }
    names = [one.component for one in located.ranking.candidates]
    prior = label_prior(cases, case, names)
    found["label prior"] = place([*prior.items()], *case.answer.right)
    return found


def kind_right(case: BundleCase, located: LocalizationResult, right: Sequence[str]) -> bool | None:
    """Whether the kind of fault is right, where the component is; None where that says nothing."""
    released = bool(located.telemetry.changes)
    kinds = accepted(case.answer.fault_type, released=released)
    first = next(iter(located.ranking.candidates), None)
    if not kinds or first is None or first.component not in right:
        return None
    return first.fault_kind in (*kinds, *case.answer.also_right_kinds)
