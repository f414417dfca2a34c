"""Many dimensions at once: SMD machines and ASD servers, by scores that do not flatter."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.detection import files as metric_files
from evals.detection.files import Machine, MetricDataError
from evals.detection.folds import (
    PEER_CONSTANTS,
    FoldOptions,
    Rules,
    constants,
    left_out,
    short,
    spread,
)
from evals.detection.peers import kmeans_distance, top_z, var_residual
from evals.detection.score import (
    LabelArray,
    average_precision,
    event_f1,
    event_f1_at,
    mean,
    point_adjusted_f1,
    segments,
)
from evals.page import pictures
from evals.page.drawing import Track
from evals.report import EvalArm, Result, Table, ml_or_rules, number
from tools.detector import DetectorConfig, joint
from tools.detector.joint import JointModel, JointScores
from tools.types import FloatArray

# Both collections are published scaled to [0, 1]; a hundredth of that is the smallest change
# that matters.
RESOLUTION = 0.01
SETS = {"smd": "machine-", "asd": "omi-"}
ANCHORS = (
    ("top-3 z (anchor)", 0.828, 0.802, None, None),
    ("k-means windows (anchor)", None, 0.848, None, None),
    ("ridge VAR(1) residual (anchor)", None, None, 0.811, 0.357),
)


@dataclass(frozen=True)
class MachineFigures:
    """One method on one machine."""

    machine: str
    method: str
    event_f1: float
    aucpr: float
    adjusted: float
    at: tuple[float, ...] = ()
    """Event F1 at each of `GRID`, for the folds."""


@dataclass(frozen=True)
class MachineScores:
    """One machine with our scores, for pictures."""

    machine: Machine
    scores: JointScores


def run(options: FoldOptions, progress: Progress) -> Result:
    """Learn each machine's fault-free stretch, judge the labelled one, peers beside us."""
    started = time.perf_counter()
    try:
        found = metric_files.machines(metric_files.folder(options.data, "mts"), options.limit)
        machines = list(found)
    except MetricDataError as problem:
        raise SystemExit(f"mts: {problem}") from problem
    if not machines:
        raise SystemExit(f"mts: no <id>.npz in metrics/mts under {str(options.data)!r}")
    arm = ml_or_rules(options, "mts")
    task = progress.add_task("mts", total=len(machines))
    judged: list[MachineScores] = []
    rows: list[MachineFigures] = []
    for machine in machines:
        model = JointModel(machine.train, DetectorConfig(arm=arm), RESOLUTION)
        judged.append(MachineScores(machine, model.scores(machine.test)))
        rows.extend(_figures(judged[-1], arm, options))
        progress.advance(task)
    if options.plot is not None:
        title = "How ill each machine is (log10 of its state), over what is labelled"
        pictures.save_tracks("mts", list(map(_track, judged)), "row", options.plot, title)
    ours = [row for row in rows if row.method.startswith("ours")]
    return Result(
        suite="mts",
        arm=arm,
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=tuple(map(_case, ours)),
        summary=_summary(ours),
        tables=(
            _machines_table(ours),
            *(_fold_tables(rows) if options.cv else ()),
            _peers_table(rows),
        ),
    )


def _track(one: MachineScores) -> Track:
    wrong = [(float(first), float(last)) for first, last in segments(one.machine.labels)]
    state = np.log10(np.maximum(one.scores.state, 1e-2))
    return Track(one.machine.name, np.arange(float(len(state))), state, wrong)


def _figures(one: MachineScores, arm: EvalArm, options: FoldOptions) -> list[MachineFigures]:
    machine = one.machine
    alike = {
        "top-3 z (measured)": top_z(machine.train, machine.test),
        "ridge VAR(1) residual (measured)": var_residual(machine.train, machine.test),
        "k-means, scikit-learn (measured)": kmeans_distance(
            machine.train, machine.test, options.seed
        ),
    }
    pairs = {f"ours, {arm} (measured)": (one.scores.alarm, one.scores.state)}
    pairs |= {name: (points, points) for name, points in alike.items() if points is not None}
    return [
        MachineFigures(
            machine.name,
            name,
            event_f1(alarm, machine.labels),
            average_precision(state, machine.labels),
            point_adjusted_f1(alarm, machine.labels),
            _on_grid(alarm, machine.labels) if options.cv else (),
        )
        for name, (alarm, state) in pairs.items()
    ]


