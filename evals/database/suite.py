"""What ails one database server, from a window and the names of its columns.

`zero_shot`: the first cause named, of recordings with one. `compound`: the first two named are both
at work, of recordings with several. `one_shot`: after one closed incident of each cause, by the
site's own signs (`tools.topology_walker.site`), mean over ways to choose them.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.report import Options, Result, Table, number
from tools.database_inspector import SPEAKS, DatabaseDiagnosis, database_findings, diagnose
from tools.evidence import number as numbered
from tools.topology_walker.site import SiteMemory, lesson, signs
from tools.types import Candidate, FloatArray, Series, Telemetry, Window

CAUSES: Mapping[str, str] = {
    "Poorly Written Query": "poor query",
    "Poor Physical Design": "write amplification",
    "Workload Spike": "workload spike",
    "I/O Saturation": "I/O saturation",
    "DB Backup": "backup",
    "Table Restore": "restore",
    "CPU Saturation": "CPU saturation",
    "Flush Log/Table": "flush",
    "Network Congestion": "network congestion",
    "Network Saturation": "network congestion",
    "Lock Contention": "lock contention",
    "CPU,IO,Network Saturation": "CPU saturation + I/O saturation + network congestion",
}
"""The data set's names of causes as the inspector's."""

WAYS = 50
"""Ways to choose the closed incident of each cause."""

OWNER = "db"


@dataclass(frozen=True, slots=True)
class DatabaseCase:
    """A recording: its columns, its rows, and the rows that are abnormal."""

    id: str
    truth: frozenset[str]
    label: str
    columns: tuple[str, ...]
    values: FloatArray
    abnormal: slice


@dataclass(frozen=True, slots=True)
class DatabaseRow:
    """What was said of a recording, and what a person would learn of it."""

    case: DatabaseCase
    said: DatabaseDiagnosis
    signs: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether as many causes as one may name, one or two, are all at work."""
        many = min(2, len(self.case.truth))
        return {cause for cause, _ in self.said.causes[:many]} <= self.case.truth


def run(options: Options, progress: Progress) -> Result:
    """Diagnose every recording under --data; one-shot over 50 choices of closed incidents."""
    started = time.perf_counter()
    cases = _cases(options)
    task = progress.add_task("database", total=len(cases) + WAYS)
    rows = []
    for case in cases:
        rows.append(_row(case))
        progress.advance(task)
    singles = [row for row in rows if len(row.case.truth) == 1]
    several = [row for row in rows if len(row.case.truth) > 1]
    shots = [_one_shot(singles, seed) for seed in range(WAYS)] if singles else []
    progress.advance(task, WAYS)
    quiet = [said for case in cases for said in _quiet(case)]
    return Result(
        suite="database",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=tuple(_case(row) for row in rows),
        summary={
            "zero_shot": _share(singles),
            "one_shot": fmean(shots) if shots else float("nan"),
            "compound": _share(several),
        },
        more={
            "one_shot.spread": pstdev(shots) if shots else float("nan"),
            "abnormal.named": fmean(row.said.causes[0][1] >= SPEAKS for row in rows),
            "normal.named": fmean(quiet) if quiet else float("nan"),
        },
        tables=(_table(rows, shots),),
    )


def _share(rows: Sequence[DatabaseRow]) -> float:
    return fmean(row.right for row in rows) if rows else float("nan")


def _row(case: DatabaseCase) -> DatabaseRow:
    said = diagnose(_split(case, case.abnormal))
    if said is None:
        raise SystemExit(f"{case.id}: no column is known as a database's own")
    return DatabaseRow(case, said, _learned(case))


def _split(
    case: DatabaseCase, window: slice, rows: FloatArray | None = None
) -> list[tuple[str, FloatArray, FloatArray]]:
    values = case.values if rows is None else rows
    now, usual = values[window], np.delete(values, window, axis=0)
    return [(name, now[:, at], usual[:, at]) for at, name in enumerate(case.columns)]


