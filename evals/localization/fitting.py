"""Fit how sure a ranking is: a logistic model of its figures, judged on systems it never saw.

Maximises the log-likelihood of "the first component is right" over recorded incidents, worse copies
of them, and quiet stretches, in which none is; every system counts the same, less a ridge penalty:
Platt scaling (1999) with more than one figure, by Newton's method (iteratively reweighted least
squares; Hastie, Tibshirani and Friedman, 2009, section 4.4.1). Weights have two digits.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Literal, get_args

import numpy as np
from rich.progress import Progress

import copilot
from evals.kubernetes.cases import cases
from evals.kubernetes.suite import evidence_of, names_of, solve
from evals.localization.calibration import (
    AnswerClaim,
    QuietCount,
    calibration_keys,
    calibration_table,
    claims,
    quiet_keys,
    quiet_table,
)
from evals.localization.cases import RECORDINGS, BundleCase, read
from evals.localization.gathered import (
    GatheredCase,
    bundle_sets,
    gathered_bundles,
    gathered_logs,
)
from evals.localization.quiet import gathered_quiet
from evals.localization.tables import CaseScore
from evals.report import Options, Result, Table
from tools import topology_walker
from tools.topology_walker.calibration import (
    LEADING,
    CalibrationModel,
    Figure,
    RankedEvidence,
    figures,
)
from tools.topology_walker.certainty import NOTHING_KNOWN, bound_of, decide
from tools.topology_walker.ranking import ordered
from tools.types import FloatArray, Ranking, Topology

FIGURES: tuple[Figure, ...] = get_args(Figure)
SHIPPED = Path(topology_walker.__file__).parent / "calibration.json"
RankingArm = Literal["rules", "ml"]
HELD_OUT = RECORDINGS.parent / "held_out"

RIDGE = 1.0
"""Precision of the Gaussian prior around zero, in cases: a dozen of them outweigh it."""

ROUNDS = 50
"""Steps of Newton's method; it converges in fewer than ten."""


@dataclass(frozen=True, slots=True)
class CalibrationSample:
    """One ranking before it is called likely or not, and how right its first component is.

    `among`: a right component is among the leading candidates.
    """

    system: str
    id: str
    ranked: RankedEvidence
    right: float
    among: bool

    @property
    def counts(self) -> bool:
        """Whether the model decides about it: thin evidence has a bound of its own."""
        named = bool(self.ranked.candidates) and self.ranked.first.score > 0
        return named and bound_of(self.ranked) is None


def sample(one: GatheredCase, arm: RankingArm) -> CalibrationSample:
    """The ranking of one incident, beside its answer."""
    found = ordered(one.evidence, one.topology, arm)
    names = [candidate.component for candidate in found.candidates[:LEADING]]
    right = one.place(Ranking(candidates=tuple(found.candidates))).within(1)
    return CalibrationSample(
        one.system, one.id, found, right, among=any(name in one.components for name in names)
    )


def fit(samples: Sequence[CalibrationSample]) -> CalibrationModel:
    """The model that makes what came true most likely, each system counting the same."""
    data = [one for one in samples if one.counts]
    sizes = Counter(one.system for one in data)
    found = [figures(one.ranked) for one in data]
    x = np.array([[1.0, *(row[name] for name in FIGURES)] for row in found])
    y = np.array([one.right for one in data])
    share = np.array([len(data) / (sizes[one.system] * len(sizes)) for one in data])
    weights = newton(x, y, share)
    missed = [one for one in data if one.right < 1.0]
    return CalibrationModel(
        bias=two_digits(weights[0]),
        weights={name: two_digits(w) for name, w in zip(FIGURES, weights[1:], strict=True)},
        others=two_digits(fmean(one.among for one in missed) if missed else 0.5),
    )


