"""What kind of fault a component has, from the same evidence that makes it a suspect.

Why these numbers: docs/decisions/telltale-signs.md.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np

from tools.topology_walker.pressure import Pressure, is_wait
from tools.topology_walker.scene import Feature, FeatureRow, level
from tools.topology_walker.signals import MetricCategory, read
from tools.topology_walker.signatures import SignatureMatch, stated_by
from tools.types import Evidence, FaultKind, Owner

_FULL = re.compile(r"used|usage|full|free|avail|inode")
_LOCK, _QUEUE = re.compile(r"lock"), re.compile(r"queue|backlog|lag")
_LOSS = re.compile(r"retrans|loss|drop|corrupt|out_of_order|dup")
_KINDS: frozenset[str] = frozenset(get_args(FaultKind))

_SATURATED = 80.0
_ENOUGH = 0.85
"""A cause of another kind slows the wire, too: more than this much is no surer sign of it."""

_SYMPTOMS_OF_ERRORS = 0.9
"""Errors, their log lines and their traces are one symptom seen thrice; together they vote so."""

_FILLED, _FILLED_Z = 2.5, 20.0
"""Memory whose limit nobody recorded counts as full at 2.5 times its usual, steady level."""

_GREW = 5.0
"""However it wavered before: five times the usual memory is no wavering."""

_LONG_WAIT = 10.0
"""A wait ten times as long as usual that explains the latency is a resource at its limit."""

_STATED = 0.3
"""A rule that a person wrote says so, too; a release a minute before still explains a full pool."""

_AT_LIMIT = 90.0
_ROSE = 1.1
_LIMITS: dict[MetricCategory, float] = {"disk": 1.6, "memory": 1.5, "cpu": 1.25, "saturation": 1.0}
"""A resource that rose to its limit explains the errors and the waiting at the component.

