"""Fit the `ml` arm: a softmax over the pairs (component, kind of fault) of each incident.

Maximises the mean over systems of log p(right pairs), p(c, k) = softmax(score(c, k) / TEMPERATURE)
by the weights of the signatures, none below 0, with a Gaussian prior around those of the rules, so
that a row no training system shows keeps what an engineer gave it. Votes are kept: fitted, too,
they cost kinds of systems that were not seen (docs/diary/localization.md). Which row of a term or
kind is the strongest is decided by the rules. Validated leaving one system out.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress

import copilot
from evals.localization.ablate import FIGURES, MatchedCase, sums_by_system
from evals.localization.cases import read
from evals.localization.gathered import gathered_bundles
from evals.report import Options, Result, Table
from tools import topology_walker
from tools.topology_walker.ranking import KIND, RULES, RankingModel, SignatureMatch, matches
from tools.topology_walker.signatures import SIGNATURES
from tools.types import FloatArray

NAMES = tuple(row.name for row in SIGNATURES)
AT = {name: place for place, name in enumerate(NAMES)}
LEARNED = Path(topology_walker.__file__).parent / "learned.json"
TEMPERATURE = 0.1
"""What scores are divided by before the softmax."""

STRENGTH, STEP, ROUNDS = 0.01, 1.0, 200
"""Precision of the prior, step and rounds of projected gradient ascent."""


@dataclass(frozen=True, slots=True)
class Example:
    """The pairs of one incident: strengths per weight and vote, and which of them are right."""

    case: MatchedCase
    pairs: FloatArray
    right: FloatArray


def prior() -> FloatArray:
    """Weights, then votes, of the rules, over their temperature."""
    votes = [KIND * RULES.votes[name] for name in NAMES]
    return np.array([*(RULES.weights[name] for name in NAMES), *votes]) / TEMPERATURE


def model_of(weights: FloatArray, **about: str) -> RankingModel:
    """The ranking that these weights and votes make."""
    scaled = weights * TEMPERATURE
    half = len(NAMES)
    return RankingModel(
        weights={name: round(float(scaled[i]), 3) for i, name in enumerate(NAMES)},
        votes={name: round(float(scaled[half + i] / KIND), 3) for i, name in enumerate(NAMES)},
        about=about,
    )


def example(told: MatchedCase) -> Example:
    """Lay the strongest strengths of every pair out in a row."""
    rows, right = [], []
    for name, accused in told.accused.items():
        for kind, row in _pairs(accused):
            rows.append(row)
            here = name in told.case.components
            right.append(here and (not told.case.kinds or kind in told.case.kinds))
    return Example(told, np.array(rows), np.array(right, dtype=float))


def _pairs(accused: Sequence[SignatureMatch]) -> Iterator[tuple[str, FloatArray]]:
    terms: dict[str, tuple[float, int, float]] = {}
    kinds: dict[str, tuple[float, int, float]] = {}
    for row, reading, strength in accused:
        at, kind = AT[row.name], row.kind_of(reading)
        terms[row.term] = max(
            terms.get(row.term, (0.0, at, 0.0)), (row.weight * strength, at, strength)
        )
        if kind and row.vote:
            known = kinds.get(kind, (0.0, at, 0.0))
            kinds[kind] = max(known, (row.vote * strength, at, strength))
    for said, (_, at, strength) in (kinds or {"": (0.0, 0, 0.0)}).items():
        row_of = np.zeros(2 * len(NAMES))
        for _, place, value in terms.values():
            row_of[place] = value
        row_of[len(NAMES) + at] = strength
        yield said, row_of


def fit(data: Sequence[Example]) -> FloatArray:
    """Weights that make the right pairs likely, each system counting the same."""
    start = prior()
    known = [one for one in data if one.right.any()]
    sizes = Counter(one.case.case.system for one in known)
    share = np.array([1.0 / (sizes[one.case.case.system] * len(sizes)) for one in known])
    pairs = np.concatenate([one.pairs for one in known])
    right = np.concatenate([one.right for one in known])
    lengths = [len(one.right) for one in known]
    first = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    of = np.repeat(np.arange(len(known)), lengths)
    weights = start.copy()
    for _ in range(ROUNDS):
        scores = pairs @ weights
        powers = np.exp(scores - np.maximum.reduceat(scores, first)[of])
        all_of, right_of = (np.add.reduceat(p, first)[of] for p in (powers, powers * right))
        pull = share[of] * (powers * right / right_of - powers / all_of)
        slope = pull @ pairs - STRENGTH * (weights - start)
        slope[len(NAMES) :] = 0.0
        weights = np.maximum(weights + STEP * slope, 0.0)
    return weights


Shares = dict[str, list[float]]


def shares(model: RankingModel, data: Sequence[Example]) -> Shares:
    """Component first, Avg@5 and kind right of each system under a model, as shares."""
    sizes = Counter(one.case.case.system for one in data)
    sums = sums_by_system([one.case for one in data], model)
    return {s: [value / sizes[s] for value in found] for s, found in sorted(sums.items())}


def leave_one_out(data: Sequence[Example]) -> Shares:
    """Each system scored by weights that never saw it."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for one in data:
        groups[one.case.case.system].append(one)
    found: Shares = {}
    for system, unseen in sorted(groups.items()):
        seen = [one for name, group in groups.items() if name != system for one in group]
        if seen:
            found |= shares(model_of(fit(seen)), unseen)
    return found


def run(options: Options, progress: Progress) -> Result:
    """Score held-out systems, fit on all, and write `tools/topology_walker/learned.json`."""
    if options.data is None:
        raise SystemExit("train ranker needs --data DIR with incidents/ and truth/")
    started = time.perf_counter()
    cases = gathered_bundles(read(options.data, options.limit), progress)
    data = [example(MatchedCase(one, matches(one.evidence, one.topology))) for one in cases]
    held_out, rules = leave_one_out(data), shares(RULES, data)
    about = {
        "command": "python -m evals train ranker --data DIR",
        "incidents": str(len(data)),
        "systems": ", ".join(rules),
        "held_out": ", ".join(f"{system} {_cell(row)}" for system, row in held_out.items()),
    }
    model = model_of(fit(data), **about)
    LEARNED.write_text(json.dumps(model.model_dump(), indent=1) + "\n", encoding="utf-8")
    fitted = shares(model, data)
    table = Table(
        title=f"{' / '.join(FIGURES)} per system",
        columns=("system", "rules", "ml, system held out", "ml, fitted on all"),
        rows=tuple(
            (system, _cell(rules[system]), _cell(held_out.get(system)), _cell(row))
            for system, row in fitted.items()
        ),
    )
    return Result(
        suite="train-ranker",
        arm="ml",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        summary={f"{system}.held_out_ac1": row[0] for system, row in held_out.items()},
        tables=(table,),
        notes={"wrote": str(LEARNED)},
    )


def _cell(figures: Sequence[float] | None) -> str:
    return "–" if figures is None else " / ".join(f"{value:.2f}" for value in figures)
