"""What of a component's slowness, errors, waiting and missing steps its callees do not explain."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from tools.topology_walker.readings import (
    ChangeMade,
    EdgeMoved,
    MetricMoved,
    OwnTime,
    StepMissed,
    StepNew,
    TypedReading,
)
from tools.topology_walker.scene import Scene, between, level

Symptom = Literal["latency", "errors", "fed", "own time", "wire", "missing step", "new step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSymptom(TypedReading):
    """What is left of the symptom `topic`, in [0, 1], when that of the callees is taken off."""

    left: float


def unexplained(scene: Scene) -> list[OwnSymptom]:
    """Every symptom of every component, less what it inherits from what it calls."""
    return [*_latency(scene), *_errors(scene), *_own_time(scene), *_wire(scene), *_steps(scene)]


def _of(what: Symptom, service: str, left: float, *ids: str) -> OwnSymptom:
    return OwnSymptom(ids=ids, service=service, topic=what, left=min(left, 1.0))


class _Rise(NamedTuple):
    """How much something rose at a component or edge: amount, calls it applies to, level."""

    at: str
    amount: float
    rate: float | None
    level: float
    ids: tuple[str, ...]


def _rise(at: str, one: MetricMoved | EdgeMoved, amount: float, z: float) -> _Rise:
    rate = one.rate if isinstance(one, MetricMoved) else None
    return _Rise(at, amount * one.fresh, rate, level(z) * one.fresh, one.ids)


def _latency(scene: Scene) -> Iterator[OwnSymptom]:
    own = (m for m in scene.of(MetricMoved) if m.is_own_latency and m.up)
    at = [_rise(one.service, one, one.rise, one.z) for one in own]
    calls = []
    for what in ("wire_latency", "caller_latency", "callee_latency"):
        for one in scene.rose(what):
            calls.append(_rise(f"{one.caller}->{one.service}", one, one.delta, one.z))
            if what == "callee_latency":
                at.append(_rise(one.service, one, one.delta, one.z))
    for left in _left(scene, at, calls, "latency"):
        # Traces say where the time went; a percentile of a histogram then adds little.
        yield replace(left, left=(TRACED if scene.traced else 1.0) * left.left)


def _errors(scene: Scene) -> Iterator[OwnSymptom]:
    at, calls = [], []
    for one in scene.of(MetricMoved):
        if one.signal.family in ("success", "errors") and one.worse > 0 and not one.at_entry:
            whole = 1.0 if max(one.value, one.usual) <= 1.0 else 100.0
            at.append(_rise(one.service, one, abs(one.value - one.usual) / whole, one.worse))
    for edge in (*scene.rose("caller_errors"), *scene.rose("callee_errors")):
        if edge.outside:
            # Whose dependency it is has to act; the outside is no component of this system.
            at.append(_rise(edge.caller, edge, edge.delta, edge.z))
        else:
            at.append(_rise(edge.service, edge, edge.delta, edge.z))
            calls.append(_rise(f"{edge.caller}->{edge.service}", edge, edge.delta, edge.z))
    changed = {one.service: one.ids for one in scene.of(ChangeMade)}
    for left in _left(scene, at, calls, "errors"):
        # Who errs without an erring callee may have been fed wrong values by one that was changed.
        callees = scene.callees.get(left.service, ()) if left.service not in changed else ()
        fed_by = [name for name in callees if name in changed]
        yield left
        for name in fed_by:
            yield _of("fed", name, left.left, *changed[name], *left.ids)


TRACED = 0.5
"""What slowness counts beside traces, which say where the time went."""


# Without request rates one call of the caller may stand for several of the callee.
_CALLS_PER_CALL = 2.0


def _highest(rises: list[_Rise]) -> dict[str, _Rise]:
    return {one.at: one for one in sorted(rises, key=lambda one: one.amount)}


def _left(scene: Scene, at: list[_Rise], calls: list[_Rise], what: Symptom) -> Iterator[OwnSymptom]:
    """What is left of each rise when that of the callees is taken off, beside the most left.

    Where all rates are known, amounts are totals (rise x rate), so that a slow component that is
    seldom called does not outshine a busy one.
    """
    rises, edges = _highest(at), _highest(calls)
    rates = {name: rise.rate for name, rise in rises.items() if rise.rate is not None}
    rated = 2 * len(rates) >= len(rises) > 0
    least = min(rates.values(), default=0.0)
    weight = {name: rates.get(name, least) if rated else 1.0 for name in rises}
    total = {name: rise.amount * weight[name] for name, rise in rises.items()}
    most = max((*total.values(), *(e.amount for e in edges.values() if not rated)), default=0.0)
    for name, rise in rises.items():
        explained = 0.0
        for callee in scene.callees.get(name, ()):
            edge = edges.get(f"{name}->{callee}")
            on_edge = (
                edge.amount * min(weight.get(callee, weight[name]), weight[name]) if edge else 0.0
            )
            explained = max(explained, total.get(callee, 0.0), on_edge)
        own = total[name] - explained * (1.0 if rated else _CALLS_PER_CALL)
        if own > 0:
            share = (own / total[name]) * (own / most) ** (1.0 if rated else 0.5)
            yield _of(what, name, rise.level * share * scene.beside_page(name, what), *rise.ids)


def _own_time(scene: Scene) -> Iterator[OwnSymptom]:
    """Seconds per trace that a component's own code takes longer, beside the most of any."""
    own = scene.of(OwnTime)
    most = max((one.per_trace for one in own), default=0.0)
    for one in own:
        share = one.per_trace / most if most > 0 else 0.0
        yield _of("own time", one.service, level(one.z) * share**0.5, *one.ids)


