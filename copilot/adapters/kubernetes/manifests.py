"""API objects (a manifest's YAML, `kubectl get -o yaml`, the API's JSON) as typed objects."""

import base64
import binascii
from collections.abc import Callable, Iterable

import yaml

from copilot.adapters.kubernetes.pod_spec import (
    Json,
    items,
    mapping,
    node_terms,
    pod_spec,
    strings,
)
from copilot.adapters.kubernetes.quantities import amount, amounts
from copilot.adapters.kubernetes.redaction import addresses, harmless
from copilot.ports import SourceError
from tools.types import (
    Claim,
    ClusterState,
    Condition,
    Endpoints,
    KubeEvent,
    NetworkPolicy,
    Node,
    Pod,
    Quota,
    Route,
    Service,
    ServicePort,
    Settings,
    Taint,
    Volume,
    Workload,
)


def _name(document: Json) -> str:
    return str(mapping(document.get("metadata")).get("name", ""))


def _base(document: Json) -> dict[str, object]:
    meta = mapping(document.get("metadata"))
    return {"name": _name(document), "labels": strings(meta.get("labels"))}


def _owner(document: Json) -> str:
    owners = items(mapping(document.get("metadata")).get("ownerReferences"))
    return f"{owners[0].get('kind')}/{owners[0].get('name')}" if owners else ""


def _conditions(status: Json) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            type=str(item.get("type", "")),
            status=str(item.get("status", "")),
            reason=str(item.get("reason") or ""),
            message=str(item.get("message") or ""),
        )
        for item in items(status.get("conditions"))
    )


def _pod(document: Json) -> ClusterState:
    status = mapping(document.get("status"))
    spec = pod_spec(document.get("metadata"), document.get("spec"), status)
    running = [container for container in spec.containers if not container.init]
    waiting = next((c.state.reason for c in spec.containers if c.state.status == "waiting"), "")
    phase = str(status.get("phase") or "")
    pod = Pod.model_validate(
        {
            **_base(document),
            "phase": phase,
            "status": waiting or str(status.get("reason") or "") or phase,
            "reason": str(status.get("reason") or ""),
            "message": str(status.get("message") or ""),
            "node": str(mapping(document.get("spec")).get("nodeName") or ""),
            "ip": str(status.get("podIP") or ""),
            "ready": (sum(container.ready is True for container in running), len(running)),
            "restarts": sum(container.restarts for container in running),
            "owner": _owner(document),
            "spec": spec,
            "conditions": _conditions(status),
        }
    )
    return ClusterState(pods=(pod,))


def _workload(document: Json) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    template = mapping(spec.get("template"))
    known = {
        **_base(document),
        "kind": str(document.get("kind")),
        "selector": strings(mapping(spec.get("selector")).get("matchLabels")),
        "template": pod_spec(template.get("metadata"), template.get("spec")),
    }
    if _owner(document):
        known["owner"] = _owner(document)
    if "replicas" in spec:
        known["desired"] = int(spec["replicas"])
    if status:
        known["current"] = int(status.get("replicas") or 0)
        known["ready"] = int(status.get("readyReplicas") or 0)
        known["conditions"] = _conditions(status)
    return ClusterState(workloads=(Workload.model_validate(known),))


def _service(document: Json) -> ClusterState:
    spec = mapping(document.get("spec"))
    ports = tuple(
        ServicePort(
            port=int(port["port"]),
            target=str(port.get("targetPort") or port["port"]),
            name=str(port.get("name") or ""),
            protocol=str(port.get("protocol") or "TCP"),
            app_protocol=str(port.get("appProtocol") or ""),
            node_port=port.get("nodePort"),
        )
        for port in items(spec.get("ports"))
        if str(port.get("port", "")).isdigit()
    )
    known = {**_base(document), "selector": strings(spec.get("selector")), "ports": ports}
    for field, key in (
        ("type", "type"),
        ("cluster_ip", "clusterIP"),
        ("external_name", "externalName"),
    ):
        if spec.get(key):
            known[field] = str(spec[key])
    return ClusterState(services=(Service.model_validate(known),))


