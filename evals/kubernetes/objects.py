"""Kubernetes objects of every kind: is each faulty one named for its reason, each healthy one not?

The data set's README defines the figures: `faults.detected` is the share of faulty objects with a
finding of an accepted word at the object, its owner or its pods; `faults.wrong_reason` the share
with findings of which none is accepted; `healthy.false` counts healthy objects that get a finding;
`twins.detected` is the share of whole namespaces whose first three causes hold what was wanted.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import JsonValue
from rich.progress import Progress

import copilot
from copilot.sources.kubernetes import objects
from evals.kubernetes.words import fulfilled, wanted, words
from evals.report import Options, Result, Table, number
from tools.cluster_inspector import ClusterFinding, diagnose, inspect
from tools.cluster_inspector.view import View
from tools.types import ClusterState, Timestamp

Document = Mapping[str, Any]

_READ = (
    *("Pod", "Service", "Endpoints", "Node", "Deployment", "StatefulSet", "DaemonSet"),
    *("ReplicaSet", "Job", "PersistentVolumeClaim", "PersistentVolume", "ResourceQuota"),
    *("Ingress", "NetworkPolicy", "HTTPRoute", "EndpointSlice", "ReplicationController", "Event"),
    *("Secret", "IngressClass", "StorageClass", "Gateway", "GatewayClass"),
)
_UNSCOPED = ("Node", "PersistentVolume", "GatewayClass", "IngressClass", "StorageClass")
_SAME = ("Service", "Endpoints", "EndpointSlice")
_SETTLED_S = 60.0
"""A case is looked at one minute after the last thing that it records."""


@dataclass(frozen=True)
class ObjectVerdict:
    """What is wrong with one object of a case, in the suite's words; nothing when healthy."""

    kind: str
    name: str
    namespace: str
    what: frozenset[str]
    lint: bool


@dataclass(frozen=True)
class ObjectRow:
    """One object, the truth and what we say of it."""

    case: str
    verdict: ObjectVerdict
    said: tuple[ClusterFinding, ...]

    @property
    def accepted(self) -> bool:
        """A finding is of one of the verdict's words."""
        return any(words(found.rule.id) & self.verdict.what for found in self.said)

    @property
    def outcome(self) -> str:
        """One word for the table."""
        if self.verdict.lint:
            return "lint"
        if not self.verdict.what:
            return "FALSE" if self.said else "quiet"
        return "right" if self.accepted else "WRONG REASON" if self.said else "MISSED"


@dataclass(frozen=True)
class TwinRow:
    """One whole namespace, what was wanted and the first causes."""

    case: str
    want: str
    right: bool
    said: tuple[ClusterFinding, ...]


def run(options: Options, progress: Progress) -> Result:
    """Inspect the objects of `analyzers.json` and `twins.json` under --data."""
    if options.data is None:
        raise SystemExit("objects needs --data FOLDER with analyzers.json and twins.json")
    started = time.perf_counter()
    cases, twins = _cases(options.data)[: options.limit], _twins(options.data)[: options.limit]
    task = progress.add_task("objects", total=len(cases) + len(twins))
    rows: list[ObjectRow] = []
    for case in cases:
        rows += _judged(case)
        progress.advance(task)
    told: list[TwinRow] = []
    for name, twin in twins:
        told.append(_told(name, twin))
        progress.advance(task)
    return Result(
        suite="objects",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=(*map(_row, rows), *map(_twin_row, told)),
        summary=_summary(rows, told),
        tables=(_by_object(rows), _by_twin(told)),
        notes={"unreadable wants": [one.case for one in told if not wanted(one.want)]},
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"objects: {str(path)!r} cannot be read as JSON: {error}") from error


def _cases(folder: Path) -> list[Document]:
    return list(_read(folder / "analyzers.json"))


def _twins(folder: Path) -> list[tuple[str, Document]]:
    return list(_read(folder / "twins.json").items())


def _namespace(document: Document) -> str:
    if document["kind"] in _UNSCOPED or document["kind"].endswith("WebhookConfiguration"):
        return ""
    return str(document.get("metadata", {}).get("namespace") or "")


def _name(document: Document) -> str:
    return str(document.get("metadata", {}).get("name") or "")


