"""Latency and errors of a component, less what it inherits from what it calls."""

from dataclasses import dataclass

from tools.topology_walker.scene import Feature, Figure, Figures, Scene, keep, level
from tools.topology_walker.signals import read, seconds_per
from tools.types import Evidence, Owner


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


def latency(scene: Scene) -> Figures:
    """Score the rise of each component's latency that its callees and the wire do not explain."""
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


def errors(scene: Scene) -> Figures:
    """Score the errors at each component that errors of its callees do not explain."""
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
