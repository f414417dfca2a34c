"""From evidence to one row of figures per component; each figure knows its evidence.

Every figure lies in [0, 1]. `level(z)` maps robust standard deviations so that 100 of them are 1.
What a component inherits from what it calls is taken off before anything is weighed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tools.topology_walker.graph import callees_of, components, downstream
from tools.topology_walker.scene import Feature, Figure, Figures, Row, Scene, keep, level
from tools.topology_walker.signals import read, seconds_per
from tools.types import Evidence, Owner, Timestamp, Topology


def rows(evidence: Sequence[Evidence], topology: Topology, onset: Timestamp) -> dict[str, Row]:
    """All figures of all components that the topology or the evidence names."""
    scene = Scene(
        evidence,
        topology,
        _names(evidence, topology),
        callees_of(topology),
        onset,
        any(item.name in ("self_time", "wire_time") for item in evidence),
        _pages(evidence, topology),
    )
    found: dict[str, Row] = {name: {} for name in scene.names}
    for compute in _FIGURES:
        for (name, feature), figure in compute(scene).items():
            row = found.get(name)
            if row is None or figure.value <= 0:
                continue
            known = row.get(feature)
            if known is None or figure.value > known.value:
                row[feature] = figure
    return found


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
    """level(z) weighed by the component's share of the change among all that have the metric."""
    found: Figures = {}
    for item in scene.evidence:
        signal, owner = read(item.name), Owner.parse(item.subject)
        feature = _RESOURCES.get(signal.family)
        if item.kind != "metric" or "canary" in item.figures or signal.per_node:
            continue
        if owner.kind == "service" and feature and item.direction == "up":
            share = 0.25 + 0.75 * item.figures["share"]
            value = level(item.figures["z"]) * share * item.figures["fresh"]
            keep(found, owner.service, feature, value, item.id)
        if owner.kind == "service" and signal.family == "instances" and item.direction == "down":
            keep(found, owner.service, "fewer instances", level(-item.figures["z"]), item.id)
    return found


_SURGE_FROM, _SURGE_SURE = 1.3, 2.3


def _traffic(scene: Scene) -> Figures:
    """Times the usual rate at the front door: from 1.3 (nothing) to 2.3 (a surge, surely).

    Behind the door more calls are a consequence; only there do they come from outside.
    """
    found: Figures = {}
    for item in scene.evidence:
        owner = Owner.parse(item.subject)
        at_door = owner.kind == "entry" or owner.service == scene.topology.entry
        if item.kind != "metric" or not at_door or read(item.name).family != "traffic":
            continue
        sure = (item.figures["ratio"] - _SURGE_FROM) / (_SURGE_SURE - _SURGE_FROM)
        value = float(np.clip(sure, 0.0, 1.0)) * item.figures["fresh"] * item.figures["steady"]
        keep(found, scene.topology.entry, "more traffic", value, item.id)
    return found


@dataclass(frozen=True, slots=True)
class _Risen:
    """How much something rose at a component or edge: amount, calls it applies to, level."""

    amount: float
    rate: float | None
    level: float
    id: str


_Rises = list[tuple[str, _Risen]]


def _highest(items: _Rises) -> dict[str, _Risen]:
    found: dict[str, _Risen] = {}
    for name, risen in items:
        if name not in found or risen.amount > found[name].amount:
            found[name] = risen
    return found


def _latency(scene: Scene) -> Figures:
    """Rise of a component's latency that its callees (with the wire to them) do not explain."""
    at: _Rises = []
    calls: _Rises = []
    for item in scene.evidence:
        owner, signal = Owner.parse(item.subject), read(item.name)
        if item.direction != "up" or item.value is None:
            continue
        if item.kind == "metric" and owner.kind == "service":
            if signal.family == "latency" and signal.side == "own":
                rise = (item.value - (item.baseline or 0.0)) * seconds_per(item.unit)
                at.append((owner.service, _risen(item, rise, item.figures["z"])))
        elif item.kind == "edge" and item.name.endswith("latency"):
            risen = _risen(item, item.figures["delta"], item.figures["z"])
            calls.append((item.subject, risen))
            if item.name == "callee_latency":
                at.append((owner.service, risen))
    found = _unexplained(scene, at, calls, "own latency")
    if not scene.traced:
        return found
    # Traces say where the time went; a percentile of a histogram then adds little.
    return {key: Figure(0.35 * one.value, one.evidence) for key, one in found.items()}


