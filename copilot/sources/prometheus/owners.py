"""Whose a series is: the labels that say it, a pod's workload, names that two namespaces have."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from copilot.alerts.subjects.messengers import told_about
from copilot.sources.prometheus.matchers import quoted

SERVICE_LABELS = (
    "service_name",
    "exported_service",
    "exported_job",
    "service",
    "app",
    "app_kubernetes_io_name",
    "deployment",
    "pod",
    "kubernetes_pod_name",
    "container",
    "job",
)
"""Whose a series is. `exported_` is what a relay (a collector, a gateway) was told by others: the
label of the scrape names the relay (prometheus.io, "Configuration", `honor_labels`)."""

CALLEE_LABELS = (
    "callee",
    "peer_service",
    "upstream",
    "destination_service_name",
    "destination",
    "server_address",
    "net_peer_name",
    "target",
    "host",
)
NODE_LABELS = ("node", "nodename", "Hostname", "instance")
CALLER_LABELS = ("caller", "source_workload", *SERVICE_LABELS)
NAMESPACE_LABELS = ("exported_namespace", "namespace", "kubernetes_namespace")
POD_LABELS = frozenset(
    {"pod", "exported_pod", "kubernetes_pod_name", "pod_name", "controller_pod", "job_name"}
)

MOST_CANDIDATES = 3
"""Labels of which the first that a series has is taken; each costs the server a `label_replace`."""

_TAIL = "[bcdfghjklmnpqrstvwxz2456789]{5}"
WORKLOAD = rf"(.+?)(?:-[4-9bcdf]{{6,10}}-{_TAIL}|-[0-9]+(?:-{_TAIL})?|-{_TAIL})?"
"""The workload in a pod's name, which ends in what its controller adds: the hash of the template
and five letters (Deployment), a number (StatefulSet), a number and letters (CronJob), letters
(DaemonSet, Job). The letters are those of `SafeEncodeString` in kubernetes/apimachinery
`pkg/util/rand/rand.go`, of which a decimal hash only becomes ten."""


class OwnerLabel(NamedTuple):
    """A part of the owner: the label it has in the answer, and those it is read from."""

    name: str
    read_from: tuple[str, ...]

    def made(self, expression: str) -> str:
        """An expression whose series have the label; the first that is not empty counts."""
        if self.read_from == (self.name,):
            return expression
        for label in reversed(self.read_from):
            pattern = WORKLOAD if label in POD_LABELS else "(.+)"
            asked = ", ".join(map(quoted, (self.name, "$1", label, pattern)))
            expression = f"label_replace({expression}, {asked})"
        return expression


def chosen(
    candidates: Sequence[str], labels: Collection[str], name: str, most: int
) -> OwnerLabel | None:
    """What is read from the first `most` of the candidates; None where there is none of them."""
    found = tuple(label for label in candidates if label in labels)[:most]
    if len(found) == 1 and found[0] not in POD_LABELS:
        return OwnerLabel(found[0], found)
    return OwnerLabel(name, found) if found else None


_PORT = re.compile(r":\d{1,5}$")
_PROVIDER = re.compile(
    r"@(?:docker|swarm|file|internal|kubernetes\w*|consul\w*|nomad|ecs|redis|etcd|zookeeper|http)$"
)
"""Who told Traefik of a service (doc.traefik.io, "Providers"); `cart@v2` is a version."""

OwnerScope = Literal["service", "edge", "node"]


class OwnedName(NamedTuple):
    """A name with its namespace; '' where it is not told."""

    name: str
    namespace: str = ""

    @classmethod
    @lru_cache(maxsize=65_536)
    def read(cls, label: str, namespace: str = "") -> "OwnedName":
        """A label's value without port and Kubernetes' domain; `job` may be `namespace/name`.

        >>> OwnedName.read("pay.shop.svc.cluster.local:8080")
        OwnedName(name='pay', namespace='shop')
        >>> OwnedName.read("shop/cart", "monitoring")
        OwnedName(name='cart', namespace='shop')
        """
        # Envoy names a cluster `outbound|8080||cart.shop.svc…`, Traefik a service `cart@docker`.
        name = _PROVIDER.sub("", _PORT.sub("", label.strip())).rpartition("|")[2]
        inside, service, _ = name.partition(".svc")
        if service:
            name, _, where = inside.partition(".")
            namespace = where or namespace
        where, slash, last = name.rpartition("/")
        if slash and where and "/" not in where and last:
            namespace, name = where, last
        sound = len(name) <= 200 and name.isprintable() and "->" not in name
        return cls(name, namespace) if sound else cls("")


class Owners:
    """Names of owners: with the namespace where one query found a name in two of them.

    A name seen in two namespaces stays told apart, so that what is compared later has one name.
    """

    def __init__(self) -> None:
        self._shared: set[str] = set()

    def learn(self, answers: Iterable[Sequence[OwnedName]]) -> None:
        """Hear of all owners in the answer to one query."""
        homes: dict[str, str] = {}
        for owned in answers:
            for name, namespace in owned:
                if namespace and homes.setdefault(name, namespace) != namespace:
                    self._shared.add(name)

    def text(self, owned: Sequence[OwnedName], scope: OwnerScope) -> str:
        """The owner as `tools.types.Owner` reads it; empty where a part has no name."""
        if not owned or not all(one.name for one in owned):
            return ""
        told = [self._qualified(one) for one in owned]
        if scope == "edge":
            return "->".join(told)
        return f"node:{told[0]}" if scope == "node" else told[0]

    def _qualified(self, owned: OwnedName) -> str:
        shared = owned.namespace and owned.name in self._shared
        return f"{owned.namespace}/{owned.name}" if shared else owned.name


def owned_by(
    owners: Sequence[OwnerLabel],
    namespaces: Sequence[OwnerLabel | None],
    labels: Mapping[str, str],
    *,
    exporter: bool = False,
) -> tuple[OwnedName, ...]:
    """What the labels of an answer name as its owner, and as its callee."""
    found = []
    for owner, namespace in zip(owners, namespaces, strict=True):
        name = labels.get(owner.name, "")
        where = labels.get(namespace.name, "") if namespace else ""
        found.append(OwnedName.read(told_about(name) if exporter else name, where))
    return tuple(found)
