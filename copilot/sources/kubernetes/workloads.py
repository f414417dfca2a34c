"""API objects that run pods, scale them, or stand in the way of them, as typed objects."""

from collections.abc import Callable

from copilot.sources.kubernetes.pod_spec import (
    Json,
    base,
    conditions,
    integer,
    items,
    mapping,
    pod_spec,
    strings,
)
from copilot.sources.kubernetes.quantities import since
from tools.types import (
    ApiResource,
    Autoscaler,
    ClusterState,
    Condition,
    CronSchedule,
    DisruptionBudget,
    Pod,
    Reference,
    Timestamp,
    Workload,
)


def _owner(document: Json) -> str:
    owners = items(mapping(document.get("metadata")).get("ownerReferences"))
    return f"{owners[0].get('kind')}/{owners[0].get('name')}" if owners else ""


def _restarted(status: Json, now: Timestamp | None) -> float | None:
    """Seconds since the last end of a container that was started again."""
    ended = [
        mapping(mapping(item.get("lastState")).get("terminated")).get("finishedAt")
        for item in items(status.get("containerStatuses"))
    ]
    ago = [since(end, now) for end in ended if end]
    return min((one for one in ago if one is not None), default=None)


def _pod(document: Json, now: Timestamp | None) -> ClusterState:
    status, meta = mapping(document.get("status")), mapping(document.get("metadata"))
    spec = pod_spec(document.get("metadata"), document.get("spec"), status)
    running = [container for container in spec.containers if not container.init]
    waiting = next((c.state.reason for c in spec.containers if c.state.status == "waiting"), "")
    phase = str(status.get("phase") or "")
    known = {
        **base(document, now),
        "phase": phase,
        "status": waiting or str(status.get("reason") or "") or phase,
        "reason": str(status.get("reason") or ""),
        "message": str(status.get("message") or ""),
        "node": str(mapping(document.get("spec")).get("nodeName") or ""),
        "ip": str(status.get("podIP") or ""),
        "restarts": sum(container.restarts for container in running),
        "owner": _owner(document),
        "spec": spec,
        "conditions": conditions(status, now),
    }
    if status:
        known["ready"] = (sum(container.ready is True for container in running), len(running))
    if now is not None:
        known["age"] = since(meta.get("creationTimestamp"), now)
        known["restarted_ago"] = _restarted(status, now)
    return ClusterState(pods=(Pod.model_validate(known),))


def _named(spec: Json) -> tuple[Reference, ...]:
    """What a workload names: a service and classes of claims (a stateful set), pull secrets."""
    service = str(spec.get("serviceName") or "")
    classes = [
        str(mapping(claim.get("spec")).get("storageClassName") or "")
        for claim in items(spec.get("volumeClaimTemplates"))
    ]
    field = "spec.volumeClaimTemplates[*].spec.storageClassName"
    return (
        *((Reference(field="spec.serviceName", kind="Service", name=service),) if service else ()),
        *(Reference(field=field, kind="StorageClass", name=name) for name in classes if name),
        *_pulled("spec.template.spec", mapping(mapping(spec.get("template")).get("spec"))),
    )


def _pulled(where: str, spec: Json) -> tuple[Reference, ...]:
    """The secrets that a pod's images are pulled with."""
    return tuple(
        Reference(field=f"{where}.imagePullSecrets", kind="Secret", name=str(item["name"]))
        for item in items(spec.get("imagePullSecrets"))
        if item.get("name")
    )


def _selector(written: Json) -> dict[str, str]:
    """Labels to match; a replication controller writes them without `matchLabels`."""
    plain = {key: value for key, value in written.items() if isinstance(value, str)}
    return strings(written.get("matchLabels")) or strings(plain)


def _workload(document: Json, now: Timestamp | None) -> ClusterState:
    """A workload; the API leaves a count of zero out, so a status without it says zero.

    Source: https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#optional-vs-required
    """
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    template = mapping(spec.get("template"))
    known = {
        **base(document, now),
        "kind": str(document.get("kind")),
        "selector": _selector(mapping(spec.get("selector"))),
        "template": pod_spec(template.get("metadata"), template.get("spec")),
        "references": _named(spec),
    }
    if _owner(document):
        known["owner"] = _owner(document)
    age = since(mapping(document.get("metadata")).get("creationTimestamp"), now)
    if age is not None:
        known["age"] = age
    desired = integer(spec.get("replicas"))
    if desired is not None:
        known["desired"] = desired
    if status:
        known["current"] = integer(status.get("replicas")) or 0
        # What is available has been ready for a while, so it counts where only that is written.
        ready = (
            integer(status.get(field)) or 0 for field in ("readyReplicas", "availableReplicas")
        )
        known["ready"] = max(ready)
        known["conditions"] = conditions(status, now)
    if document.get("kind") == "DaemonSet" and status:
        known["desired"] = integer(status.get("desiredNumberScheduled")) or 0
        known["current"] = integer(status.get("currentNumberScheduled")) or 0
        known["ready"] = integer(status.get("numberReady")) or 0
    if document.get("kind") == "Job":
        known |= _job(spec, status, conditions(status, now))
    return ClusterState(workloads=(Workload.model_validate(known),))


