"""API objects (a manifest's YAML, `kubectl get -o yaml`, the API's JSON) as typed objects."""

import base64
from collections.abc import Callable, Iterable, Iterator

import yaml

from copilot.ports import SourceError
from copilot.sources.kubernetes.network import READERS as NETWORK_READERS
from copilot.sources.kubernetes.pod_spec import (
    Json,
    base,
    conditions,
    integer,
    items,
    mapping,
    name_of,
    node_terms,
    strings,
    texts,
)
from copilot.sources.kubernetes.quantities import amount, amounts, since
from copilot.sources.kubernetes.redaction import addresses, harmless
from copilot.sources.kubernetes.workloads import READERS as WORKLOAD_READERS
from tools.types import (
    Claim,
    ClusterState,
    ConfigValues,
    KubeEvent,
    Node,
    Quota,
    Taint,
    Timestamp,
    Volume,
)


def _claim(document: Json, now: Timestamp | None) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    selector = mapping(spec.get("selector"))
    known = {
        **base(document, now),
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


def _volume(document: Json, now: Timestamp | None) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    holder = mapping(spec.get("claimRef"))
    known = {
        **base(document, now),
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


def _quota(document: Json, now: Timestamp | None) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    known = {**base(document, now), "hard": amounts(status.get("hard") or spec.get("hard"))}
    if status:
        known["used"] = amounts(status.get("used"))
    return ClusterState(quotas=(Quota.model_validate(known),))


def _node(document: Json, now: Timestamp | None) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    said = conditions(status, now)
    ready = next((item.status == "True" for item in said if item.type == "Ready"), None)
    found = Node.model_validate(
        {
            **base(document, now),
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
            "conditions": said,
        }
    )
    return ClusterState(nodes=(found,))


def _config_map(document: Json, now: Timestamp | None) -> ClusterState:
    written = strings(document.get("data"))
    values = {name: harmless(name, value) for name, value in written.items()}
    return ClusterState(settings=(ConfigValues(name=name_of(document), values=values),))


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except ValueError:  # not base64, not ASCII, or not UTF-8 inside
        return ""


def _secret(document: Json, now: Timestamp | None) -> ClusterState:
    encoded = {name: _decoded(value) for name, value in strings(document.get("data")).items()}
    values = addresses(encoded | strings(document.get("stringData")))
    return ClusterState(
        settings=(ConfigValues(name=name_of(document), kind="secret", values=values),)
    )


def _event(document: Json, now: Timestamp | None) -> ClusterState:
    """An event of the core API, or of events.k8s.io, which renames what it is about and says.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
    """
    about = mapping(document.get("involvedObject") or document.get("regarding"))
    series = mapping(document.get("series"))
    times = (
        *(document.get("lastTimestamp"), series.get("lastObservedTime")),
        *(document.get("deprecatedLastTimestamp"), document.get("eventTime")),
    )
    counts = (document.get("count"), series.get("count"), document.get("deprecatedCount"))
    source = mapping(document.get("source") or document.get("deprecatedSource"))
    found = KubeEvent(
        kind=str(about.get("kind", "")).lower(),
        object=str(about.get("name", "")),
        type=str(document.get("type") or "Normal"),
        reason=str(document.get("reason") or ""),
        message=str(document.get("message") or document.get("note") or ""),
        source=str(source.get("component") or document.get("reportingController") or ""),
        count=next((number for one in counts if (number := integer(one))), 1),
        age=since(next((time for time in times if time), None), now),
    )
    return ClusterState(events=(found,))


_READERS: dict[str, Callable[[Json, Timestamp | None], ClusterState]] = {
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "ResourceQuota": _quota,
    "Node": _node,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "Event": _event,
    **WORKLOAD_READERS,
    **NETWORK_READERS,
}
_UNSCOPED = frozenset(
    {
        *("Node", "PersistentVolume", "StorageClass", "IngressClass", "GatewayClass", "Namespace"),
        *("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"),
    }
)
"""Kinds that belong to no namespace, whatever an object says of itself."""


def _opened(documents: Iterable[object]) -> Iterator[Json]:
    """Each document; a `List` is opened."""
    for document in documents:
        body = mapping(document)
        if str(body.get("kind", "")).endswith("List") or "items" in body:
            yield from _opened(items(body.get("items")))
        else:
            yield body


def objects(
    documents: Iterable[object], now: Timestamp | None = None, namespace: str = ""
) -> ClusterState:
    """What API objects say; a `List` is opened, an unknown kind is passed over.

    `now` turns times into ages. With `namespace`, what stands in another one is read into
    `others`; without, all is taken for one namespace.
    """
    found: list[ClusterState] = []
    for body in _opened(documents):
        kind = str(body.get("kind", ""))
        if kind not in _READERS:
            continue
        read = _READERS[kind](body, now)
        where = str(mapping(body.get("metadata")).get("namespace") or "")
        if namespace and where not in ("", namespace) and kind not in _UNSCOPED:
            read = ClusterState(others={where: read})
        found.append(read)
    return ClusterState.of(found)


def manifest(text: str, now: Timestamp | None = None, namespace: str = "") -> ClusterState:
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
        return objects(documents, now, namespace).plus(ClusterState(declared=names))
    except (yaml.YAMLError, RecursionError) as error:
        raise SourceError(
            "kubernetes", f"the manifest is not YAML: {error}", recoverable=False
        ) from error
