"""A server that speaks the part of the Kubernetes API that we read and merge into, strictly.

Source: kubernetes.io/docs/reference/using-api/api-concepts (lists in pages, `continue`, 410 for one
that expired, compressed answers), the API reference of each group, and the kubelet's rules for logs
of containers that wait. What is not served is 404, what no rule grants 403, as a `Status`.
"""

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer

KubeObjectJson = dict[str, Any]  # an object as the API writes it
GZIPPED_FROM = 128 * 1024
"""Bytes from which an API server compresses what a client says it can read."""

_LIST_QUERY = frozenset({"limit", "continue", "fieldSelector", "labelSelector"})
_LOG_QUERY = frozenset({"container", "previous", "tailLines"})
_FIELDS = {
    "pods": ("spec.nodeName", "status.phase"),
    "events": ("involvedObject.name", "involvedObject.kind", "type", "reason"),
}
"""Fields that a list can be narrowed by, beside name and namespace."""

SERVED: Mapping[str, Mapping[str, str]] = {
    "v1": {
        "pods": "Pod", "services": "Service", "endpoints": "Endpoints", "events": "Event",
        "configmaps": "ConfigMap", "serviceaccounts": "ServiceAccount", "secrets": "Secret",
        "persistentvolumeclaims": "PersistentVolumeClaim", "resourcequotas": "ResourceQuota",
        "limitranges": "LimitRange", "replicationcontrollers": "ReplicationController",
        "persistentvolumes": "PersistentVolume", "nodes": "Node", "namespaces": "Namespace",
    },
    "apps/v1": {
        "deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet",
        "replicasets": "ReplicaSet", "controllerrevisions": "ControllerRevision",
    },
    "batch/v1": {"jobs": "Job", "cronjobs": "CronJob"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "discovery.k8s.io/v1": {"endpointslices": "EndpointSlice"},
    "networking.k8s.io/v1": {
        "ingresses": "Ingress", "networkpolicies": "NetworkPolicy",
        "ingressclasses": "IngressClass",
    },
    "storage.k8s.io/v1": {"storageclasses": "StorageClass"},
    "admissionregistration.k8s.io/v1": {
        "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
        "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    },
}  # fmt: skip
"""Group and version to plural to kind: what a cluster without add-ons serves."""

ADDED: Mapping[str, Mapping[str, str]] = {
    "networking.istio.io/v1": {
        "virtualservices": "VirtualService", "destinationrules": "DestinationRule",
    },
    "gateway.networking.k8s.io/v1": {"httproutes": "HTTPRoute"},
    "argoproj.io/v1alpha1": {"rollouts": "Rollout", "applications": "Application"},
    "kustomize.toolkit.fluxcd.io/v1": {"kustomizations": "Kustomization"},
    "helm.toolkit.fluxcd.io/v2": {"helmreleases": "HelmRelease"},
}  # fmt: skip
"""What add-ons define; served where an object of the kind is held, as after its CRD."""

WITH_STATUS = frozenset({"Rollout", "Application", "HTTPRoute", "Kustomization", "HelmRelease"})
"""Kinds with a status subresource: a patch of the object leaves the status as it is."""

WITHOUT_NAMESPACE = frozenset(
    {"PersistentVolume", "Node", "Namespace", "IngressClass", "StorageClass"}
    | {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}
)


class ContainerLog(NamedTuple):
    """Whose log it is; `previous` is the run before the one that is there or awaited."""

    pod: str
    container: str
    previous: bool = False


@dataclass(frozen=True, slots=True)
class RoleBindingRules:
    """Rules of a role, bound in one namespace, or in the whole cluster where it is empty."""

    rules: Sequence[Mapping[str, Sequence[str]]]
    namespace: str = ""

    def grants(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether some rule allows the verb on the resource there."""
        return self.namespace in ("", namespace) and any(
            verb in rule["verbs"] and group in rule["apiGroups"] and resource in rule["resources"]
            for rule in self.rules
        )


@dataclass(frozen=True, slots=True)
class _Address:
    """What a path means."""

    group: str
    kind: str
    plural: str
    namespace: str
    name: str = ""
    sub: str = ""


class KubernetesServer(StrictServer):
    """Holds objects and logs; without `bindings` everything may be read."""

    def __init__(
        self,
        held: Sequence[KubeObjectJson],
        logs: Mapping[ContainerLog, str] | None = None,
        bindings: Sequence[RoleBindingRules] | None = None,
    ) -> None:
        super().__init__()
        self.held = held
        self.logs = dict(logs or {})
        self.bindings = bindings
        self.expiring = 0  # how many of the next continuations have expired

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        if asked.method not in ("GET", "PATCH"):
            return _status(405, "MethodNotAllowed", f"the server does not allow {asked.method}")
        if asked.path == "/version":
            return HttpReply(200, {"major": "1", "minor": "31", "gitVersion": "v1.31.4"})
        address = _address(asked.path)
        if address is None:
            return HttpReply(404, b"404 page not found\n")
        if address.kind in _ADDED_KINDS and not list(self._of(address)):
            return HttpReply(404, b"404 page not found\n")
        refused = self._refused(address, asked.method)
        if refused is not None:
            return refused
        if asked.method == "PATCH":
            return self._patched(address, asked)
        if address.sub:
            return self._log(address, asked)
        reply = self._object(address) if address.name else self._list(address, asked)
        return _compressed(reply, asked)

    def _refused(self, address: _Address, method: str) -> HttpReply | None:
        verb = "patch" if method == "PATCH" else "get" if address.name else "list"
        resource = f"{address.plural}/{address.sub}" if address.sub else address.plural
        # Who may get a namespace is decided in that namespace.
        place = address.name if address.kind == "Namespace" else address.namespace
        if self.bindings is None or any(
            one.grants(verb, address.group, resource, place) for one in self.bindings
        ):
            return None
        scope = f'in the namespace "{place}"' if place else "at the cluster scope"
        said = f'cannot {verb} resource "{resource}" in API group "{address.group}" {scope}'
        return _status(403, "Forbidden", f'{resource} is forbidden: User "copilot" {said}')

    def _of(self, address: _Address) -> Iterator[KubeObjectJson]:
        for item in self.held:
            place = item["metadata"].get("namespace", "")
            if item["kind"] == address.kind and address.namespace in ("", place):
                yield item

    def _object(self, address: _Address) -> HttpReply:
        for item in self._of(address):
            if item["metadata"]["name"] == address.name:
                return HttpReply(200, item)
        return _status(404, "NotFound", f'{address.plural} "{address.name}" not found')

    def _patched(self, address: _Address, asked: ReceivedRequest) -> HttpReply:
        """A JSON merge patch: conflict by resource version, dry run, status apart."""
        kind = asked.headers.get("content-type")
        if kind != "application/merge-patch+json":
            return _status(415, "UnsupportedMediaType", f"the body of the request was in {kind}")
        found = self._object(address)
        held, patch = found.document, json.loads(asked.body)
        if found.status != 200 or not isinstance(held, dict):
            return found
        wanted = _value(patch, ["metadata", "resourceVersion"])
        if wanted not in (None, held["metadata"]["resourceVersion"]):
            said = f'Operation cannot be fulfilled on {address.plural} "{address.name}"'
            return _status(409, "Conflict", f"{said}: the object has been modified")
        if address.kind in WITH_STATUS:
            patch = {
                key: one for key, one in patch.items() if (key == "status") == bool(address.sub)
            }
        version = str(int(held["metadata"]["resourceVersion"]) + 1)
        changed = _merged(_merged(held, patch), {"metadata": {"resourceVersion": version}})
        if asked.one("dryRun") != "All":
            held.clear()
            held.update(changed)
        return HttpReply(200, changed)

    def _list(self, address: _Address, asked: ReceivedRequest) -> HttpReply:
        """A list as the API writes it: items without kind, page by page."""
        if unknown := set(asked.query) - _LIST_QUERY:
            return _status(400, "BadRequest", f"unknown parameters {sorted(unknown)}")
        mark = asked.one("continue")
        if mark and self.expiring:
            self.expiring -= 1
            return _status(410, "Expired", "The provided continue parameter is too old")
        fields = _terms(asked.one("fieldSelector"))
        known = {"metadata.name", "metadata.namespace", *_FIELDS.get(address.plural, ())}
        if wrong := [field for field, _, _ in fields if field not in known]:
            return _status(400, "BadRequest", f"field label not supported: {wrong[0]}")
        labels = _terms(asked.one("labelSelector"))
        items = [
            {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}
            for item in self._of(address)
            if all(_holds(term, _value(item, term[0].split("."))) for term in fields)
            and all(_holds(term, _value(item, ["metadata", "labels", term[0]])) for term in labels)
        ]
        first = int(base64.b64decode(mark)) if mark else 0
        last = first + int(asked.one("limit") or len(items) or 1)
        meta: dict[str, object] = {"resourceVersion": "4711"}
        if last < len(items):
            meta["continue"] = base64.b64encode(str(last).encode()).decode()
            if not fields and not labels:
                meta["remainingItemCount"] = len(items) - last
        document = {"kind": f"{address.kind}List", "metadata": meta, "items": items[first:last]}
        return HttpReply(200, document)

    def _log(self, address: _Address, asked: ReceivedRequest) -> HttpReply:
        found = [one for one in self._of(address) if one["metadata"]["name"] == address.name]
        if not found or set(asked.query) - _LOG_QUERY:
            return _status(404, "NotFound", f'pods "{address.name}" not found')
        name = asked.one("container")
        states = _value(found[0], ["status", "containerStatuses"]) or []
        states = [*states, *(_value(found[0], ["status", "initContainerStatuses"]) or [])]
        state = next((one for one in states if one["name"] == name), None)
        if state is None:
            return _status(
                400, "BadRequest", f"container {name} is not valid for pod {address.name}"
            )
        waits = "waiting" in state.get("state", {})
        ended = "terminated" in state.get("lastState", {})
        previous = asked.one("previous") == "true"
        said = f'container "{name}" in pod "{address.name}"'
        if previous and not ended:
            return _status(400, "BadRequest", f"previous terminated {said} not found")
        if waits and not ended:
            reason = state["state"]["waiting"].get("reason", "")
            return _status(400, "BadRequest", f"{said} is waiting to start: {reason}")
        text = self.logs.get(ContainerLog(address.name, name, previous or waits), "")
        lines = text.splitlines(keepends=True)[-int(asked.one("tailLines") or len(text) + 1) :]
        return HttpReply(200, "".join(lines).encode())


def _address(path: str) -> _Address | None:
    """What a path means; None for one that this server does not know."""
    parts = path.strip("/").split("/")
    version, rest = (parts[1:2], parts[2:]) if parts[0] == "api" else (parts[1:3], parts[3:])
    if parts[0] not in ("api", "apis"):
        return None
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    group_version = "/".join(version)
    served = {**SERVED.get(group_version, {}), **ADDED.get(group_version, {})}
    kind = served.get(rest[0] if rest else "")
    subs = ["log"] if kind == "Pod" else ["status"] if kind in WITH_STATUS else []
    if kind is None or len(rest) > 3 or (rest[2:] and rest[2] not in subs):
        return None
    if namespace and kind in WITHOUT_NAMESPACE:
        return None
    group = version[0] if len(version) == 2 else ""
    name, sub = [*rest[1:], "", ""][:2]
    return _Address(group, kind, rest[0], namespace, name, sub)


_ADDED_KINDS = frozenset(kind for kinds in ADDED.values() for kind in kinds.values())


def _merged(held: Any, patch: Any) -> Any:
    """By RFC 7386: null takes away, a list stands for the whole list."""
    if not isinstance(patch, dict):
        return patch
    found = dict(held) if isinstance(held, dict) else {}
    for key, one in patch.items():
        if one is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), one)
    return found


def _terms(selector: str) -> list[tuple[str, bool, str]]:
    """Field or label, whether it must be equal, and the value."""
    found = []
    for term in selector.split(",") if selector else ():
        field, _, value = term.partition("=")
        found.append((field.removesuffix("!"), not field.endswith("!"), value.removeprefix("=")))
    return found


def _holds(term: tuple[str, bool, str], value: object) -> bool:
    return (str(value or "") == term[2]) is term[1]


def _value(item: object, path: Sequence[str]) -> Any:
    for key in path:
        item = item.get(key) if isinstance(item, Mapping) else None
    return item


def _status(code: int, reason: str, message: str) -> HttpReply:
    return HttpReply(
        code,
        {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        },
    )  # fmt: skip


def _compressed(reply: HttpReply, asked: ReceivedRequest) -> HttpReply:
    body = json.dumps(reply.document).encode()
    if len(body) < GZIPPED_FROM or "gzip" not in asked.headers.get("accept-encoding", ""):
        return HttpReply(reply.status, body, reply.headers)
    headers = {**reply.headers, "Content-Encoding": "gzip"}
    return HttpReply(reply.status, gzip.compress(body, compresslevel=1), headers)
