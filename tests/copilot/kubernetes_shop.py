"""A healthy namespace as the API writes it, for tests to add one object to."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import yaml

from copilot.sources.kubernetes.manifests import objects
from tools.types import ClusterState

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC).timestamp()
"""When the shop is looked at."""

SHOP = """
- {kind: Node, metadata: {name: w1}, status: {conditions: [{type: Ready, status: 'True'}]}}
- kind: Deployment
  metadata: {name: web}
  spec: &web
    replicas: 1
    selector: {matchLabels: {app: web}}
    template: &template
      metadata: {labels: {app: web}}
      spec:
        containers:
        - {name: web, image: web, ports: [{containerPort: 80}], resources: {requests: {cpu: 1}}}
  status: {replicas: 1, readyReplicas: 1}
- kind: Pod
  metadata: {name: web-5f4dcc3b5a-new01, labels: {app: web}}
  spec:
    nodeName: w1
    containers:
    - {name: web, image: web, ports: [{containerPort: 80}], resources: {requests: {cpu: 1}}}
  status: {phase: Running, containerStatuses: [{name: web, ready: true, restartCount: 0}]}
- kind: Service
  metadata: {name: web}
  spec: {selector: {app: web}, ports: [{port: 80}]}
- kind: Endpoints
  metadata: {name: web}
  subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]
"""

READ = (
    *("Pod", "Node", "Deployment", "StatefulSet", "Service", "Endpoints", "Event", "Namespace"),
    *("Secret", "IngressClass", "StorageClass", "GatewayClass", "Gateway"),
)
"""Kinds that are read to their end."""

Document = Mapping[str, Any]


def documents(text: str) -> list[Document]:
    """The objects of a YAML list."""
    return list(yaml.safe_load(text))


def look(more: Iterable[Any]) -> ClusterState:
    """The shop with these objects in the place of, or beside, its own; all kinds were read."""
    added = {_key(one): one for one in more}
    every = [*({_key(one): one for one in documents(SHOP)} | added).values()]
    read = objects(every, NOW, "shop")
    spaces = {"shop", *(_namespace(one) for one in every)}
    others = {
        name: read.others.get(name, ClusterState()).plus(_listing(every, name))
        for name in spaces - {"shop"}
    }
    namespaces = ClusterState(listed={"Namespace": tuple(sorted(spaces))}, others=others)
    return read.plus(_listing(every, "shop")).plus(namespaces)


def _listing(every: Iterable[Document], namespace: str) -> ClusterState:
    names: dict[str, list[str]] = defaultdict(list)
    for one in _in(every, namespace):
        names[one["kind"]].append(str(one.get("metadata", {}).get("name", "")))
    listed = {kind: tuple(names[kind]) for kind in READ}
    return ClusterState(namespace=namespace, at=NOW, listed=listed)


def _in(every: Iterable[Document], namespace: str) -> Iterator[Document]:
    return (one for one in every if _namespace(one) == namespace)


def _namespace(one: Document) -> str:
    return str(one.get("metadata", {}).get("namespace") or "shop")


def _key(one: Document) -> tuple[str, str, str]:
    return str(one["kind"]), str(one.get("metadata", {}).get("name")), _namespace(one)