GRID = tuple(np.geomspace(0.1, 1e4, 101).tolist())
"""Thresholds among which the folds choose."""

BY_EVENTS: Rules[MachineFigures, float] = Rules(
    lambda known: float(np.argmax(np.mean([one.at for one in known], axis=0))),
    lambda one, place: one.at[int(place)],
    mean,
)


def _on_grid(alarm: FloatArray, labels: LabelArray) -> tuple[float, ...]:
    return tuple(event_f1_at(alarm, labels, threshold) for threshold in GRID)


def _fold_tables(rows: Sequence[MachineFigures]) -> list[Table]:
    """Each machine judged by what was chosen on the others of its collection."""
    tables = []
    for collection, prefix in SETS.items():
        mine = [row for row in rows if row.machine.startswith(prefix)]
        methods = {name: [row for row in mine if row.method == name] for name in _methods(mine)}
        if not methods:
            continue
        written = {next(iter(methods)): constants(joint)}
        cells = []
        for name, chosen in left_out(methods, BY_EVENTS).items():
            own = methods.get(name)
            swept = spread(mean, [row.event_f1 for row in own]).said() if own else "–"
            area = spread(mean, [row.aucpr for row in own]).said() if own else "–"
            known = written.get(name, PEER_CONSTANTS.get(short(name), "–"))
            cells.append((short(name), str(known), swept, spread(mean, chosen).said(), area))
        tables.append(
            Table(
                title=f"{collection.upper()}, each machine by the others of its set (± jackknife)",
                columns=("detector", "constants", "event F1", "threshold of the others", "AUC-PR"),
                rows=tuple(cells),
            )
        )
    return tables


def _methods(rows: Sequence[MachineFigures]) -> list[str]:
    return list(dict.fromkeys(row.method for row in rows))


def _of(rows: Sequence[MachineFigures], collection: str) -> list[MachineFigures]:
    return [row for row in rows if row.machine.startswith(SETS[collection])]


def _summary(ours: Sequence[MachineFigures]) -> dict[str, float]:
    summary = {}
    for collection in SETS:
        mine = _of(ours, collection)
        summary[f"{collection}.event_f1"] = mean([row.event_f1 for row in mine])
        summary[f"{collection}.aucpr"] = mean([row.aucpr for row in mine])
    return summary


def _case(row: MachineFigures) -> dict[str, JsonValue]:
    return {
        "id": row.machine,
        "event_f1": row.event_f1,
        "aucpr": row.aucpr,
        "point_adjusted_f1": row.adjusted,
    }


def _machines_table(ours: Sequence[MachineFigures]) -> Table:
    return Table(
        title="By machine (the last column is only there to warn)",
        columns=("machine", "event F1", "AUC-PR", "point-adjusted F1"),
        rows=tuple(
            (row.machine, *(number(v, 3) for v in (row.event_f1, row.aucpr, row.adjusted)))
            for row in ours
        ),
    )


def _peers_table(rows: Sequence[MachineFigures]) -> Table:
    table = []
    for method in _methods(rows):
        mine = [row for row in rows if row.method == method]
        cells = []
        for collection in SETS:
            there = _of(mine, collection)
            cells.append(number(mean([row.event_f1 for row in there]), 3))
            cells.append(number(mean([row.aucpr for row in there]), 3))
        table.append((method, *cells))
    table.extend((name, *(number(value, 3) for value in row)) for name, *row in ANCHORS)
    return Table(
        title="Means over machines",
        columns=("detector", "SMD event F1", "SMD AUC-PR", "ASD event F1", "ASD AUC-PR"),
        rows=tuple(table),
    )
