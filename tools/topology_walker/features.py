"""From evidence to one row of figures per component; each figure knows its evidence.

Every figure lies in [0, 1]. `level(z)` maps robust standard deviations so that 100 of them are 1.
What a component inherits from what it calls is taken off before anything is weighed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tools.topology_walker.graph import callees_of, components, downstream, upstream
from tools.topology_walker.inherited import errors, latency
from tools.topology_walker.pressure import Pressure
from tools.topology_walker.reported import (
    changes_made,
    cluster_findings,
    log_lines,
    scored_alerts,
)
from tools.topology_walker.scene import Feature, FeatureRow, Figure, Figures, Scene, keep, level
from tools.topology_walker.signals import read
from tools.topology_walker.signatures import asked_again, measured, surges, telltale
from tools.types import Evidence, Owner, Timestamp, Topology


def rows(
    evidence: Sequence[Evidence], topology: Topology, onset: Timestamp
) -> dict[str, FeatureRow]:
    """Compute every figure, in [0, 1], of every component in the topology or the evidence."""
    scene = Scene(
        evidence,
        topology,
        _names(evidence, topology),
        callees_of(topology),
        onset,
        any(item.name in ("self_time", "wire_time") for item in evidence),
        _pages(evidence, topology),
    )
    found: dict[str, FeatureRow] = {name: {} for name in scene.names}
    for compute in _FIGURES:
        for (name, feature), figure in compute(scene).items():
            row = found.get(name)
            if row is None or figure.value <= 0:
                continue
            known = row.get(feature)
            if known is None or figure.value > known.value:
                row[feature] = figure
    _explain_callers(found, scene)
    return {name: _corroborated(row) for name, row in found.items()}


_SUFFERED: tuple[Feature, ...] = (
    "own errors",
    "missing step",
    "new error path",
    "new log template",
    "own latency",
)


def _explain_callers(found: dict[str, FeatureRow], scene: Scene) -> None:
    """Take off what callers suffer from a component of which a reading is wrong by itself.

    A clock or a certificate is nobody's consequence, and the calls it spoils end at its callers.
    """
    for wrong, sure in measured(scene.evidence).items():
        for caller in upstream(scene.topology, wrong):
            row = found.get(caller, {})
            for feature in _SUFFERED:
                suffered = row.pop(feature, None)
                if suffered is not None and sure < 1.0:
                    row[feature] = Figure((1.0 - sure) * suffered.value, suffered.evidence)


_ALONE = 0.4


def _corroborated(row: FeatureRow) -> FeatureRow:
    """A change of a component that shows nothing else counts less: most changes are harmless."""
    if "recent change" not in row or len(row) > 1:
        return row
    change = row["recent change"]
    return {"recent change": Figure(_ALONE * change.value, change.evidence)}


def _pages(evidence: Iterable[Evidence], topology: Topology) -> dict[str, frozenset[str]]:
    """The paged components the topology knows, and the families of what they were paged for."""
    known = components(topology)
    found: dict[str, frozenset[str]] = {}
    for item in evidence:
        if item.kind == "alert" and "page" in item.figures and item.subject in known:
            family = read(item.name).family
            about = {"errors" if family == "success" else family}
            found[item.subject] = found.get(item.subject, frozenset()) | about
    return found


def _names(evidence: Iterable[Evidence], topology: Topology) -> tuple[str, ...]:
    found = dict.fromkeys(components(topology))
    for item in evidence:
        owner = Owner.parse(item.subject)
        if owner.kind in ("service", "version", "edge"):
            found |= dict.fromkeys(name for name in (owner.service, owner.caller) if name)
    return tuple(found)


_RESOURCES: dict[str, Feature] = {
    "cpu": "own cpu",
    "memory": "own memory",
    "disk": "own disk",
    "saturation": "own saturation",
}


def _resources(scene: Scene) -> Figures:
    """level(z) weighed by the component's share of the change among all that have the metric.

    What is used more, but is neither near its limit nor what the component waits for, counts less.
    """
    found: Figures = {}
    pressure = Pressure(scene.evidence)
    for item in scene.evidence:
        signal, owner = read(item.name), Owner.parse(item.subject)
        feature = _RESOURCES.get(signal.family)
        if item.kind != "metric" or "canary" in item.figures or signal.per_node:
            continue
        if owner.kind == "service" and feature and item.direction == "up":
            share = 0.25 + 0.75 * item.figures["share"]
            value = level(item.figures["z"]) * share * item.figures["fresh"] * pressure.of(item)
            keep(found, owner.service, feature, value, item.id)
        if owner.kind == "service" and signal.family == "instances" and item.direction == "down":
            keep(found, owner.service, "fewer instances", level(-item.figures["z"]), item.id)
    return found


def _traffic(scene: Scene) -> Figures:
    """Score the front door by the surge that comes in; elsewhere more calls are a consequence."""
    found: Figures = {}
    repeats = asked_again(scene.evidence, scene.topology)
    for sure, id_ in surges(scene.evidence, scene.topology, repeats):
        keep(found, scene.topology.entry, "more traffic", sure, id_)
    return found


def own_time(scene: Scene) -> Figures:
    """Seconds per trace that a component's own code takes longer, beside the most of any."""
    own = [item for item in scene.evidence if item.kind == "trace" and item.name == "self_time"]
    most = max((item.figures["per_trace"] for item in own), default=0.0)
    found: Figures = {}
    for item in own:
        share = item.figures["per_trace"] / most if most > 0 else 0.0
        value = level(item.figures["z"]) * share**0.5
        keep(found, Owner.parse(item.subject).service, "own time in traces", value, item.id)
    return found