def _wire(scene: Scene) -> Iterator[OwnSymptom]:
    """Score components by the time, in seconds, that is lost on the wire of their call edges.

    A component behind the trouble has it on all its edges, mostly as the one that is called.
    """
    lost = [one for one in scene.of(EdgeMoved) if one.what in ("wire_latency", "wire_time")]
    most = max((one.delta for one in lost), default=0.0)
    weight: dict[tuple[str, str], float] = {}
    ids: dict[tuple[str, str], list[str]] = defaultdict(list)
    degree: dict[str, float] = defaultdict(float)
    for one in lost:
        value = level(one.z) * (max(one.delta, 0.0) / most) ** 0.5
        weight[one.edge] = max(weight.get(one.edge, 0.0), value)
        ids[one.edge] += one.ids
        degree[one.caller] = max(degree[one.caller], one.caller_edges)
        degree[one.service] = max(degree[one.service], one.callee_edges)
    total = sum(weight.values())
    for name in degree if total > 0 else ():
        touching = [edge for edge in weight if name in edge]
        hit = sum(weight[edge] for edge in touching)
        strongest = max(weight[edge] for edge in touching)
        purity = min(hit / max(degree[name] * strongest, 1e-9), 1.0)
        told = (number for edge in touching for number in ids[edge][:2])
        yield _of("wire", name, strongest * (hit / total) * (0.4 + 0.6 * purity), *told)


CHANCE_Z, CERTAIN_Z = 2.0, 4.0
"""The z of a step that may be chance, and of one that is certain: 5 % and 1 in 16,000."""


def _steps(scene: Scene) -> Iterator[OwnSymptom]:
    """Missing and new steps; a component keeps half if one of its callees explains them.

    Callees explain them by a like finding or by failing calls.
    """
    failed = {caller for (caller, _), share in scene.failing.items() if share >= 0.5}
    # A new step that is no error by its name says half as much.
    new = [(one, 1.0 if one.error else 0.5) for one in scene.of(StepNew)]
    missed = [(one, 1.0) for one in scene.of(StepMissed)]
    told: dict[Symptom, Sequence[tuple[StepMissed | StepNew, float]]]
    told = {"missing step": missed, "new step": new}
    for what, steps in told.items():
        found = {
            one.service: (sure * between(one.z, CHANCE_Z, CERTAIN_Z), one.ids)
            for one, sure in steps
        }
        for service, (value, ids) in found.items():
            deepest = max((found[n][0] for n in scene.below(service) if n in found), default=0.0)
            explained = deepest >= 0.5 * value or service in failed
            yield _of(what, service, 0.5 * value if explained else value, *ids)
