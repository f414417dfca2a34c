"""Objects that name another one which does not exist, as one table."""

from collections.abc import Iterator
from dataclasses import dataclass

from tools.cluster_inspector.addresses import similar
from tools.cluster_inspector.analyzers.conditions import Judged, target
from tools.cluster_inspector.findings import HINT, INFERRED, LIKELY, NOTE, ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View, serves
from tools.types import ApiResource, Reference, Workload


@dataclass(frozen=True)
class ReferenceRule:
    """Objects of these kinds break the rule where what they name of kind `to` is not there."""

    kinds: tuple[str, ...]
    to: tuple[str, ...]
    rule: str
    score: float


_WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
_ROUTES = ("HTTPRoute", "GRPCRoute")
_SCALED = ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")

_PODS = (*_SCALED, "DaemonSet", "Job")

REFERENCES: tuple[ReferenceRule, ...] = (
    # Source: https://kubernetes.io/docs/concepts/services-networking/ingress/
    ReferenceRule(("Ingress",), ("Service",), "ingress-backend-missing", INFERRED),
    ReferenceRule(("Ingress",), ("Secret",), "tls-secret-missing", LIKELY),
    ReferenceRule(("Ingress",), ("IngressClass",), "ingress-class-missing", LIKELY),
    # Source: https://gateway-api.sigs.k8s.io/reference/spec/
    ReferenceRule(("Gateway",), ("GatewayClass",), "gateway-class-missing", INFERRED),
    ReferenceRule(_ROUTES, ("Gateway",), "route-parent", INFERRED),
    ReferenceRule(_ROUTES, ("Service",), "route-backend", INFERRED),
    # Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
    ReferenceRule(("HorizontalPodAutoscaler",), _SCALED, "hpa-target-missing", LIKELY),
    # Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#components
    ReferenceRule(("StatefulSet",), ("Service",), "service-missing", HINT),
    ReferenceRule(("StatefulSet",), ("StorageClass",), "claim-class-unmet", LIKELY),
    # Source: https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
    # A public or cached image is pulled all the same, so this alone stops nothing.
    ReferenceRule(_PODS, ("Secret",), "pull-secret-missing", HINT),
    # Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
    ReferenceRule(_WEBHOOKS, ("Service",), "webhook-dead", INFERRED),
)
"""Reference to rule; what a pod's events name (secrets, claims) is read there."""

_OWN_CLASSES = frozenset({"gce", "gce-internal"})
"""Classes that GKE's controller serves without an IngressClass object. Source:
https://cloud.google.com/kubernetes-engine/docs/concepts/ingress#ingress_controllers"""


def references(view: View) -> Iterator[ClusterFinding]:
    """Every named object that is not there, where all of its kind were read."""
    owned: list[tuple[str, Judged]] = [
        *((target(one), one) for one in view.state.resources),
        *((view.application(one.name), one) for one in view.state.workloads),
    ]
    for application, item in owned:
        for reference in item.references:
            for rule in REFERENCES:
                if item.kind in rule.kinds and reference.kind in rule.to:
                    wrong = _wrong(view, item, reference)
                    if wrong is not None:
                        yield _broken(view, rule, application, item, reference, wrong)


def _wrong(view: View, item: Judged, reference: Reference) -> str | None:
    """What is wrong with the named object; None where nothing is, or it is not known."""
    if isinstance(item, ApiResource) and item.served and reference.kind == "IngressClass":
        return None  # an address was given: some controller serves the class
    if reference.kind == "IngressClass" and reference.name in _OWN_CLASSES:
        return None
    there = view.at(reference.namespace)
    if there is None:
        spaces = view.state.listed.get("Namespace", (reference.namespace,))
        return None if reference.namespace in spaces else "is in a namespace that does not exist"
    if not there.complete(reference.kind):
        return None
    if reference.name not in there.state.listed[reference.kind]:
        return "does not exist"
    if reference.kind == "Gateway":
        return _closed(view, there, reference)
    if reference.kind == "Service":
        return _unserved(view, there, item, reference)
    return None


def _closed(view: View, there: View, reference: Reference) -> str | None:
    """A gateway of another namespace that lets only its own routes attach."""
    for one in there.state.resources:
        if (one.kind, one.name) == ("Gateway", reference.name) and one.own_namespace_only:
            return None if there is view else "takes routes of its own namespace only"
    return None


def _unserved(view: View, there: View, item: Judged, reference: Reference) -> str | None:
    """A service without the named port; of a webhook, one that no pod stands behind."""
    service = there.services.get(reference.name)
    if service is None:
        return None
    offered = [name for port in service.ports for name in (str(port.port), port.name)]
    # A webhook's port is not written where it is 443, which its service need not say either.
    if offered and reference.port and reference.port not in offered:
        return f"has no port {reference.port}"
    if item.kind not in _WEBHOOKS or not service.selector:
        return None
    endpoints = there.endpoints.get(reference.name)
    if endpoints is not None:
        return None if endpoints.ready else "has no endpoints"
    if not there.complete("Pod"):
        return None
    pods = there.selected(service.selector)
    return None if any(serves(pod) for pod in pods) else "selects no pod that serves"


def _broken(
    view: View,
    rule: ReferenceRule,
    application: str,
    item: Judged,
    reference: Reference,
    wrong: str,
) -> ClusterFinding:
    there = view.at(reference.namespace)
    known = there.state.listed.get(reference.kind, ()) if there is not None else ()
    close = similar(reference.name, list(known)) if wrong == "does not exist" else ""
    named = "/".join(part for part in (reference.namespace, reference.name) if part)
    whole = isinstance(item, Workload) and (item.ready or 0) >= (item.desired or 1)
    return broken(
        rule.rule, f"app/{application}", on=f"{item.kind}/{item.name}", field=reference.field,
        observed=f"{reference.kind} {named} {wrong}",
        expected=close or f"an existing {reference.kind}", score=NOTE if whole else rule.score,
        evidence=f"{item.kind} {item.name} names {reference.kind} {named}, which {wrong}",
    )  # fmt: skip
