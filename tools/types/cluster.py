"""The state of a cluster as one value, and the looks that fill it piece by piece."""

from collections.abc import Iterable
from typing import Literal, TypeVar

from pydantic import Field

from tools.types.base import FrozenModel, Timestamp
from tools.types.cluster_objects import (
    Claim,
    ConfigValues,
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


def _merge(before: Iterable[_Named], after: Iterable[_Named]) -> tuple[_Named, ...]:
    kept: dict[tuple[str, str], _Named] = {}
    for item in (*before, *after):
        key = (getattr(item, "kind", ""), item.name)
        kept[key] = kept[key].merged(item) if key in kept else item
    return tuple(kept.values())


class ClusterState(FrozenModel, arbitrary_types_allowed=True):
    """What is known of one namespace and the nodes under it.

    `listed` maps an object kind to the names of all its objects. A kind that is missing there was
    not asked for or not read completely (`gaps` say why), so nothing follows from an absent object.
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
    nodes: tuple[Node, ...] = ()
    listed: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    gaps: tuple[ListingGap, ...] = ()
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
        update: dict[str, object] = {
            "namespace": found.namespace or self.namespace,
            "at": self.at if found.at is None else found.at,
            "listed": {**self.listed, **found.listed},
        }
        for name in ("pods", "workloads", "services", "endpoints", "claims", "volumes"):
            update[name] = _merge(getattr(self, name), getattr(found, name))
        for name in ("quotas", "policies", "settings", "nodes"):
            update[name] = _merge(getattr(self, name), getattr(found, name))
        for name in (
            "gaps",
            "routes",
            "declared",
            "events",
            "connections",
            "node_services",
            "logs",
        ):
            update[name] = tuple(dict.fromkeys((*getattr(self, name), *getattr(found, name))))
        for name in ("alerts", "edges", "series", "looked"):
            update[name] = (*getattr(self, name), *getattr(found, name))
        return self.model_copy(update=update)
