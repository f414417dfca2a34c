"""What components share without calling it: the node or the zone they run on."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set

from tools.types import ClusterState, Pod

_ZONE = "topology.kubernetes.io/zone"
# Kubernetes names ReplicaSets and their pods in an alphabet without vowels, so prose stays.
_LETTERS = "[bcdfghjklmnpqrstvwxz2456789]"
_SET_HASH = re.compile(rf"-{_LETTERS}{{5,10}}$")
_POD_HASH = re.compile(rf"-{_LETTERS}{{5,10}}-{_LETTERS}{{5}}$")

WorkloadLocations = Mapping[str, Set[str]]
"""Per component, the places it runs in: `node:NAME` and `zone:NAME`."""


def places(state: ClusterState) -> WorkloadLocations:
    """Where the pods of each workload run; pods that are not placed yet are nowhere."""
    zones = {node.name: node.labels.get(_ZONE, "") for node in state.nodes}
    found: dict[str, set[str]] = defaultdict(set)
    for pod in state.pods:
        if pod.node:
            found[_component(pod)].add(f"node:{pod.node}")
            if zones.get(pod.node):
                found[_component(pod)].add(f"zone:{zones[pod.node]}")
    return dict(found)


def shared_places(running: WorkloadLocations, affected: Iterable[str]) -> tuple[str, ...]:
    """Places where all affected components run, those with the fewest others first.

    >>> running = {"cart": {"node:a", "zone:z"}, "db": {"node:a", "zone:z"}, "web": {"zone:z"}}
    >>> shared_places(running, ["cart", "db"])
    ('node:a', 'zone:z')
    """
    names = set(affected)
    common = [running.get(name, frozenset()) for name in names]
    if not common:
        return ()
    others = [held for name, held in running.items() if name not in names]
    shared = frozenset.intersection(*map(frozenset, common))
    return tuple(sorted(shared, key=lambda place: (sum(place in o for o in others), place)))


def _component(pod: Pod) -> str:
    """The workload a pod belongs to, by its owner where that is known."""
    kind, _, name = pod.owner.partition("/")
    if not name:
        return _POD_HASH.sub("", pod.name)
    return _SET_HASH.sub("", name) if kind == "ReplicaSet" else name