def _times(value: object) -> Iterator[Timestamp]:
    """Every time that a document holds."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _times(item)
    elif isinstance(value, list):
        for item in value:
            yield from _times(item)
    elif isinstance(value, str) and value.endswith("Z") and value[:4].isdigit():
        yield datetime.fromisoformat(value).timestamp()


def state_of(documents: Sequence[Document], home: str) -> ClusterState:
    """The state of the namespace `home` as if all kinds were read to their end.

    Pods are the exception: a workload alone, without one pod beside it, is a listing without pods.
    """
    at = max(_times(list(documents)), default=None)
    now = None if at is None else at + _SETTLED_S
    spaces = sorted({home, *map(_namespace, documents)} - {""})
    read = objects(documents, now, home)
    others = {
        name: read.others.get(name, ClusterState()).plus(_listing(documents, name))
        for name in spaces
        if name != home
    }
    listed = _listing(documents, home).plus(ClusterState(listed={"Namespace": tuple(spaces)}))
    return read.plus(listed).plus(ClusterState(at=now, others=others))


def _listing(documents: Sequence[Document], namespace: str) -> ClusterState:
    """The names of all objects that are to be seen from the namespace, by kind."""
    ours = [one for one in documents if _namespace(one) in ("", namespace)]
    listed: dict[str, tuple[str, ...]] = {}
    for kind in _READ:
        found = tuple(_name(one) for one in ours if one["kind"] == kind)
        if found or kind != "Pod":
            listed[kind] = found
    return ClusterState(namespace=namespace, listed=listed)


def _judged(case: Document) -> Iterator[ObjectRow]:
    documents = case["objects"]
    homes = sorted({_namespace(one) for one in documents} - {""}) or ["default"]
    states = {home: state_of(documents, home) for home in homes}
    found = {home: inspect(state) for home, state in states.items()}
    for written in case["verdicts"]:
        verdict = ObjectVerdict(
            kind=written["kind"], name=written["name"], namespace=written["namespace"] or "",
            what=frozenset(written["what"]), lint=bool(written["lint"]),
        )  # fmt: skip
        homes_of = [verdict.namespace] if verdict.namespace in found else homes
        said = tuple(
            one for home in homes_of for one in found[home] if _at(one, verdict, View(states[home]))
        )
        yield ObjectRow(f"{case['test']} {case['case']}".strip(), verdict, said)


def _at(found: ClusterFinding, verdict: ObjectVerdict, view: View) -> bool:
    """The finding is at the object; at a faulty one's owner or pods too."""
    same = found.kind == verdict.kind or {found.kind, verdict.kind} <= set(_SAME)
    if same and found.name == verdict.name:
        return True
    if not verdict.what:
        return False
    owner = view.application(verdict.name)
    related = {verdict.name, owner}
    return bool(related & {found.object.partition("/")[2], view.application(found.name)})


def _told(name: str, twin: Document) -> TwinRow:
    documents = twin["objects"]
    homes = sorted({_namespace(one) for one in documents} - {""}) or ["default"]
    said = diagnose(state_of(documents, homes[0])).predictions
    return TwinRow(name, twin["want"], fulfilled(twin["want"], _known(documents), said), said)


def _known(documents: Iterable[Document]) -> Iterator[str]:
    """Names of the objects and of the containers in them."""
    for one in documents:
        yield _name(one)
        for field in ("initContainers", "containers"):
            yield from (str(item["name"]) for item in one.get("spec", {}).get(field, ()))


def _summary(rows: Sequence[ObjectRow], told: Sequence[TwinRow]) -> dict[str, float]:
    faulty = [one for one in rows if one.verdict.what and not one.verdict.lint]
    return {
        "faults.detected": _share(one.accepted for one in faulty),
        "faults.wrong_reason": _share(bool(one.said) and not one.accepted for one in faulty),
        "healthy.false": float(sum(one.outcome == "FALSE" for one in rows)),
        "twins.detected": _share(one.right for one in told),
    }


def _share(hits: Iterable[bool]) -> float:
    taken = list(hits)
    return fmean(taken) if taken else float("nan")


def _line(found: ClusterFinding) -> dict[str, JsonValue]:
    return {
        "rule": found.rule.id,
        "seen_on": f"{found.kind}/{found.name}",
        "object": found.object,
        "score": round(found.score, 3),
        "cause": found.cause,
    }


def _row(one: ObjectRow) -> dict[str, JsonValue]:
    return {
        "id": f"{one.case}: {one.verdict.kind}/{one.verdict.name}",
        "outcome": one.outcome,
        "what": ", ".join(sorted(one.verdict.what)),
        "findings": [_line(found) for found in one.said],
    }


def _twin_row(one: TwinRow) -> dict[str, JsonValue]:
    return {
        "id": one.case,
        "outcome": "right" if one.right else "MISSED",
        "want": one.want,
        "findings": [_line(found) for found in one.said],
    }


def _short(said: Sequence[ClusterFinding]) -> str:
    return "; ".join(f"{one.rule.id} {one.kind}/{one.name} {number(one.score)}" for one in said)


def _by_object(rows: Sequence[ObjectRow]) -> Table:
    return Table(
        title="objects",
        columns=("case", "object", "what", "", "we say"),
        rows=tuple(
            (one.case, f"{one.verdict.kind}/{one.verdict.name}",
             ", ".join(sorted(one.verdict.what)), one.outcome, _short(one.said))
            for one in rows
        ),
    )  # fmt: skip


def _by_twin(told: Sequence[TwinRow]) -> Table:
    return Table(
        title="twins",
        columns=("namespace", "want", "", "we say"),
        rows=tuple(
            (one.case, one.want, "right" if one.right else "MISSED", _short(one.said))
            for one in told
        ),
    )