def _endpoints(document: Json) -> ClusterState:
    def reached(field: str) -> tuple[str, ...]:
        return tuple(
            f"{address.get('ip')}:{port.get('port')}"
            for subset in items(document.get("subsets"))
            for address in items(subset.get(field))
            for port in items(subset.get("ports"))
        )

    found = Endpoints(
        name=_name(document), ready=reached("addresses"), not_ready=reached("notReadyAddresses")
    )
    return ClusterState(endpoints=(found,))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _claim(document: Json) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    selector = mapping(spec.get("selector"))
    known = {
        **_base(document),
        "access_modes": _texts(spec.get("accessModes")),
        "selector": strings(selector.get("matchLabels")),
        "capacity": amount(mapping(mapping(spec.get("resources")).get("requests")).get("storage")),
    }
    if "storageClassName" in spec:
        known["storage_class"] = str(spec["storageClassName"] or "")
    if status:
        known |= {
            "status": str(status.get("phase") or ""),
            "volume": str(spec.get("volumeName") or ""),
        }
    return ClusterState(claims=(Claim.model_validate(known),))


def _volume(document: Json) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    holder = mapping(spec.get("claimRef"))
    known = {
        **_base(document),
        "capacity": amount(mapping(spec.get("capacity")).get("storage")),
        "access_modes": _texts(spec.get("accessModes")),
        "node_affinity": node_terms(mapping(spec.get("nodeAffinity")).get("required")),
    }
    if "storageClassName" in spec:
        known["storage_class"] = str(spec["storageClassName"] or "")
    if holder:
        known["claim"] = f"{holder.get('namespace', '')}/{holder.get('name', '')}"
    if status:
        known["status"] = str(status.get("phase") or "")
    return ClusterState(volumes=(Volume.model_validate(known),))


def _quota(document: Json) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    known = {**_base(document), "hard": amounts(status.get("hard") or spec.get("hard"))}
    if status:
        known["used"] = amounts(status.get("used"))
    return ClusterState(quotas=(Quota.model_validate(known),))


def _node(document: Json) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    conditions = _conditions(status)
    ready = next((item.status == "True" for item in conditions if item.type == "Ready"), None)
    found = Node.model_validate(
        {
            **_base(document),
            "ready": ready,
            "unschedulable": bool(spec.get("unschedulable", False)),
            "addresses": tuple(str(a.get("address")) for a in items(status.get("addresses"))),
            "taints": tuple(
                Taint(
                    key=str(taint.get("key", "")),
                    value=str(taint.get("value") or ""),
                    effect=str(taint.get("effect") or ""),
                )
                for taint in items(spec.get("taints"))
            ),
            "allocatable": amounts(status.get("allocatable")),
            "conditions": conditions,
        }
    )
    return ClusterState(nodes=(found,))


def _policy(document: Json) -> ClusterState:
    spec = mapping(document.get("spec"))
    found = NetworkPolicy(
        name=_name(document),
        selector=strings(mapping(spec.get("podSelector")).get("matchLabels")),
        directions=_texts(spec.get("policyTypes")) or ("Ingress",),
        ingress_rules=len(spec.get("ingress") or ()),
        egress_rules=len(spec.get("egress") or ()),
    )
    return ClusterState(policies=(found,))


def _config_map(document: Json) -> ClusterState:
    written = strings(document.get("data"))
    values = {name: harmless(name, value) for name, value in written.items()}
    return ClusterState(settings=(Settings(name=_name(document), values=values),))


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _secret(document: Json) -> ClusterState:
    encoded = {name: _decoded(value) for name, value in strings(document.get("data")).items()}
    values = addresses(encoded | strings(document.get("stringData")))
    return ClusterState(settings=(Settings(name=_name(document), kind="secret", values=values),))


