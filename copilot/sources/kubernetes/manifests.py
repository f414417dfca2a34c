"""API objects (a manifest's YAML, `kubectl get -o yaml`, the API's JSON) as typed objects."""

import base64
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import yaml

from copilot.ports import SourceError
from copilot.sources.kubernetes.network import READERS as NETWORK_READERS
from copilot.sources.kubernetes.pod_spec import (
    Json,
    base,
    integer,
    items,
    mapping,
    name_of,
    node_terms,
    pod_spec,
    strings,
    texts,
)
from copilot.sources.kubernetes.quantities import amount, amounts
from copilot.sources.kubernetes.redaction import addresses, harmless
from tools.types import (
    Claim,
    ClusterState,
    Condition,
    ConfigValues,
    KubeEvent,
    Node,
    Pod,
    Quota,
    Taint,
    Timestamp,
    Volume,
    Workload,
)


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
            **base(document),
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
        **base(document),
        "kind": str(document.get("kind")),
        "selector": strings(mapping(spec.get("selector")).get("matchLabels")),
        "template": pod_spec(template.get("metadata"), template.get("spec")),
    }
    if _owner(document):
        known["owner"] = _owner(document)
    desired = integer(spec.get("replicas"))
    if desired is not None:
        known["desired"] = desired
    if status:
        known["current"] = integer(status.get("replicas")) or 0
        known["ready"] = integer(status.get("readyReplicas")) or 0
        known["conditions"] = _conditions(status)
    return ClusterState(workloads=(Workload.model_validate(known),))


def _claim(document: Json) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    selector = mapping(spec.get("selector"))
    known = {
        **base(document),
        "access_modes": texts(spec.get("accessModes")),
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
        **base(document),
        "capacity": amount(mapping(spec.get("capacity")).get("storage")),
        "access_modes": texts(spec.get("accessModes")),
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
    known = {**base(document), "hard": amounts(status.get("hard") or spec.get("hard"))}
    if status:
        known["used"] = amounts(status.get("used"))
    return ClusterState(quotas=(Quota.model_validate(known),))


def _node(document: Json) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    conditions = _conditions(status)
    ready = next((item.status == "True" for item in conditions if item.type == "Ready"), None)
    found = Node.model_validate(
        {
            **base(document),
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


def _config_map(document: Json) -> ClusterState:
    written = strings(document.get("data"))
    values = {name: harmless(name, value) for name, value in written.items()}
    return ClusterState(settings=(ConfigValues(name=name_of(document), values=values),))


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except ValueError:  # not base64, not ASCII, or not UTF-8 inside
        return ""


def _secret(document: Json) -> ClusterState:
    encoded = {name: _decoded(value) for name, value in strings(document.get("data")).items()}
    values = addresses(encoded | strings(document.get("stringData")))
    return ClusterState(
        settings=(ConfigValues(name=name_of(document), kind="secret", values=values),)
    )


def _event(document: Json) -> ClusterState:
    about = mapping(document.get("involvedObject"))
    found = KubeEvent(
        kind=str(about.get("kind", "")).lower(),
        object=str(about.get("name", "")),
        type=str(document.get("type") or "Normal"),
        reason=str(document.get("reason") or ""),
        message=str(document.get("message") or ""),
        source=str(mapping(document.get("source")).get("component") or ""),
        count=integer(document.get("count")) or 1,
    )
    return ClusterState(events=(found,))


_READERS: dict[str, Callable[[Json], ClusterState]] = {
    "Pod": _pod,
    "Deployment": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
    "ReplicaSet": _workload,
    "Job": _workload,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "ResourceQuota": _quota,
    "Node": _node,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "Event": _event,
    **NETWORK_READERS,
}


def _since(text: object, now: Timestamp) -> float | None:
    """Seconds from an RFC 3339 time to now."""
    if isinstance(text, datetime):  # YAML reads times by itself
        moment = text
    else:
        try:
            moment = datetime.fromisoformat(str(text))
        except ValueError:
            return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(now - zoned.timestamp(), 0.0)


def _aged(found: ClusterState, document: Json, now: Timestamp) -> ClusterState:
    """Ages that only the moment of reading gives: of a pod, its last restart, an event."""
    meta, status = mapping(document.get("metadata")), mapping(document.get("status"))
    ended = [
        mapping(mapping(item.get("lastState")).get("terminated")).get("finishedAt")
        for item in items(status.get("containerStatuses"))
    ]
    ago = [since for since in (_since(end, now) for end in ended if end) if since is not None]
    seen = next((document[k] for k in ("lastTimestamp", "eventTime") if document.get(k)), None)
    born = _since(meta.get("creationTimestamp"), now)
    return found.model_copy(
        update={
            "pods": tuple(
                pod.merged(Pod(name=pod.name, age=born, restarted_ago=min(ago, default=None)))
                for pod in found.pods
            ),
            "events": tuple(
                event.model_copy(update={"age": _since(seen, now)}) for event in found.events
            ),
        }
    )


def objects(documents: Iterable[object], now: Timestamp | None = None) -> ClusterState:
    """What API objects say; a `List` is opened, an unknown kind is passed over.

    `now` turns times of creation and of restarts into ages.
    """
    state = ClusterState()
    for document in documents:
        body = mapping(document)
        kind = str(body.get("kind", ""))
        if kind.endswith("List") or "items" in body:
            state = state.plus(objects(items(body.get("items")), now))
        elif kind in _READERS:
            found = _READERS[kind](body)
            state = state.plus(found if now is None else _aged(found, body, now))
    return state


def manifest(text: str, now: Timestamp | None = None) -> ClusterState:
    """What a file of YAML documents declares, with the names of all it declares.

    >>> manifest("kind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}}").declared
    ('Service/web',)
    """
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
        names = tuple(
            f"{mapping(document).get('kind')}/{name_of(mapping(document))}"
            for document in documents
        )
        return objects(documents, now).plus(ClusterState(declared=names))
    except (yaml.YAMLError, RecursionError) as error:
        raise SourceError(
            "kubernetes", f"the manifest is not YAML: {error}", recoverable=False
        ) from error
