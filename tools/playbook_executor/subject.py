"""What is known of one component: the facts about it, without its name in their keys."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tools.types import (
    Change,
    ComponentKind,
    Fact,
    FloatArray,
    Owner,
    Precondition,
    Series,
    Timestamp,
    Topology,
)

_KINDS: tuple[ComponentKind, ...] = (
    "service",
    "gateway",
    "database",
    "cache",
    "queue",
    "node",
    "external",
)
_UNKNOWN: ComponentKind = "unknown"


@dataclass(frozen=True)
class PlaybookSubject:
    """The component a plan would act on, and what is known of it."""

    service: str
    kind: ComponentKind
    facts: Mapping[str, Fact]

    @classmethod
    def of(cls, component: str, facts: Mapping[str, Fact]) -> "PlaybookSubject":
        """Keep the facts `<fact>:<component>`; add what the component's own name says.

        >>> PlaybookSubject.of("cart", {"replicas:cart": 3.0, "replicas:web": 2.0}).facts
        {'replicas': 3.0}
        """
        owner = Owner.parse(component)
        known: dict[str, Fact] = {}
        for key, value in facts.items():
            fact, _, about = key.partition(":")
            if about in (owner.service, component):
                known[fact] = value
        if owner.kind == "node":
            known["node"] = owner.service
        known |= _call(owner, known)
        said = "node" if owner.kind == "node" else known.get("kind")
        kind = next((kind for kind in _KINDS if kind == said), _UNKNOWN)
        return cls(owner.service, kind, known)


def _call(owner: Owner, known: Mapping[str, Fact]) -> dict[str, Fact]:
    """Who calls whom, where the fault lies between two: `calling` and `called`.

    An edge names both. A service of ours is the one that calls, and the fact `dependency` says
    whom. What lies outside of our view is the one that is called, and the fact `caller` says by
    whom: a service of ours also has a caller, but that one's calls to it are not at fault.
    """
    if owner.caller:
        return {"calling": owner.caller, "called": owner.service}
    if "dependency" in known:
        return {"calling": owner.service, "called": known["dependency"]}
    if "caller" in known and known.get("kind") == "external":
        return {"calling": known["caller"], "called": owner.service}
    return {}


def broken(condition: Precondition, facts: Mapping[str, Fact]) -> str:
    """Why the condition does not hold for these facts; empty if it holds."""
    wanted = f"{condition.fact} {condition.comparison} {condition.value!r}"
    if condition.fact not in facts:
        return "" if condition.missing == "holds" else f"{wanted} is needed, but it is not known"
    value = facts[condition.fact]
    return "" if _holds(value, condition) else f"{wanted} is needed, but it is {value!r}"


def _holds(value: Fact, condition: Precondition) -> bool:
    bound = condition.value
    if isinstance(value, str) or isinstance(bound, str):
        return condition.comparison == "==" and value == bound
    return {
        "<": value < bound,
        "<=": value <= bound,
        "==": value == bound,
        ">=": value >= bound,
        ">": value > bound,
    }[condition.comparison]


_RELEASES = frozenset({"deploy", "canary", "config"})
_RATE = re.compile(r"(?:^|_)(?:rps|qps|request_rate|requests_per_second)(?:_|$)")


def known(
    topology: Topology,
    changes: Sequence[Change] = (),
    baseline: Sequence[Series] = (),
    onset: Timestamp | None = None,
    newest: Sequence[Series] = (),
) -> dict[str, Fact]:
    """What topology, changes and normal operation say, under keys `<fact>:<component>`.

    `kind` (`external` for what is called but is none of our nodes), `caller` and `dependency` (only
    where there is exactly one; a dependency is an external callee), `deploy_age_s` (seconds from
    the last deploy, canary or configuration change to the onset), `normal_rps` (median of the
    request rate in normal operation) and `rps_ratio` (how many times that the last point of
    `newest` is: a limit above what comes cuts nothing).

    >>> from tools.types import Edge
    >>> known(Topology(nodes=("pay",), edges=(Edge(caller="pay", callee="bank"),)))
    {'kind:bank': 'external', 'caller:bank': 'pay', 'dependency:pay': 'bank'}
    """
    found = _of_topology(topology)
    normal = {name: float(np.median(values)) for name, values in _rates(baseline).items()}
    found |= {f"normal_rps:{name}": rate for name, rate in normal.items()}
    for name, values in _rates(newest).items():
        if normal.get(name, 0.0) > 0.0:
            found[f"rps_ratio:{name}"] = round(float(values[-1]) / normal[name], 2)
    if onset is not None:
        for change in changes:
            age, key = onset - change.at, f"deploy_age_s:{change.service}"
            if change.kind in _RELEASES and 0 <= age < float(found.get(key, np.inf)):
                found[key] = age
    return found


def _of_topology(topology: Topology) -> dict[str, Fact]:
    ours = set(topology.nodes)
    callers: dict[str, set[str]] = {}
    outside: dict[str, set[str]] = {}
    for edge in topology.edges:
        callers.setdefault(edge.callee, set()).add(edge.caller)
        if ours and edge.callee not in ours:
            outside.setdefault(edge.caller, set()).add(edge.callee)
    externals = sorted({callee for callees in outside.values() for callee in callees})
    found: dict[str, Fact] = {f"kind:{callee}": "external" for callee in externals}
    found |= {f"caller:{callee}": min(who) for callee, who in callers.items() if len(who) == 1}
    found |= {f"dependency:{who}": min(them) for who, them in outside.items() if len(them) == 1}
    return found


def _rates(measured: Sequence[Series]) -> dict[str, FloatArray]:
    found: dict[str, FloatArray] = {}
    for series in measured:
        owner = Owner.parse(series.owner)
        values = series.values[np.isfinite(series.values)]
        if owner.kind == "service" and values.size and _RATE.search(series.metric.lower()):
            found.setdefault(owner.service, values)
    return found
