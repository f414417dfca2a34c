"""Tables of `docs/benchmarks.md`: ours from `docs/results/SUITE.json`, peers from `peers.json`.

A peer's row names its source: measured by which command, or printed by whom.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"

Figures = Mapping[str, float | str | None]
Row = tuple[str, ...]


class Column(NamedTuple):
    """A heading, the key of its figure in a summary, and how many digits are shown."""

    title: str
    key: str
    digits: int = 2


class Sheet(NamedTuple):
    """One table: our rows (label and result file), the suite whose peers follow, its columns."""

    own: tuple[tuple[str, str], ...]
    suite: str
    columns: tuple[Column, ...]


SHEETS: Mapping[str, Sheet] = {
    "held-out": Sheet(
        (("**ours, rules**", "held-out"),),
        "held-out",
        (
            Column("AC@1", "lab.ac1"),
            Column("AC@3", "lab.ac3"),
            Column("Avg@5", "lab.avg5"),
            Column("kind right", "kind_accuracy"),
        ),
    ),
    "cloud-opsbench": Sheet(
        (("**ours, cluster inspector**, dev half", "cloud-opsbench"),),
        "cloud-opsbench",
        (
            Column("Boutique A@1", "boutique.a1"),
            Column("A@3", "boutique.a3"),
            Column("Train-Ticket A@1", "trainticket.a1"),
            Column("A@3", "trainticket.a3"),
            Column("seconds a case, p50", "seconds.p50"),
        ),
    ),
    "objects": Sheet(
        (("**ours, cluster inspector**", "objects"),),
        "objects",
        (
            Column("faults named", "faults.detected"),
            Column("named for a wrong reason", "faults.wrong_reason"),
            Column("healthy objects accused", "healthy.false", 0),
            Column("twins", "twins.detected"),
        ),
    ),
    "changes": Sheet(
        (("**ours, no model**", "changes"),),
        "changes",
        (
            Column("commit or none right", "commit.right"),
            Column("innocent blamed", "commit.innocent_blamed", 0),
            Column("component first", "component.ac1"),
            Column("ECE", "calibration.ece"),
        ),
    ),
    "slices": Sheet(
        (("**ours**", "slices"),),
        "slices",
        (Column("F1", "f1", 3), Column("seconds a case, p95", "seconds.p95", 3)),
    ),
    "database": Sheet(
        (("**ours**", "database"),),
        "database",
        (
            Column("single cause first, no example", "zero_shot"),
            Column("after one example a cause", "one_shot", 3),
            Column("both of two causes", "compound"),
        ),
    ),
    "chat": Sheet(
        (("**ours, no model**", "chat"),),
        "chat",
        (
            Column("right", "right"),
            Column("useful", "useful"),
            Column("useless", "useless"),
            Column("wrong", "wrong"),
        ),
    ),
    "metrics": Sheet(
        (("**ours, ml**", "metrics"), ("ours, rules", "metrics-rules")),
        "metrics",
        (
            Column("standard", "nab.standard", 1),
            Column("low FP", "nab.low_fp", 1),
            Column("low FN", "nab.low_fn", 1),
            Column("standard, shipped threshold", "nab.default_threshold", 1),
        ),
    ),
    "kpi": Sheet(
        (("**ours, ml**", "kpi"), ("ours, rules", "kpi-rules")),
        "kpi",
        (
            Column("pooled F1", "kpi.f1_pooled", 3),
            Column("shipped threshold", "kpi.f1_default", 3),
            Column("per curve", "kpi.f1_per_curve", 3),
            Column("recall at 1 false a day", "kpi.recall_1fp_day", 3),
            Column("delay, points", "kpi.delay_points_p50", 0),
        ),
    ),
    "mts": Sheet(
        (("**ours, ml**", "mts"), ("ours, rules", "mts-rules")),
        "mts",
        (
            Column("SMD event F1", "smd.event_f1", 3),
            Column("SMD AUC-PR", "smd.aucpr", 3),
            Column("ASD event F1", "asd.event_f1", 3),
            Column("ASD AUC-PR", "asd.aucpr", 3),
        ),
    ),
}


def result(name: str) -> dict[str, Any]:
    """One stored run, as `--json` wrote it."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def peers(suite: str) -> list[dict[str, Any]]:
    """The rows of others that stand beside a suite's."""
    found: list[dict[str, Any]] = json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))
    return [one for one in found if one["suite"] == suite]


def shown(value: float | str | None, digits: int = 2) -> str:
    """A figure for a table; a dash where there is none."""
    if isinstance(value, str):
        return value
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def table(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Markdown of a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def head(run: Mapping[str, Any]) -> str:
    """The first cell of a table: which suite, which arm, how long it ran."""
    return f"`{run['suite']}`, {run['seconds']:.0f} s"


def sheet(name: str) -> str:
    """Ours first, then the peers with their sources, by the same keys."""
    one = SHEETS[name]
    own = [(label, "measured", result(file)["summary"]) for label, file in one.own]
    others = [(peer["method"], peer["source"], peer["figures"]) for peer in peers(one.suite)]
    rows = [
        (label, *cells(figures, one.columns), source) for label, source, figures in own + others
    ]
    heads = (head(result(one.own[0][1])), *(column.title for column in one.columns), "source")
    return table(heads, rows)


def cells(figures: Figures, columns: Sequence[Column]) -> Row:
    return tuple(shown(figures.get(column.key), column.digits) for column in columns)