def wire(scene: Scene) -> Figures:
    """Score components by the time, in seconds, that is lost on the wire of their call edges. A
    component stands out if it is an end of most such edges and of few others.

    cover = share of all such edges' weight that touches the component; purity = share of its
    measured edges that are such; a single edge counts for its callee first.
    """
    weight: dict[str, float] = {}
    ids: dict[str, list[str]] = defaultdict(list)
    degree: dict[str, float] = defaultdict(float)
    lost = [i for i in scene.evidence if i.name in ("wire_latency", "wire_time")]
    most = max((item.figures["delta"] for item in lost), default=0.0)
    for item in lost:
        value = level(item.figures["z"]) * (max(item.figures["delta"], 0.0) / most) ** 0.5
        weight[item.subject] = max(weight.get(item.subject, 0.0), value)
        ids[item.subject].append(item.id)
        caller, _, callee = item.subject.partition("->")
        degree[caller] = max(degree[caller], item.figures["caller_edges"])
        degree[callee] = max(degree[callee], item.figures["callee_edges"])
    total = sum(weight.values())
    found: Figures = {}
    for name in degree:
        touching = [edge for edge in weight if name in edge.split("->")]
        hit = sum(weight[edge] * (1.0 if edge.endswith(f"->{name}") else 0.8) for edge in touching)
        strongest = max(weight[edge] for edge in touching)
        purity = min(hit / max(degree[name] * strongest, 1e-9), 1.0)
        value = strongest * (hit / total) * (0.4 + 0.6 * purity) if total > 0 else 0.0
        keep(found, name, "time on the wire", value, *(i for e in touching for i in ids[e][:2]))
    return found


_CALLER_FAILING = 0.3


def steps(scene: Scene) -> Figures:
    """Score missing and new steps; a component keeps half if one of its callees explains them.
    Callees explain them by a like finding or by failing calls.
    """
    failed = {
        Owner.parse(item.subject).caller
        for item in scene.evidence
        if item.name == "caller_errors" and item.figures["delta"] >= _CALLER_FAILING
    }
    names: dict[str, Feature] = {"missing_step": "missing step", "new_step": "new error path"}
    found: Figures = {}
    for name, feature in names.items():
        raw = {
            Owner.parse(item.subject).service: (_telling(item), item.id)
            for item in scene.evidence
            if item.name == name and item.kind in ("log", "trace")
        }
        for service, (value, id_) in raw.items():
            below = max(
                (raw[c][0] for c in downstream(scene.topology, service) if c in raw), default=0.0
            )
            explained = below >= 0.75 * value or service in failed
            inherited = 0.5 * value if explained else 0.0
            keep(found, service, feature, value - inherited, id_)
    return found


def _telling(item: Evidence) -> float:
    """z of a step from 2 (nothing) to 6 (certain); a new step that is no error counts half."""
    certain = float(np.clip((item.figures["z"] - 1.5) / 3.5, 0.0, 1.0))
    return certain * (0.5 if item.name == "new_step" and not item.figures["error"] else 1.0)


_FIGURES: tuple[Callable[[Scene], Figures], ...] = (
    telltale,
    _resources,
    _traffic,
    latency,
    errors,
    own_time,
    wire,
    steps,
    log_lines,
    changes_made,
    scored_alerts,
    cluster_findings,
)