In this order: who computes or swaps all the time also holds its connections longer.
"""

_EXHAUSTED: frozenset[FaultKind] = frozenset(
    {"disk_full", "memory_pressure", "cpu_saturation", "pool_exhaustion", "lock_contention"}
)

_JUST_S = 900.0
_RELEASED = 1.4
"""A change of the located component minutes before explains what its resources do, too."""

_STARTS_S = 120.0
"""A release that cannot run is gone within this time; what ended later had been running."""

_LOST, _LOSSES = 1.3, 3.0
"""Packets lost at three times the usual rate explain errors, waiting and slow answers."""

_LIKELY = 0.5
_SURGE = 1.8
_OUTSIDE = 1.15

_BY_FEATURE: dict[Feature, tuple[FaultKind, float]] = {
    "fewer instances": ("process_down", 1.0),
    "own latency": ("slow_dependency", 0.5),
    "own time in traces": ("cpu_saturation", 0.1),
    "time on the wire": ("network_delay", 1.1),
    "own errors": ("errors", 0.6),
    "missing step": ("errors", 1.0),
    "new error path": ("errors", 0.6),
    "new log template": ("errors", 0.2),
    "canary differs": ("bad_deploy", 1.5),
    "change below errors": ("bad_deploy", 1.0),
    "alerts on calls": ("network_delay", 0.1),
    "alerts on one instance": ("network_delay", 0.1),
}
_BY_CHANGE: dict[str, FaultKind] = {
    "deploy": "bad_deploy",
    "canary": "bad_deploy",
    "config": "bad_config",
    "flag": "errors",  # of the feature behind it, which can be turned off again
}


def fault_kind(
    component: str, row: FeatureRow, evidence: Sequence[Evidence], told: Sequence[SignatureMatch]
) -> FaultKind | None:
    """Return the fault kind with the most votes of the evidence on `component`, None without votes.

    Each figure of the row and each resource that moved votes with its strength. What fills memory
    burns CPU too, and what queues holds memory, so memory counts fully only from a rise to about
    2.5 times on or where it nears its limit, and CPU only where it stays up or is used up.
    """
    votes: dict[FaultKind, float] = defaultdict(float)
    for feature, figure in row.items():
        if feature in _BY_FEATURE:
            kind, weight = _BY_FEATURE[feature]
            votes[kind] += weight * min(figure.value, _ENOUGH)
    here = [sign for sign in told if sign.component == component]
    seen = list(_from_evidence(component, row, evidence, here))
    # A step is not reached because the call before it failed, where a sign, a surge or a resource
    # at its limit says why it failed.
    told_why = any(sign.sure >= _LIKELY for sign in here)
    surge = "more traffic" in row and row["more traffic"].value >= _LIKELY
    exhausted = any(kind in _EXHAUSTED and weight >= _SYMPTOMS_OF_ERRORS for kind, weight in seen)
    if "missing step" not in row or told_why or surge or exhausted:
        votes["errors"] = min(votes["errors"], _SYMPTOMS_OF_ERRORS)
    told_of = [(sign.kind, sign.vote * sign.sure) for sign in here]
    for kind, weight in (*_outside(component, evidence), *_surge(row)):
        votes[kind] = max(votes[kind], weight)
    for kind, weight in seen:
        votes[kind] += weight
    # What is told and measured is one thing: a lock that is waited for may be held by a slow disk.
    for kind, weight in told_of:
        votes[kind] = max(votes[kind], weight)
    best = max(votes.items(), key=lambda vote: vote[1], default=None)
    return best[0] if best and best[1] > 0 else None


def _outside(component: str, evidence: Sequence[Evidence]) -> Iterable[tuple[FaultKind, float]]:
    """What nobody measures from within: all that is known of it is how it answers its callers."""
    for item in evidence:
        owner = Owner.parse(item.subject)
        if owner.kind != "edge" or not item.figures.get("outside"):
            continue
        if component in (owner.caller, owner.service) and item.direction == "up":
            value = _OUTSIDE * level(item.figures["z"])
            if item.name == "caller_errors":
                yield "dependency_down", value
            elif item.name == "caller_latency":
                yield "slow_dependency", value


def _surge(row: FeatureRow) -> Iterable[tuple[FaultKind, float]]:
    """More arrives at the front door than ever: the load explains what it fills."""
    if "more traffic" in row:
        yield "traffic_surge", _SURGE * row["more traffic"].value


def _from_evidence(
    component: str, row: FeatureRow, evidence: Sequence[Evidence], here: Sequence[SignatureMatch]
) -> Iterable[tuple[FaultKind, float]]:
    pressure = Pressure(evidence)
    gone = any(sign.kind == "process_down" and sign.sure >= 1.0 for sign in here)
    signed = {sign.evidence for sign in here}
    for item in evidence:
        owner = Owner.parse(item.subject)
        if owner.service != component or owner.kind == "edge":
            continue
        if item.kind == "cluster" and item.name in _KINDS:
            yield item.name, 2.0  # type: ignore[misc]
        elif item.kind == "change" and "recent change" in row:
            kind = _BY_CHANGE.get(item.name)
            if kind is not None:
                fresh = item.figures["ago_s"] <= (_STARTS_S if gone else _JUST_S)
                yield kind, (_RELEASED if fresh else 0.8) * row["recent change"].value
        elif (said := stated_by(item)) is not None and item.id not in signed:
            yield said, _STATED * (pressure.held(component) if said == "pool_exhaustion" else 1.0)
        elif item.kind == "alert" and "metric" in item.figures:
            most = max(i.figures["total"] for i in evidence if _like(i, item))
            yield from _resource(item.name, abs(item.figures["total"]) / max(most, 1e-9))
        elif (
            item.kind == "metric"
            and item.direction == "up"
            and "share" in item.figures
            and not read(item.name).per_node
        ):
            yield from _resource(item.name, _strength(item, pressure.of(item)))


def _like(one: Evidence, other: Evidence) -> bool:
    return one.kind == "alert" and one.subject == other.subject and "metric" in one.figures


def _at_limit(item: Evidence) -> bool:
    rose = item.figures["ratio"] >= _ROSE
    return item.unit == "%" and (item.value or 0.0) >= _AT_LIMIT and rose


def _strength(item: Evidence, pressing: float) -> float:
    figures, family = item.figures, read(item.name).family
    if family in _LIMITS and _at_limit(item):
        return _LIMITS[family] * pressing
    if is_wait(item) and figures["ratio"] >= _LONG_WAIT and pressing >= 1.0:
        return _LIMITS[family] * figures["fresh"]
    if family == "network" and _LOSS.search(item.name) and figures["ratio"] >= _LOSSES:
        return _LOST * figures["fresh"]
    strength = level(figures["z"]) * figures["fresh"]
    if family == "memory":
        if item.unit == "%" and (item.value or 0.0) < _SATURATED:
            return 0.5 * strength
        steady = figures["ratio"] >= _FILLED and figures["z"] >= _FILLED_Z
        if steady or figures["ratio"] >= _GREW:
            return _LIMITS["memory"] * figures["fresh"]
        doubled = np.clip((np.log2(max(figures["ratio"], 1e-3)) - 1.0) / 0.4, 0.0, 1.0)
        return strength * float(0.4 + 0.9 * doubled)
    strength *= (0.25 + 0.75 * figures["share"]) * pressing
    if family == "cpu":
        saturated = item.unit == "%" and (item.value or 0.0) >= _SATURATED
        return strength * (1.1 if saturated else 0.4 + 0.6 * min(figures["steady"] / 0.7, 1.0))
    return 0.4 * strength if family == "disk" else strength


def _resource(metric: str, strength: float) -> Iterable[tuple[FaultKind, float]]:
    family = read(metric).family
    if family == "cpu":
        yield "cpu_saturation", strength
    elif family == "memory":
        yield "memory_pressure", strength
    elif family == "disk":
        yield ("disk_full" if _FULL.search(metric) else "disk_io"), strength
    elif family == "network" and _LOSS.search(metric):
        yield "network_loss", 1.2 * strength
    elif family == "saturation":
        lock, queue = _LOCK.search(metric), _QUEUE.search(metric)
        kind: FaultKind = (
            "lock_contention" if lock else "queue_backlog" if queue else "pool_exhaustion"
        )
        yield kind, strength
    elif family == "traffic":
        yield "traffic_surge", 0.3 * strength
