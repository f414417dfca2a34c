"""A set of recorded incidents, apart from it its answers; and the same incidents seen worse."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from tools.types import Alert, Change, Edge, Series, Span, Telemetry, Timestamp, Topology

RECORDINGS = Path(__file__).parent.parent / "incidents"
"""The recordings of the lab that ship with the project."""


class CaseSetError(Exception):
    """The folder given by --data is not a set of incident bundles."""


class TruthRecord(BaseModel):
    """One line of `truth/truth.jsonl`; fields that no score needs are left alone.

    `also_right` names further components, `also_right_kinds` further kinds, that whoever injected
    the fault counts as right too: the caller of what lies outside the system, for one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    system: str
    root_cause: str
    fault_type: str = ""
    also_right: tuple[str, ...] = ()
    also_right_kinds: tuple[str, ...] = ()
    inject_ts: Timestamp | None = None
    alert_ts: Timestamp | None = None

    @property
    def right(self) -> tuple[str, ...]:
        """Every component that counts as right, the cause first."""
        return (self.root_cause, *self.also_right)


class BundleCase(BaseModel):
    """One bundle and its answer, which only scorers may open."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    answer: TruthRecord


def read(data: Path, limit: int | None = None) -> tuple[BundleCase, ...]:
    """All cases that have an answer, by id; with a limit, spread evenly over the systems."""
    answers = data / "truth" / "truth.jsonl"
    bundles = data / "incidents"
    if not answers.is_file() or not bundles.is_dir():
        raise CaseSetError(
            f"{str(data)!r} is no bundle set: it needs incidents/<id>/ and truth/truth.jsonl"
        )
    found = []
    for line in answers.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
            if row.get("root_cause") is None:
                continue  # nothing is wrong in it, so there is nothing to locate
            answer = TruthRecord.model_validate(row)
        except (json.JSONDecodeError, ValidationError) as error:
            raise CaseSetError(f"{str(answers)!r}: {error}; one JSON object a line") from error
        if (bundles / answer.id).is_dir():
            found.append(BundleCase(folder=bundles / answer.id, answer=answer))
    if not found:
        raise CaseSetError(f"{str(bundles)!r} holds no bundle named in {str(answers)!r}")
    return tuple(found) if limit is None else _spread(found)[:limit]


def _spread(cases: Sequence[BundleCase]) -> tuple[BundleCase, ...]:
    by_system: dict[str, list[BundleCase]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.answer.id):
        by_system[case.answer.system].append(case)
    rounds = chain.from_iterable(zip_longest(*by_system.values()))
    return tuple(case for case in rounds if case is not None)


Perturbation = Literal[
    "none",
    "no_metrics",
    "no_logs",
    "no_traces",
    "no_changes",
    "no_topology",
    "no_alerts",
    "renamed",
    "skewed_clocks",
    "dropped_samples",
    "irrelevant_deploy",
    "all",
]
"""How the telemetry of recorded incidents is made worse; `all`: each way in turn."""

SKEW_S = 60.0
LOST = 0.2

Renamer = Callable[[str], str]
RowT = TypeVar("RowT")


def anonymous(name: str) -> str:
    """A name that says nothing; the same one for the same name."""
    return f"c{hashlib.sha256(name.encode()).hexdigest()[:8]}" if name else ""


def perturb(seen: Telemetry, kind: Perturbation, onset: float, seed: int) -> Telemetry:
    """What would have been seen; all that is drawn follows the seed."""
    rng = np.random.default_rng(seed)
    without = {
        "no_metrics": lambda: replace(seen, series=(), baseline=()),
        "no_logs": lambda: replace(seen, logs=()),
        "no_traces": lambda: replace(seen, spans=()),
        "no_changes": lambda: replace(seen, changes=()),
        "no_topology": lambda: replace(seen, topology=Topology(entry=seen.topology.entry)),
        "no_alerts": lambda: replace(seen, alerts=()),
        "renamed": lambda: _renamed(seen),
    }
    if kind in without:
        return without[kind]()
    if kind == "skewed_clocks":
        return _skewed(seen, rng)
    if kind == "dropped_samples":
        return _dropped(seen, rng)
    if kind == "irrelevant_deploy":
        return _deployed(seen, onset, rng)
    return seen


def _owner(owner: str, name: Renamer) -> str:
    """Rename `service`, `service@version` and `caller->callee`; nodes and the entry stay."""
    if owner.startswith("node:") or owner == "ENTRY":
        return owner
    if "->" in owner:
        return "->".join(name(part) for part in owner.split("->"))
    service, at, version = owner.rpartition("@")
    known = at and (version[:1] == "v" or version in ("stable", "canary"))
    return f"{name(service)}@{version}" if known else name(owner)


def _renamed(seen: Telemetry) -> Telemetry:
    def series(one: Series) -> Series:
        return Series(_owner(one.owner, anonymous), one.metric, one.times, one.values, one.unit)

    graph = seen.topology
    return replace(
        seen,
        series=tuple(map(series, seen.series)),
        baseline=tuple(map(series, seen.baseline)),
        logs=tuple(replace(line, service=anonymous(line.service)) for line in seen.logs),
        spans=tuple(replace(span, service=anonymous(span.service)) for span in seen.spans),
        changes=tuple(
            change.model_copy(update={"service": anonymous(change.service)})
            for change in seen.changes
        ),
        alerts=tuple(map(_renamed_alert, seen.alerts)),
        topology=Topology(
            nodes=tuple(map(anonymous, graph.nodes)),
            edges=tuple(
                edge.model_copy(
                    update={"caller": anonymous(edge.caller), "callee": anonymous(edge.callee)}
                )
                for edge in graph.edges
            ),
            entry=anonymous(graph.entry),
        ),
    )


def _renamed_alert(alert: Alert) -> Alert:
    labels = {
        key: anonymous(value) if key in ("service", "instance", "caller") else value
        for key, value in alert.labels.items()
    }
    return alert.model_copy(update={"service": anonymous(alert.service), "labels": labels})


def _skewed(seen: Telemetry, rng: np.random.Generator) -> Telemetry:
    """Each modality's clock is off by up to a minute of its own."""
    series_s, logs_s, spans_s, changes_s = rng.uniform(-SKEW_S, SKEW_S, 4)

    def span(one: Span) -> Span:
        return replace(one, at=one.at + spans_s)

    def change(one: Change) -> Change:
        return one.model_copy(update={"at": one.at + changes_s})

    def series(one: Series) -> Series:
        return Series(one.owner, one.metric, one.times + series_s, one.values, one.unit)

    return replace(
        seen,
        series=tuple(map(series, seen.series)),
        baseline=tuple(map(series, seen.baseline)),
        logs=tuple(replace(line, at=line.at + logs_s) for line in seen.logs),
        spans=tuple(map(span, seen.spans)),
        changes=tuple(map(change, seen.changes)),
    )


def _dropped(seen: Telemetry, rng: np.random.Generator) -> Telemetry:
    def series(one: Series) -> Series:
        keep = rng.random(one.times.size) >= LOST
        return Series(one.owner, one.metric, one.times[keep], one.values[keep], one.unit)

    def rows(found: tuple[RowT, ...]) -> tuple[RowT, ...]:
        keep = rng.random(len(found)) >= LOST
        return tuple(row for row, kept in zip(found, keep, strict=True) if kept)

    return replace(
        seen,
        series=tuple(map(series, seen.series)),
        baseline=tuple(map(series, seen.baseline)),
        logs=rows(seen.logs),
        spans=rows(seen.spans),
    )


def _deployed(seen: Telemetry, onset: float, rng: np.random.Generator) -> Telemetry:
    """A harmless release of some component three minutes before the onset."""
    edges: tuple[Edge, ...] = seen.topology.edges
    names = sorted({*seen.topology.nodes, *(edge.callee for edge in edges)})
    if not names:
        return seen
    service = names[int(rng.integers(len(names)))]
    change = Change(at=onset - 180.0, service=service, kind="deploy", summary="harmless")
    return replace(seen, changes=(*seen.changes, change))