def _job(spec: Json, status: Json, said: tuple[Condition, ...]) -> dict[str, object]:
    """What a job wants now: nothing once it has ended or is suspended.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#controlling-parallelism
    """
    ended = any(one.type in ("Complete", "Failed") and one.status == "True" for one in said)
    written = integer(spec.get("parallelism"))
    parallel = 1 if written is None else written
    missing = (integer(spec.get("completions")) or 1) - (integer(status.get("succeeded")) or 0)
    suspended = bool(spec.get("suspend", False))
    return {
        "desired": 0 if ended or suspended else max(min(parallel, missing), 0),
        "current": integer(status.get("active")) or 0,
        "failed": integer(status.get("failed")) or 0,
        "succeeded": integer(status.get("succeeded")) or 0,
        "active": integer(status.get("active")) or 0,
        "suspended": suspended,
    }


def _resource(document: Json, now: Timestamp | None) -> dict[str, object]:
    """What every judged object has: kind and conditions beside name and labels."""
    status = mapping(document.get("status"))
    return {
        **base(document, now),
        "kind": str(document.get("kind")),
        "conditions": conditions(status, now),
    }


def _autoscaler(document: Json, now: Timestamp | None) -> ClusterState:
    """An autoscaler; without metrics it scales on the share of requested CPU that is used.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/
    """
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    target = mapping(spec.get("scaleTargetRef"))
    shares = [
        str(resource.get("name", ""))
        for metric in items(spec.get("metrics"))
        for resource in [mapping(metric.get("resource"))]
        if mapping(resource.get("target")).get("type") == "Utilization"
    ]
    known = {
        **_resource(document, now),
        "minimum": integer(spec.get("minReplicas")) or 1,
        "maximum": integer(spec.get("maxReplicas")),
        "current": integer(status.get("currentReplicas")),
        "wanted": integer(status.get("desiredReplicas")),
        "utilization": tuple(shares) if spec.get("metrics") else ("cpu",),
    }
    if target.get("name"):
        known["references"] = (
            Reference(
                field="spec.scaleTargetRef", kind=str(target.get("kind")), name=str(target["name"])
            ),
        )
    return ClusterState(resources=(Autoscaler.model_validate(known),))


def _budget(document: Json, now: Timestamp | None) -> ClusterState:
    status = mapping(document.get("status"))
    known = {
        **_resource(document, now),
        "healthy": integer(status.get("currentHealthy")),
        "required": integer(status.get("desiredHealthy")),
        "expected": integer(status.get("expectedPods")),
        "allowed": integer(status.get("disruptionsAllowed")),
    }
    return ClusterState(resources=(DisruptionBudget.model_validate(known),))


def _cron(document: Json, now: Timestamp | None) -> ClusterState:
    spec = mapping(document.get("spec"))
    known = {
        **_resource(document, now),
        "schedule": str(spec.get("schedule") or ""),
        "suspended": bool(spec.get("suspend", False)),
        "deadline": integer(spec.get("startingDeadlineSeconds")),
    }
    return ClusterState(resources=(CronSchedule.model_validate(known),))


def _webhooks(document: Json, now: Timestamp | None) -> ClusterState:
    """Webhooks that are answered by a service, and refuse what they cannot judge.

    `failurePolicy: Ignore` lets requests pass where nobody answers. Source:
    https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#failure-policy
    """
    references = tuple(
        Reference(
            field=f"webhooks[{hook.get('name')}].clientConfig.service",
            kind="Service",
            name=str(service.get("name")),
            namespace=str(service.get("namespace") or ""),
            port=str(service.get("port") or ""),
        )
        for hook in items(document.get("webhooks"))
        for service in [mapping(mapping(hook.get("clientConfig")).get("service"))]
        if service.get("name") and hook.get("failurePolicy") != "Ignore"
    )
    known = {**_resource(document, now), "references": references}
    return ClusterState(resources=(ApiResource.model_validate(known),))


def _conditioned(document: Json, now: Timestamp | None) -> ClusterState:
    return ClusterState(resources=(ApiResource.model_validate(_resource(document, now)),))


READERS: dict[str, Callable[[Json, Timestamp | None], ClusterState]] = {
    "Pod": _pod,
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), _workload),
    **dict.fromkeys(("ReplicationController", "Job"), _workload),
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": _budget,
    "CronJob": _cron,
    **dict.fromkeys(("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"), _webhooks),
    **dict.fromkeys(("Certificate", "Namespace", "StorageClass"), _conditioned),
}
