"""Which slice of a business metric is to blame: exact attribute combinations, peers beside ours."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
from pydantic import JsonValue
from rich.progress import Progress

import copilot
from copilot.ports import SourceError
from copilot.sources.business import MetricColumns, read_csv
from evals.page import pictures
from evals.report import Options, Result, Table, number
from evals.slices import picture
from evals.slices.peers import SliceSet, adtributor, ripple
from tools.slice_finder import MetricCube, MetricMoment, SliceAnswer, SliceConfig, SliceError, find
from tools.types import Timestamp

COLUMNS = MetricColumns(time="min", value="value", count="cnt")
_PUBLISHED = (
    ("RobustSpot, authors' code (measured before, partial)", "0.42", "3.1"),
    ("AutoRoot, authors' code (measured before, partial)", "0.27", "–"),
    ("Adtributor, authors' code (measured before, partial)", "0.25", "0.2"),
)
GRID: Mapping[str, tuple[float, ...]] = {
    "concentration": (0.2, 0.25, 0.3, 0.35, 0.4),
    "alike": (0.3, 0.35, 0.4, 0.45),
    "sibling": (0.1, 0.15, 0.2),
}
FOLDS, SHUFFLES = 5, 20


@dataclass(frozen=True, slots=True)
class SliceCase:
    """A metric with its past, the anomalous moment, and the slices that are right."""

    id: str
    cube: MetricCube
    at: Timestamp
    truth: SliceSet


@dataclass(frozen=True, slots=True)
class SliceRow:
    """What one method said of a case, and how long it took, reading left out."""

    case: SliceCase
    said: SliceSet
    seconds: float


SliceMethod = Callable[[MetricMoment], SliceSet]


def run(options: Options, progress: Progress) -> Result:
    """Ask for the slices of every case under --data, and score them by exact combinations."""
    started = time.perf_counter()
    cases = _cases(options)
    methods: dict[str, SliceMethod] = {
        "slice finder (measured)": _ours,
        "Adtributor, written anew (measured)": adtributor,
        "ripple effect (HotSpot, Squeeze), written anew (measured)": ripple,
    }
    task = progress.add_task("slices", total=len(cases) * len(methods) + SHUFFLES)
    rows: dict[str, list[SliceRow]] = {name: [] for name in methods}
    for name, method in methods.items():
        for case in cases:
            rows[name].append(_row(case, method))
            progress.advance(task)
    ours = rows["slice finder (measured)"]
    folds = chosen_without(cases)
    progress.advance(task, SHUFFLES)
    variants = {
        "as counts alone, what was tried not told": f1([_row(_alone(one), _ours) for one in cases]),
        "as a share of success that falls": f1([_row(_success(one), _ours) for one in cases]),
    }
    if options.plot is not None:
        _plot(options.plot, ours)
    seconds = [row.seconds for row in ours]
    return Result(
        suite="slices",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=tuple(_case(row) for row in ours),
        summary={"f1": f1(ours), "seconds.p95": float(np.percentile(seconds, 95))},
        more={
            "f1.folds.mean": fmean(folds), "f1.folds.spread": pstdev(folds),
        },
        tables=(_table(rows, folds, variants),),
    )  # fmt: skip


def _ours(moment: MetricMoment) -> SliceSet:
    return named(find(moment))


def named(answer: SliceAnswer) -> SliceSet:
    """The answer as sets of pairs, as the truth is kept."""
    return frozenset(frozenset(one.attributes.items()) for one in answer.slices)


def f1(rows: Sequence[SliceRow]) -> float:
    """F1 over all combinations of all cases together."""
    both = sum(len(row.said & row.case.truth) for row in rows)
    either = sum(len(row.said) + len(row.case.truth) for row in rows)
    return 2.0 * both / either if either else 0.0


def chosen_without(cases: Sequence[SliceCase]) -> list[float]:
    """F1 with the three constants chosen on four fifths of the cases, judged on the other fifth.

    A figure for each of 20 ways to cut the cases into fifths.
    """
    configs = [SliceConfig(**dict(zip(GRID, one, strict=True))) for one in product(*GRID.values())]
    hits = np.zeros((len(configs), len(cases), 2))
    for at, case in enumerate(cases):
        moment = case.cube.moment(case.at)
        for which, config in enumerate(configs):
            said = named(find(moment, config))
            hits[which, at] = len(said & case.truth), len(said) + len(case.truth)
    figures = []
    for seed in range(SHUFFLES):
        fold = np.random.default_rng(seed).permutation(len(cases)) % FOLDS
        judged = np.zeros(2)
        for one in range(min(FOLDS, len(cases))):
            summed = hits[:, fold != one].sum(axis=1)
            best = int(np.argmax(summed[:, 0] / np.maximum(summed[:, 1], 1.0)))
            judged += hits[best, fold == one].sum(axis=0)
        figures.append(2.0 * judged[0] / max(judged[1], 1.0))
    return figures


def _row(case: SliceCase, method: SliceMethod) -> SliceRow:
    started = time.perf_counter()
    try:
        said = method(case.cube.moment(case.at))
    except SliceError:
        said = frozenset()
    return SliceRow(case, said, time.perf_counter() - started)


def _alone(case: SliceCase) -> SliceCase:
    """The same failures as an amount, without how many were tried."""
    whole = case.cube
    bare = MetricCube(whole.dimensions, whole.leaves, whole.times, whole.values)
    return SliceCase(case.id, bare, case.at, case.truth)


def _success(case: SliceCase) -> SliceCase:
    """The same failures as successes that become fewer."""
    whole = case.cube
    if whole.counts is None:
        return case
    turned = MetricCube(
        whole.dimensions, whole.leaves, whole.times, whole.counts - whole.values, whole.counts
    )
    return SliceCase(case.id, turned, case.at, case.truth)


def _cases(options: Options) -> list[SliceCase]:
    if options.data is None or not (options.data / "truth.jsonl").is_file():
        raise SystemExit("slices needs --data DIR with truth.jsonl and ID.csv[.gz] in it")
    lines = (options.data / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    try:
        return [_read(options.data, line) for line in lines if line.strip()][: options.limit]
    except (SourceError, ValueError, KeyError) as error:
        raise SystemExit(f"--data {str(options.data)!r}: {error}") from error


def _read(data: Path, line: str) -> SliceCase:
    answer = json.loads(line)
    packed = data / f"{answer['id']}.csv.gz"
    cube = read_csv(packed if packed.is_file() else data / f"{answer['id']}.csv", COLUMNS)
    causes = answer["cause"] if isinstance(answer["cause"], list) else [answer["cause"]]
    truth = frozenset(
        frozenset((key, str(value)) for key, value in one.items() if value != "") for one in causes
    )
    return SliceCase(str(answer["id"]), cube, float(answer["timestamp"]), truth)


def _words(said: SliceSet) -> list[JsonValue]:
    return [
        ", ".join(f"{key}={value}" for key, value in sorted(one))
        for one in sorted(map(sorted, said))
    ]


def _case(row: SliceRow) -> dict[str, JsonValue]:
    return {
        "id": row.case.id,
        "truth": _words(row.case.truth),
        "said": _words(row.said),
        "right": row.said == row.case.truth,
        "seconds": round(row.seconds, 4),
    }


def _table(
    rows: Mapping[str, Sequence[SliceRow]], folds: Sequence[float], variants: Mapping[str, float]
) -> Table:
    def line(name: str, taken: Sequence[SliceRow]) -> tuple[str, ...]:
        exact = sum(row.said == row.case.truth for row in taken)
        p95 = float(np.percentile([row.seconds for row in taken], 95))
        return name, number(f1(taken), 3), f"{exact}/{len(taken)}", number(p95, 3)

    first, *others = [line(name, taken) for name, taken in rows.items()]
    spread = f"{fmean(folds):.3f} ± {pstdev(folds):.3f}"
    return Table(
        title="Slices: F1 over attribute combinations, exact match, one answer a case",
        columns=("", "F1", "cases right", "seconds p95"),
        rows=(
            first,
            ("… 3 constants chosen without the case judged (5 folds, 20 ways)", spread, "–", "–"),
            *((f"… {name}", number(value, 3), "–", "–") for name, value in variants.items()),
            *others,
            *((name, figure, "–", seconds) for name, figure, seconds in _PUBLISHED),
        ),
    )


PICTURES = 12


def _plot(folder: Path, rows: Sequence[SliceRow]) -> None:
    """A bar for each slice that was named or would be right, and `slice.svg`, a drawn example."""
    picture.save(picture.example(), "slice", folder)
    for row in [one for one in rows if one.said != one.case.truth][:PICTURES] + list(
        rows[:PICTURES]
    ):
        moment = row.case.cube.moment(row.case.at)
        change = float(moment.observed.sum() - moment.expected.sum())
        bars: dict[str, dict[str, float]] = {}
        for which, slices in (("named", row.said), ("right", row.case.truth)):
            for one in sorted(map(sorted, slices)):
                name = ", ".join(f"{key}={value}" for key, value in one)
                inside = np.array([_within(moment, leaf, one) for leaf in moment.leaves])
                part = float((moment.observed - moment.expected)[inside].sum()) / change
                bars.setdefault(name, {})[which] = part
        title = f"{row.case.id}: share of the change"
        pictures.save_bars(f"slices-{row.case.id}", bars, "share", folder, title)


def _within(moment: MetricMoment, leaf: Sequence[str], one: Sequence[tuple[str, str]]) -> bool:
    return all(leaf[moment.dimensions.index(key)] == value for key, value in one)