def _risen(item: Evidence, amount: float, z: float) -> _Risen:
    fresh = item.figures.get("fresh", 1.0)
    return _Risen(amount * fresh, item.figures.get("rate"), level(z) * fresh, item.id)


def _errors(scene: Scene) -> Figures:
    """Errors at a component that errors of its callees do not explain."""
    at: _Rises = []
    calls: _Rises = []
    for item in scene.evidence:
        owner, signal = Owner.parse(item.subject), read(item.name)
        if item.kind == "metric" and signal.family in ("success", "errors"):
            worse = item.figures.get("worse", 0.0)
            if owner.kind == "service" and worse > 0 and item.value is not None:
                whole = 1.0 if max(item.value, item.baseline or 0.0) <= 1.0 else 100.0
                amount = abs(item.value - (item.baseline or 0.0)) / whole
                at.append((owner.service, _risen(item, amount, worse)))
        elif item.kind == "edge" and item.name.endswith("errors"):
            risen = _risen(item, item.figures["delta"], item.figures["z"])
            if item.figures["outside"]:
                # Whose dependency it is has to act; the outside is no component of this system.
                at.append((owner.caller, risen))
            else:
                calls.append((item.subject, risen))
                at.append((owner.service, risen))
    found = _unexplained(scene, at, calls, "own errors")
    changed = {
        Owner.parse(item.subject).service for item in scene.evidence if item.kind == "change"
    }
    for (name, feature), figure in found.items():
        if name not in changed and changed & set(scene.callees.get(name, ())):
            found[name, feature] = Figure(0.7 * figure.value, figure.evidence)
    return found


# Without request rates one call of the caller may stand for several of the callee.
_CALLS_PER_CALL = 2.0


def _unexplained(scene: Scene, at: _Rises, calls: _Rises, feature: Feature) -> Figures:
    """What is left of each rise when that of the callees is taken off, beside the most left.

    Where all rates are known, amounts are totals (rise x rate), so that a slow component that is
    seldom called does not outshine a busy one.
    """
    rises, edges = _highest(at), _highest(calls)
    rates = {name: risen.rate for name, risen in rises.items() if risen.rate is not None}
    rated = 2 * len(rates) >= len(rises) > 0
    least = min(rates.values(), default=0.0)
    weight = {name: rates.get(name, least) if rated else 1.0 for name in rises}
    total = {name: risen.amount * weight[name] for name, risen in rises.items()}
    own: dict[str, float] = {}
    for name in rises:
        explained = 0.0
        for callee in scene.callees.get(name, ()):
            edge = edges.get(f"{name}->{callee}")
            called = weight.get(callee, weight[name])
            on_edge = edge.amount * min(called, weight[name]) if edge else 0.0
            explained = max(explained, total.get(callee, 0.0), on_edge)
        own[name] = max(total[name] - explained * (1.0 if rated else _CALLS_PER_CALL), 0.0)
    most = max((*total.values(), *(e.amount for e in edges.values() if not rated)), default=0.0)
    found: Figures = {}
    for name, amount in own.items():
        if amount > 0:
            share = (amount / total[name]) * (amount / most) ** (1.0 if rated else 0.5)
            value = rises[name].level * share * scene.beside_page(name, feature.split()[1])
            keep(found, name, feature, value, rises[name].id)
    return found


def _traces(scene: Scene) -> Figures:
    """Seconds per trace that a component's own code takes longer, beside the most of any."""
    own = [item for item in scene.evidence if item.kind == "trace" and item.name == "self_time"]
    most = max((item.figures["per_trace"] for item in own), default=0.0)
    found: Figures = {}
    for item in own:
        share = item.figures["per_trace"] / most if most > 0 else 0.0
        value = level(item.figures["z"]) * share**0.5
        keep(found, Owner.parse(item.subject).service, "own time in traces", value, item.id)
    return found


