"""The state of a cluster as one value, and the looks that fill it piece by piece."""

from collections.abc import Iterable
from typing import Literal, TypeVar

from pydantic import Field

from tools.types.base import FrozenModel, Timestamp
from tools.types.cluster_objects import (
    ApiResource,
    Autoscaler,
    Claim,
    ConfigValues,
    CronSchedule,
    DisruptionBudget,
    Endpoints,
    KubeObject,
    NetworkPolicy,
    Node,
    Pod,
    Quota,
    Route,
    Service,
    Volume,
    Workload,
)
from tools.types.telemetry import Alert, Edge, Series

ClusterQueryVerb = Literal[
    "list",  # all objects of a kind in the namespace
    "describe",  # one object with its events
    "manifest",  # the declared objects of one application
    "logs",  # the recent log lines of one application
    "errors",  # the error lines of one application
    "connect",  # does the service's port answer
    "dependencies",  # whom the application calls
    "node_service",  # is a service of a node (kubelet, containerd, kube-proxy ...) running
    "configuration",  # taints, labels and capacity of all nodes
    "alerts",  # what fires now
    "metrics",  # the recent series of all applications
]


class ClusterQuery(FrozenModel):
    """One question to the cluster; a survey asks each at most once."""

    verb: ClusterQueryVerb
    kind: str = ""
    name: str = ""
    detail: str = ""  # the port of `connect`, the service of `node_service`


class KubeEvent(FrozenModel):
    """An event; `kind` and `object` name what it is about, `age` is seconds since last seen."""

    kind: str
    object: str
    type: str = "Normal"
    reason: str = ""
    message: str = ""
    source: str = ""
    count: int = 1
    age: float | None = None


class Connection(FrozenModel):
    """One attempt to reach a service's port from inside."""

    service: str
    port: int
    reachable: bool
    detail: str = ""


class NodeService(FrozenModel):
    """A daemon of a node (kubelet, containerd, kube-proxy, kube-scheduler ...) and its state."""

    node: str
    service: str
    active: bool | None
    detail: str = ""


class LogExcerpt(FrozenModel):
    """Lines of one kind that an application wrote; `count` of them in the window. Untrusted.

    With `last` it holds the last lines of a run that ended, joined by line breaks, whatever they
    say.
    """

    component: str
    container: str = ""
    message: str
    count: int = 1
    previous: bool = False
    last: bool = False


ListingGapReason = Literal[
    "forbidden",  # 403: the role does not allow it
    "not-served",  # 404: the API server does not know the kind (no such CRD)
    "truncated",  # more objects than are read, or the list changed while it was read
    "failed",  # another answer, or none before the deadline
]


class ListingGap(FrozenModel):
    """Why the objects of a kind (`kind` "Pod", or "logs") are not all known."""

    kind: str
    reason: ListingGapReason
    detail: str = ""


_Named = TypeVar("_Named", bound=KubeObject)


def _merge(items: Iterable[_Named]) -> tuple[_Named, ...]:
    kept: dict[tuple[str, str, str], _Named] = {}
    for item in items:
        fields = vars(item)  # a field that a model lacks is looked for at length by getattr
        key = (fields.get("kind", ""), item.name, fields.get("slice", ""))
        kept[key] = kept[key].merged(item) if key in kept else item
    return tuple(kept.values())


class ClusterState(FrozenModel, arbitrary_types_allowed=True):
    """What is known of one namespace and the nodes under it.

    `listed` maps an object kind to the names of all its objects, where it was read to the end; a
    kind that is missing there was not asked for, or is in `gaps` with the reason, so nothing
    follows from an absent object. `others` holds what was read of other namespaces, by their name.
    `looked` are the questions asked.
    """

    namespace: str = ""
    at: Timestamp | None = None
    pods: tuple[Pod, ...] = ()
    workloads: tuple[Workload, ...] = ()
    services: tuple[Service, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()
    claims: tuple[Claim, ...] = ()
    volumes: tuple[Volume, ...] = ()
    quotas: tuple[Quota, ...] = ()
    policies: tuple[NetworkPolicy, ...] = ()
    settings: tuple[ConfigValues, ...] = ()
    routes: tuple[Route, ...] = ()
    resources: tuple[Autoscaler | DisruptionBudget | CronSchedule | ApiResource, ...] = ()
    nodes: tuple[Node, ...] = ()
    listed: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    gaps: tuple[ListingGap, ...] = ()
    others: dict[str, "ClusterState"] = Field(default_factory=dict)
    declared: tuple[str, ...] = ()  # "Kind/name" of every object the manifests declare
    events: tuple[KubeEvent, ...] = ()
    connections: tuple[Connection, ...] = ()
    node_services: tuple[NodeService, ...] = ()
    logs: tuple[LogExcerpt, ...] = ()
    alerts: tuple[Alert, ...] = ()
    edges: tuple[Edge, ...] = ()
    series: tuple[Series, ...] = ()
    looked: tuple[ClusterQuery, ...] = ()

    def plus(self, found: "ClusterState") -> "ClusterState":
        """This state and what one more look found; where both know a field, `found` wins."""
        return ClusterState.of((self, found))

    @classmethod
    def of(cls, states: Iterable["ClusterState"]) -> "ClusterState":
        """All states as one, in time linear in their objects; where two know a field, later wins.

        >>> ClusterState.of(()) == ClusterState()
        True
        """
        parts = tuple(states)
        update: dict[str, object] = {
            "namespace": next((one.namespace for one in reversed(parts) if one.namespace), ""),
            "at": next((one.at for one in reversed(parts) if one.at is not None), None),
            "listed": {kind: names for one in parts for kind, names in one.listed.items()},
            "others": {
                name: cls.of(one.others[name] for one in parts if name in one.others)
                for name in dict.fromkeys(name for one in parts for name in one.others)
            },
        }
        for field in _OBJECTS:
            update[field] = _merge(item for one in parts for item in getattr(one, field))
        for field in _VALUES:
            items = (item for one in parts for item in getattr(one, field))
            update[field] = tuple(dict.fromkeys(items))
        for field in _SEQUENCES:
            update[field] = tuple(item for one in parts for item in getattr(one, field))
        return cls().model_copy(update=update)


_OBJECTS = (
    *("pods", "workloads", "services", "endpoints", "claims", "volumes"),
    *("quotas", "policies", "settings", "nodes", "resources"),
)
_VALUES = ("routes", "declared", "events", "connections", "node_services", "logs", "gaps")
_SEQUENCES = ("alerts", "edges", "series", "looked")