def _number(value: object) -> int | None:
    return int(str(value)) if str(value).isdigit() else None


def _ingress(document: Json) -> ClusterState:
    spec = mapping(document.get("spec"))
    source = f"Ingress/{_name(document)}"
    paths = [
        path
        for rule in items(spec.get("rules"))
        for path in items(mapping(rule.get("http")).get("paths"))
    ]
    if "defaultBackend" in spec:
        paths.append({"path": "", "backend": spec["defaultBackend"]})
    routes = []
    for path in paths:
        backend = mapping(mapping(path.get("backend")).get("service"))
        port = _number(mapping(backend.get("port")).get("number"))
        routes.append(
            Route(
                source=source,
                path=str(path.get("path") or ""),
                service=str(backend.get("name", "")),
                port=port,
            )
        )
    return ClusterState(routes=tuple(route for route in routes if route.service))


def _http_route(document: Json) -> ClusterState:
    """The Gateway API's HTTPRoute and Istio's VirtualService: rules of matches and targets."""
    kind, spec = str(document.get("kind")), mapping(document.get("spec"))
    routes = []
    for rule in (*items(spec.get("rules")), *items(spec.get("http"))):
        wanted = [item for match in items(rule.get("matches")) for item in [match.get("path")]]
        wanted += [match.get("uri") for match in items(rule.get("match"))]
        path = next((str(v) for w in wanted for k, v in mapping(w).items() if k != "type"), "")
        targets = [*items(rule.get("backendRefs"))]
        targets += [mapping(item.get("destination")) for item in items(rule.get("route"))]
        for target in targets:
            port = target.get("port")
            routes.append(
                Route(
                    source=f"{kind}/{_name(document)}",
                    path=path,
                    service=str(target.get("name") or target.get("host") or "").partition(".")[0],
                    port=_number(mapping(port).get("number") if isinstance(port, dict) else port),
                )
            )
    return ClusterState(routes=tuple(route for route in routes if route.service))


def _event(document: Json) -> ClusterState:
    about = mapping(document.get("involvedObject"))
    found = KubeEvent(
        kind=str(about.get("kind", "")).lower(),
        object=str(about.get("name", "")),
        type=str(document.get("type") or "Normal"),
        reason=str(document.get("reason") or ""),
        message=str(document.get("message") or ""),
        source=str(mapping(document.get("source")).get("component") or ""),
        count=int(document.get("count") or 1),
    )
    return ClusterState(events=(found,))


_READERS: dict[str, Callable[[Json], ClusterState]] = {
    "Pod": _pod,
    "Deployment": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
    "ReplicaSet": _workload,
    "Job": _workload,
    "Service": _service,
    "Endpoints": _endpoints,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "ResourceQuota": _quota,
    "Node": _node,
    "NetworkPolicy": _policy,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "Event": _event,
    "Ingress": _ingress,
    "HTTPRoute": _http_route,
    "VirtualService": _http_route,
}


def objects(documents: Iterable[object]) -> ClusterState:
    """What API objects say; a `List` is opened, an unknown kind is passed over."""
    state = ClusterState()
    for document in documents:
        body = mapping(document)
        kind = str(body.get("kind", ""))
        if kind.endswith("List") or "items" in body:
            state = state.plus(objects(items(body.get("items"))))
        elif kind in _READERS:
            state = state.plus(_READERS[kind](body))
    return state


def manifest(text: str) -> ClusterState:
    """What a file of YAML documents declares, with the names of all it declares.

    >>> manifest("kind: Service\\nmetadata: {name: web}\\nspec: {selector: {app: web}}").declared
    ('Service/web',)
    """
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise SourceError(
            "kubernetes", f"the manifest is not YAML: {error}", recoverable=False
        ) from error
    names = tuple(
        f"{mapping(document).get('kind')}/{_name(mapping(document))}" for document in documents
    )
    return objects(documents).plus(ClusterState(declared=names))
