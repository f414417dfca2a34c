"""Fit the weights of the `ml` arm: a softmax over the candidates of each incident.

Maximises the mean over systems of log p(root cause), p(c) = softmax(w . figures(c)), w >= 0, with
a Gaussian prior around the weights of the rules (over their temperature), so that a figure no
training system shows keeps the weight an engineer gave it. Validated leaving one system out.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from rich.progress import Progress

import copilot
from copilot.sources.recorded import RecordedBundle
from evals.localization.cases import BundleCase, read
from evals.localization.look import locate_bundle
from evals.localization.score import RankingScore, place, score
from evals.report import Options, Result, Table
from tools import topology_walker
from tools.topology_walker.features import rows
from tools.topology_walker.ranking import RULES, RankingModel
from tools.topology_walker.scene import Feature
from tools.types import FloatArray

FEATURES: tuple[Feature, ...] = get_args(Feature)
PRIOR = np.array([RULES.weights[name] for name in FEATURES]) / RULES.temperature
LEARNED = Path(topology_walker.__file__).parent / "learned.json"
STRENGTH, STEP, ROUNDS = 0.01, 1.0, 500
"""Precision of the prior, step and rounds of projected gradient ascent."""


@dataclass(frozen=True, slots=True)
class Example:
    """Figures of every candidate of one incident, and which of them was the cause."""

    system: str
    names: tuple[str, ...]
    figures: FloatArray
    cause: str


def examples(cases: Sequence[BundleCase], progress: Progress) -> list[Example]:
    """Look at every bundle as the graph would, and keep the figures."""
    task = progress.add_task("looking", total=len(cases))
    found = []
    for case in cases:
        located = locate_bundle(RecordedBundle(case.folder), case.answer)
        table = rows(located.evidence, located.telemetry.topology, located.onset)
        figures = np.array(
            [
                [row[name].value if name in row else 0.0 for name in FEATURES]
                for row in table.values()
            ]
        )
        found.append(Example(case.answer.system, tuple(table), figures, case.answer.root_cause))
        progress.advance(task)
    return found


def fit(data: Sequence[Example]) -> FloatArray:
    """Weights that make the causes likely, each system counting the same."""
    weights = PRIOR.copy()
    sizes = Counter(one.system for one in data)
    for _ in range(ROUNDS):
        slope = -STRENGTH * (weights - PRIOR)
        for one in data:
            if one.cause in one.names:
                share = 1.0 / (sizes[one.system] * len(sizes))
                scores = one.figures @ weights
                chances = np.exp(scores - scores.max())
                chances /= chances.sum()
                at = one.names.index(one.cause)
                slope += share * (one.figures[at] - chances @ one.figures)
        weights = np.maximum(weights + STEP * slope, 0.0)
    return weights


def scores_of(weights: FloatArray, data: Sequence[Example]) -> dict[str, RankingScore]:
    """How these weights do, per system."""
    places = defaultdict(list)
    for one in data:
        ranked = list(zip(one.names, map(float, one.figures @ weights), strict=True))
        places[one.system].append(place(ranked, one.cause))
    return {system: score(found) for system, found in sorted(places.items())}


def leave_one_out(data: Sequence[Example]) -> dict[str, RankingScore]:
    """Each system scored by weights that never saw it."""
    found: dict[str, RankingScore] = {}
    for system in sorted({one.system for one in data}):
        seen = [one for one in data if one.system != system]
        unseen = [one for one in data if one.system == system]
        if seen:
            found |= scores_of(fit(seen), unseen)
    return found


def run(options: Options, progress: Progress) -> Result:
    """Score held-out systems, fit on all, and write `tools/topology_walker/learned.json`."""
    if options.data is None:
        raise SystemExit("train ranker needs --data DIR with incidents/ and truth/")
    started = time.perf_counter()
    data = examples(read(options.data, options.limit), progress)
    held_out = leave_one_out(data)
    rules = scores_of(PRIOR, data)
    model = _model(fit(data) * RULES.temperature, data, held_out)
    text = json.dumps(model.model_dump(), indent=1) + "\n"
    LEARNED.write_text(text, encoding="utf-8")
    table = Table(
        title="AC@1 / AC@3 per system",
        columns=("system", "rules", "ml, system held out", "ml, fitted on all"),
        rows=tuple(
            (system, _cell(rules[system]), _cell(held_out.get(system)), _cell(fitted))
            for system, fitted in scores_of(fit(data), data).items()
        ),
    )
    summary = {f"{system}.held_out_ac1": figures.ac1 for system, figures in held_out.items()}
    return Result(
        suite="train-ranker",
        arm="ml",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(table,),
        notes={"wrote": str(LEARNED)},
    )


def _cell(figures: RankingScore | None) -> str:
    return "–" if figures is None else f"{figures.ac1:.2f} / {figures.ac3:.2f}"


def _model(
    weights: FloatArray, data: Sequence[Example], held_out: Mapping[str, RankingScore]
) -> RankingModel:
    return RankingModel(
        weights={name: round(float(w), 3) for name, w in zip(FEATURES, weights, strict=True)},
        temperature=RULES.temperature,
        abstain_below=RULES.abstain_below,
        about={
            "command": "python -m evals train ranker --data DIR",
            "incidents": str(len(data)),
            "systems": ", ".join(sorted({one.system for one in data})),
            "held_out_ac1": ", ".join(f"{s} {f.ac1:.2f}" for s, f in held_out.items()),
        },
    )