def newton(x: FloatArray, y: FloatArray, share: FloatArray) -> FloatArray:
    """Weights of a logistic model, the first column its bias, which the ridge leaves alone."""
    weights = np.zeros(x.shape[1])
    ridge = RIDGE * np.eye(x.shape[1])
    ridge[0, 0] = 1e-6
    for _ in range(ROUNDS):
        chance = 1.0 / (1.0 + np.exp(-x @ weights))
        slope = x.T @ (share * (y - chance)) - ridge @ weights
        curve = (x * (share * chance * (1.0 - chance))[:, None]).T @ x + ridge
        weights = weights + np.linalg.solve(curve, slope)
    return weights


def two_digits(value: float) -> float:
    """The value with two significant digits.

    >>> two_digits(-1.2345)
    -1.2
    """
    return float(f"{value:.2g}")


def leave_one_out(
    samples: Sequence[CalibrationSample], judged: Sequence[CalibrationSample], arm: RankingArm
) -> dict[str, Ranking]:
    """The ranking of each judged incident by a model that never saw its system, by id."""
    found = {}
    for system in sorted({one.system for one in judged}):
        model = fit([one for one in samples if one.system != system])
        for one in judged:
            if one.system == system:
                found[one.id] = decide(one.ranked, NOTHING_KNOWN, arm, model)
    return found


def own_recordings() -> tuple[BundleCase, ...]:
    """The project's recordings of its lab: those that ship, and those kept aside."""
    return (*read(RECORDINGS), *read(HELD_OUT))


def cross_validated(
    scored: Sequence[CaseScore], data: Path, arm: RankingArm, progress: Progress
) -> tuple[list[CaseScore], dict[str, QuietCount]]:
    """The same answers, as sure as a model is that never saw their system, and what such a model
    says of the quiet stretches of each system.

    It is fitted on the other systems, on worse copies of their incidents, on their quiet stretches
    and on the project's own recordings. Raises `SystemExit` where there is but one system.
    """
    judged = [sample(_as_gathered(one), arm) for one in scored]
    if len({one.system for one in judged}) < 2:
        raise SystemExit("--cv leaves one system out: it needs incidents of two systems or more")
    cases, own = [one.case for one in scored], own_recordings()
    others = [
        *gathered_bundles(cases, progress, worse=True),
        *gathered_bundles(own, progress),
        *gathered_bundles(own, progress, worse=True),
    ]
    quiet = [sample(one, arm) for one in _quiet((data, RECORDINGS, HELD_OUT), progress)]
    samples = [*judged, *quiet, *(sample(one, arm) for one in others)]
    rankings = leave_one_out(samples, [*judged, *quiet], arm)
    sure = [_as_sure(one, rankings[one.case.answer.id]) for one in scored]
    return sure, quiet_counts(quiet, rankings)


def _quiet(folders: Sequence[Path], progress: Progress) -> Iterator[GatheredCase]:
    for folder in folders:
        yield from gathered_quiet(folder, progress)


def quiet_counts(
    quiet: Sequence[CalibrationSample], rankings: Mapping[str, Ranking]
) -> dict[str, QuietCount]:
    """Count the quiet stretches of each system, by the rankings of their ids."""
    systems = sorted({one.system for one in quiet})
    return {
        name: QuietCount.of([rankings[one.id] for one in quiet if one.system == name])
        for name in systems
    }


def _as_gathered(one: CaseScore) -> GatheredCase:
    located, answer = one.located, one.case.answer
    evidence = tuple(item for item in located.evidence if item.kind != "note")
    return GatheredCase(
        answer.system,
        answer.id,
        evidence,
        located.telemetry.topology,
        located.onset,
        answer.right,
        frozenset(),
    )


def _as_sure(one: CaseScore, judged: Ranking) -> CaseScore:
    """The answer as it was, with another chance and certainty."""
    was = one.located.ranking
    candidates = tuple(
        old.model_copy(update={"probability": new.probability})
        for old, new in zip(was.candidates, judged.candidates, strict=True)
    )
    ranking = judged.model_copy(update={"candidates": candidates})
    return replace(one, located=replace(one.located, ranking=ranking))