def _wire(scene: Scene) -> Figures:
    """Who stands at the end of all edges that lose time on the wire, and of few others.

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


_FAILING = 0.3


def _flows(scene: Scene) -> Figures:
    """Cut and new steps; who calls a component with a like finding, or that fails, inherits it."""
    failed = {
        Owner.parse(item.subject).caller
        for item in scene.evidence
        if item.name == "caller_errors" and item.figures["delta"] >= _FAILING
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


def _novelty(scene: Scene) -> Figures:
    """New log templates, as strong as the instrument that found them says, beside the strongest."""
    new = [
        item
        for item in scene.evidence
        if item.kind == "log" and item.name not in ("missing_step", "new_step")
    ]
    most = max((item.strength for item in new), default=0.0)
    found: Figures = {}
    for item in new:
        service = Owner.parse(item.subject).service
        keep(found, service, "new log template", item.strength / most if most else 0.0, item.id)
    return found


def _changes(scene: Scene) -> Figures:
    """The last change before the onset counts most; a canary that differs counts by how much.

    A component that errs without an erring callee may have been fed wrong values: what was changed
    among its callees is then suspect, but for those it no longer calls at all.
    """
    found: Figures = {}
    starved = _starved(scene)
    changed = [item for item in scene.evidence if item.kind == "change"]
    for item in changed:
        service = Owner.parse(item.subject).service
        later, ago = item.figures["later_changes"], item.figures["ago_s"]
        fresh = 1.0 / (1.0 + max(ago, 0.0) / 1800.0) * (0.3 if service in starved else 1.0)
        keep(found, service, "recent change", fresh / (1.0 + 0.5 * later), item.id)
    for item in scene.evidence:
        if "canary" in item.figures:
            service = Owner.parse(item.subject).service
            value = level(item.figures["z"]) * (0.3 if service in starved else 1.0)
            keep(found, service, "canary differs", value, item.id)
    changes = {Owner.parse(item.subject).service: item.id for item in changed}
    for (name, _), figure in _errors(scene).items():
        for service in scene.callees.get(name, ()):
            if service in changes and service not in starved and name not in changes:
                ids = (changes[service], *figure.evidence)
                keep(found, service, "change below errors", figure.value / 0.7, *ids)
    return found


def _starved(scene: Scene) -> frozenset[str]:
    """Components that nobody calls any more."""
    stopped = {item.subject for item in scene.evidence if item.name == "no_calls"}
    callees = {edge.partition("->")[2] for edge in stopped}
    calling = {f"{e.caller}->{e.callee}" for e in scene.topology.edges} - stopped
    return frozenset(callees - {edge.partition("->")[2] for edge in calling})


_BESIDE_LOUDEST: dict[str, tuple[tuple[Feature, str], ...]] = {
    "trace": (("alerts on calls", "score"), ("alerts on one instance", "apart")),
    "spans": (("alerts on own spans", "score"),),
    "log": (("alerts in logs", "count"),),
}


def _alerts(scene: Scene) -> Figures:
    """Alerts that carry a score: on a component's own metrics, on its calls, in its logs.

    A score of 3 on a metric is common in a storm, one of 7 is not, nor are five strange metrics of
    one instance. The others count beside the loudest of their kind.
    """
    found: Figures = {}
    alerts = [item for item in scene.evidence if item.kind == "alert"]
    for item in alerts:
        if "metric" in item.figures:
            loud = float(np.clip((item.figures["score"] - 2.5) / 4.0, 0.0, 1.0))
            many = min(item.figures["signals"] / 5.0, 1.0)
            value = (2.0 * loud + many) / 3.0
            keep(found, item.subject, "alerts on resources", value, item.id)
    for kind, features in _BESIDE_LOUDEST.items():
        members = [item for item in alerts if kind in item.figures]
        for feature, figure in features:
            most = max((item.figures[figure] for item in members), default=0.0)
            for item in members:
                value = item.figures[figure] / most if most > 0 else 0.0
                keep(found, item.subject, feature, value, item.id)
    return found


def _cluster(scene: Scene) -> Figures:
    """Findings of the cluster inspector, beside the strongest."""
    found: Figures = {}
    objects = [item for item in scene.evidence if item.kind == "cluster"]
    most = max((item.strength for item in objects), default=0.0)
    for item in objects:
        name = next((n for n in scene.names if n and n in item.subject), "")
        keep(found, name, "cluster finding", item.strength / most if most else 0.0, item.id)
    return found


_FIGURES: tuple[Callable[[Scene], Figures], ...] = (
    _resources,
    _traffic,
    _latency,
    _errors,
    _traces,
    _wire,
    _flows,
    _novelty,
    _changes,
    _alerts,
    _cluster,
)