def _learned(case: DatabaseCase) -> tuple[str, ...]:
    """The signs as an incident keeps them: what lies outside the window stands for the past."""
    usual = np.delete(case.values, case.abnormal, axis=0)
    rows = np.vstack([usual, case.values[case.abnormal]])
    times = np.linspace(0.0, len(rows) - 1.0, len(rows))
    series = tuple(Series(OWNER, name, times, rows[:, at]) for at, name in enumerate(case.columns))
    telemetry = Telemetry(window=Window(start=0.0, end=float(times[-1])), series=series)
    evidence = numbered(database_findings(telemetry, float(len(usual))))
    return tuple(signs(Candidate(component=OWNER, score=0.0), evidence))


def _one_shot(rows: Sequence[DatabaseRow], seed: int) -> float:
    """Name each recording as the likest closed one; one of each cause is closed."""
    order = np.random.default_rng(seed).permutation(len(rows))
    closed: dict[str, DatabaseRow] = {}
    for at in order:
        closed.setdefault(rows[at].case.label, rows[at])
    lessons = [
        lesson(label, (OWNER, "errors"), (), ()).model_copy(update={"signs": row.signs})
        for label, row in closed.items()
    ]
    memory, kept = SiteMemory(lessons), {row.case.id for row in closed.values()}
    others = [row for row in rows if row.case.id not in kept]
    if not others:
        return float("nan")
    return fmean(memory.like(row.signs)[0][1].incident == row.case.label for row in others)


def _quiet(case: DatabaseCase) -> list[bool]:
    """Whether a cause is named for a third of the normal rows, early and in the middle."""
    usual = np.delete(case.values, case.abnormal, axis=0)
    third = len(usual) // 3
    windows = (slice(0, third), slice(third, 2 * third))
    found = [diagnose(_split(case, window, usual)) for window in windows]
    return [one is not None and one.causes[0][1] >= SPEAKS for one in found]


def _cases(options: Options) -> list[DatabaseCase]:
    if options.data is None or not (options.data / "truth.jsonl").is_file():
        raise SystemExit("database needs --data DIR with truth.jsonl and ID.npz in it")
    lines = (options.data / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    try:
        return [_read(options.data, line) for line in lines if line.strip()][: options.limit]
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"--data {str(options.data)!r}: {error}") from error


def _read(data: Path, line: str) -> DatabaseCase:
    answer = json.loads(line)
    with np.load(data / f"{answer['id']}.npz", allow_pickle=False) as recorded:
        columns = tuple(str(name) for name in recorded["columns"])
        values = np.asarray(recorded["values"], dtype=np.float64)
    label = str(answer["cause"])
    parts = CAUSES[label] if label in CAUSES else " + ".join(CAUSES[p] for p in label.split(" + "))
    abnormal = slice(int(answer["first_row"]) - 1, int(answer["last_row"]))
    return DatabaseCase(
        str(answer["id"]), frozenset(parts.split(" + ")), label, columns, values, abnormal
    )


def _case(row: DatabaseRow) -> dict[str, JsonValue]:
    truth: list[JsonValue] = [*sorted(row.case.truth)]
    said: list[JsonValue] = [f"{cause} {share:.2f}" for cause, share in row.said.causes[:3]]
    return {
        "id": row.case.id,
        "truth": truth,
        "said": said,
        "right": row.right,
    }


def _table(rows: Sequence[DatabaseRow], shots: Sequence[float]) -> Table:
    groups: dict[str, list[DatabaseRow]] = defaultdict(list)
    for row in rows:
        groups[row.case.label].append(row)
    shown = []
    for label, group in sorted(groups.items(), key=lambda one: len(one[1][0].case.truth)):
        many = min(2, len(group[0].case.truth))
        said = Counter(
            " & ".join(sorted(cause for cause, _ in row.said.causes[:many])) for row in group
        )
        most = ", ".join(f"{name} ({count})" for name, count in said.most_common(2))
        shown.append((label, f"{sum(row.right for row in group)}/{len(group)}", most))
    learned = f"{fmean(shots):.3f} ± {pstdev(shots):.3f}" if shots else "–"
    return Table(
        title=(
            f"One database server: no example {number(_of(rows, 1), 3)}, two causes at once "
            f"{number(_of(rows, 2), 3)}, after one closed incident of each cause {learned}"
        ),
        columns=("cause", "right", "named first, of compounds the first two"),
        rows=tuple(shown),
    )


def _of(rows: Sequence[DatabaseRow], many: int) -> float:
    return _share([row for row in rows if min(2, len(row.case.truth)) == many])