def run(options: Options, progress: Progress) -> Result:
    """Judge held-out systems, fit on all, and write `tools/topology_walker/calibration.json`."""
    if options.data is None:
        raise SystemExit("train calibration needs --data DIR with incidents/, changes/ or others")
    started = time.perf_counter()
    looked, calm = list(_gathered(options, progress)), list(_calm(options, progress))
    tables: list[Table] = []
    summary: dict[str, float] = {}
    models: dict[RankingArm, CalibrationModel] = {}
    for arm in get_args(RankingArm):
        quiet = [sample(one, arm) for one in calm]
        samples = [*(sample(one, arm) for one in looked), *quiet]
        models[arm] = fit(samples).model_copy(update={"about": _about(samples)})
        judged = [one for one in samples if " " not in one.id]
        rankings = leave_one_out(samples, [*judged, *quiet], arm)
        groups, counts = _grouped(judged, rankings), quiet_counts(quiet, rankings)
        tables.append(calibration_table(groups).model_copy(update={"title": f"Held out, {arm}"}))
        tables.append(quiet_table(counts))
        whole = [one for said, _ in groups.values() for one in said]
        keys = calibration_keys(whole, len(judged))
        summary |= {f"{arm}.{name.partition('.')[2]}": value for name, value in keys.items()}
        summary |= {f"{arm}.{name}": value for name, value in quiet_keys(counts).items()}
    document = {arm: model.model_dump() for arm, model in models.items()}
    SHIPPED.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return Result(
        suite="train-calibration",
        arm="ml",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(*tables, _weights(models)),
        notes={"wrote": str(SHIPPED)},
    )


def _gathered(options: Options, progress: Progress) -> Iterator[GatheredCase]:
    """Bundle sets under the data and the project's own recordings, each also worse; what only logs
    tell of; and recorded Kubernetes faults, of which only the cluster's objects speak.
    """
    assert options.data is not None
    for folder in (*bundle_sets(options.data), RECORDINGS, HELD_OUT):
        found = read(folder, options.limit)
        yield from gathered_bundles(found, progress)
        yield from gathered_bundles(found, progress, worse=True)
    yield from gathered_logs(progress)
    folder = options.data / "cloud-opsbench"
    if not folder.is_dir():
        return
    task = progress.add_task("clusters", total=None)
    for case in islice(cases(next(iter(sorted(folder.glob("*.tar*"))), folder)), options.limit):
        row = solve(case)
        yield GatheredCase(
            f"cloud-opsbench-{row.system}",
            row.case,
            evidence_of(row.diagnosis),
            Topology(),
            0.0,
            names_of(row.truth),
            frozenset(),
        )
        progress.advance(task)


def _calm(options: Options, progress: Progress) -> Iterator[GatheredCase]:
    """Quiet stretches of the bundle sets under the data, and of the project's own recordings."""
    assert options.data is not None
    calm = _quiet((*bundle_sets(options.data), RECORDINGS, HELD_OUT), progress)
    return islice(calm, options.limit)


def _about(samples: Sequence[CalibrationSample]) -> dict[str, str]:
    counted = [one for one in samples if one.counts]
    return {
        "command": "python -m evals train calibration --data DIR",
        "incidents": str(sum(" quiet " not in one.id for one in counted)),
        "quiet": str(sum(" quiet " in one.id for one in counted)),
        "systems": ", ".join(sorted({one.system for one in counted})),
    }


def _grouped(
    judged: Sequence[CalibrationSample], rankings: Mapping[str, Ranking]
) -> dict[str, tuple[list[AnswerClaim], int]]:
    found = {}
    for system in sorted({one.system for one in judged}):
        group = [one for one in judged if one.system == system]
        said = claims([(rankings[one.id], one.right) for one in group])
        found[system] = (said, len(group))
    return found


def _weights(models: Mapping[RankingArm, CalibrationModel]) -> Table:
    rows = [("bias", *(str(one.bias) for one in models.values()))]
    rows += [(name, *(str(one.weights[name]) for one in models.values())) for name in FIGURES]
    rows += [("others", *(str(one.others) for one in models.values()))]
    return Table(title="Fitted on all", columns=("figure", *models), rows=tuple(rows))
