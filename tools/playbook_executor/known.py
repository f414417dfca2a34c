"""Facts about components that follow from what was observed, for choosing and checking a plan."""

import re
from collections.abc import Sequence

import numpy as np

from tools.types import Change, Fact, Owner, Series, Timestamp, Topology

_RELEASES = frozenset({"deploy", "canary", "config"})
_RATE = re.compile(r"(?:^|_)(?:rps|qps|request_rate|requests_per_second)(?:_|$)")


def known(
    topology: Topology,
    changes: Sequence[Change] = (),
    baseline: Sequence[Series] = (),
    onset: Timestamp | None = None,
) -> dict[str, Fact]:
    """What topology, changes and normal operation say, under keys `<fact>:<component>`.

    `kind` (`external` for what is called but is none of our nodes), `caller` and `dependency` (only
    where there is exactly one; a dependency is an external callee), `deploy_age_s` (seconds from
    the last deploy, canary or configuration change to the onset) and `normal_rps` (median of the
    request rate in normal operation).

    >>> from tools.types import Edge
    >>> known(Topology(nodes=("pay",), edges=(Edge(caller="pay", callee="bank"),)))
    {'kind:bank': 'external', 'caller:bank': 'pay', 'dependency:pay': 'bank'}
    """
    found = _of_topology(topology)
    found |= {f"normal_rps:{service}": rate for service, rate in _rates(baseline).items()}
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


def _rates(baseline: Sequence[Series]) -> dict[str, float]:
    found: dict[str, float] = {}
    for series in baseline:
        owner = Owner.parse(series.owner)
        values = series.values[np.isfinite(series.values)]
        if owner.kind == "service" and values.size and _RATE.search(series.metric.lower()):
            found.setdefault(owner.service, float(np.median(values)))
    return found
