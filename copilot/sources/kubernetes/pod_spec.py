"""The pod part of an API object (camelCase mapping, from YAML or the API) as a typed value."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from copilot.sources.kubernetes.quantities import amounts, since
from copilot.sources.kubernetes.redaction import harmless
from tools.types import (
    Condition,
    Container,
    ContainerPort,
    ContainerState,
    EnvVar,
    PodRule,
    PodSpec,
    Probe,
    Requirement,
    Timestamp,
    Toleration,
    VolumeSource,
)
from tools.types.cluster_objects import ProbeAction, ProbeKind

_INTEGER = re.compile(r"-?[0-9]{1,18}")

Json = Mapping[str, Any]  # an API object as it was parsed: its shape is checked field by field here

_ACTIONS: dict[str, ProbeAction] = {
    "httpGet": "http",
    "tcpSocket": "tcp",
    "grpc": "grpc",
    "exec": "exec",
}
_PROBES: dict[str, ProbeKind] = {
    "livenessProbe": "liveness",
    "readinessProbe": "readiness",
    "startupProbe": "startup",
}


def mapping(value: object) -> Json:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Json]:
    """The mappings of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def strings(value: object) -> dict[str, str]:
    """A mapping of text to text (labels, annotations)."""
    return {str(key): "" if item is None else str(item) for key, item in mapping(value).items()}


def name_of(document: Json) -> str:
    """The object's name."""
    return str(mapping(document.get("metadata")).get("name", ""))


def base(document: Json, now: Timestamp | None = None) -> dict[str, object]:
    """Name and labels of an object, and what holds its deletion where that was asked for."""
    meta = mapping(document.get("metadata"))
    known: dict[str, object] = {"name": name_of(document), "labels": strings(meta.get("labels"))}
    if meta.get("deletionTimestamp"):
        known["finalizers"] = texts(meta.get("finalizers"))
        known["deleting"] = since(meta["deletionTimestamp"], now)
    return known


def conditions(status: Json, now: Timestamp | None = None) -> tuple[Condition, ...]:
    """The status conditions, as the controllers wrote them."""
    return tuple(
        Condition(
            type=str(item.get("type", "")),
            status=str(item.get("status", "")),
            reason=str(item.get("reason") or ""),
            message=str(item.get("message") or ""),
            age=since(item.get("lastTransitionTime"), now),
        )
        for item in items(status.get("conditions"))
    )


def integer(value: object) -> int | None:
    """A whole number, also written as text; None for anything else."""
    return int(str(value)) if _INTEGER.fullmatch(str(value)) else None


def _seconds(value: object, usual: float) -> float:
    found = integer(value)
    return usual if found is None else float(found)


def texts(value: object) -> tuple[str, ...]:
    """The items of a list as texts."""
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def requirements(value: object) -> tuple[Requirement, ...]:
    """`matchExpressions`, or `matchLabels` written as such."""
    selector = mapping(value)
    found = [
        Requirement(
            key=str(item.get("key", "")),
            operator=str(item.get("operator", "In")),
            values=texts(item.get("values")),
        )
        for item in items(selector.get("matchExpressions"))
    ]
    found += [
        Requirement(key=key, values=(wanted,))
        for key, wanted in strings(selector.get("matchLabels")).items()
    ]
    return tuple(found)


def node_terms(value: object) -> tuple[tuple[Requirement, ...], ...]:
    """`nodeSelectorTerms`: any of them must hold."""
    return tuple(requirements(term) for term in items(mapping(value).get("nodeSelectorTerms")))


def _rules(affinity: object) -> tuple[PodRule, ...]:
    required = items(mapping(affinity).get("requiredDuringSchedulingIgnoredDuringExecution"))
    return tuple(
        PodRule(
            match=requirements(rule.get("labelSelector")),
            topology_key=str(rule.get("topologyKey", "")),
        )
        for rule in required
    )


def _probe(kind: ProbeKind, value: Json) -> Probe | None:
    action = next((name for name in _ACTIONS if name in value), None)
    if action is None:
        return None
    target = mapping(value[action])
    return Probe(
        kind=kind,
        action=_ACTIONS[action],
        port=str(target.get("port", "")),
        path=str(target.get("path", "")),
        initial_delay=_seconds(value.get("initialDelaySeconds"), 0.0),
        timeout=_seconds(value.get("timeoutSeconds"), 1.0),
        period=_seconds(value.get("periodSeconds"), 10.0),
        failure_threshold=integer(value.get("failureThreshold")) or 3,
    )


def _env(value: Json) -> EnvVar:
    source = mapping(value.get("valueFrom"))
    origin = ""
    for reference, kind in (("secretKeyRef", "secret"), ("configMapKeyRef", "configmap")):
        if reference in source:
            origin = f"{kind}/{mapping(source[reference]).get('name', '')}"
    name = str(value.get("name", ""))
    return EnvVar(name=name, value=harmless(name, str(value.get("value") or "")), source=origin)


@lru_cache(maxsize=1024)
def _environment(written: str) -> tuple[EnvVar, ...]:
    """The variables of a container; replicas write the same, so that it is read once for all."""
    return tuple(_env(item) for item in items(json.loads(written)))


def _env_from(value: Json) -> str:
    if "secretRef" in value:
        return f"secret/{mapping(value['secretRef']).get('name', '')}"
    return f"configmap/{mapping(value.get('configMapRef')).get('name', '')}"


def _state(value: object) -> ContainerState:
    for word in ("running", "waiting", "terminated"):
        if word in mapping(value):
            inside = mapping(mapping(value)[word])
            return ContainerState.model_validate(
                {
                    "status": word,
                    "reason": str(inside.get("reason") or ""),
                    "message": str(inside.get("message") or ""),
                    "exit_code": integer(inside.get("exitCode")),
                    "signal": integer(inside.get("signal")),
                }
            )
    return ContainerState()


def _container(value: Json, status: Json, *, init: bool) -> Container:
    resources, ready = mapping(value.get("resources")), status.get("ready")
    probes = (
        _probe(kind, mapping(value.get(field))) for field, kind in _PROBES.items() if field in value
    )
    return Container(
        name=str(value.get("name", "")),
        image=str(value.get("image", "")),
        ports=tuple(
            ContainerPort(
                port=number,
                name=str(port.get("name") or ""),
                protocol=str(port.get("protocol") or "TCP"),
            )
            for port in items(value.get("ports"))
            if (number := integer(port.get("containerPort"))) is not None
        ),
        requests=amounts(resources.get("requests")),
        limits=amounts(resources.get("limits")),
        probes=tuple(probe for probe in probes if probe),
        env=_environment(json.dumps(value.get("env"), default=str)),
        env_from=tuple(_env_from(item) for item in items(value.get("envFrom"))),
        command=(*texts(value.get("command")), *texts(value.get("args"))),
        init=init,
        state=_state(status.get("state")),
        last_state=_state(status.get("lastState")),
        ready=ready if isinstance(ready, bool) else None,
        restarts=integer(status.get("restartCount")) or 0,
    )


def _volume(value: Json) -> VolumeSource:
    places = (
        ("secret", "secret", "secretName"),
        ("configMap", "configmap", "name"),
        ("persistentVolumeClaim", "claim", "claimName"),
        ("hostPath", "host", "path"),
        ("emptyDir", "empty", ""),
    )
    for field, kind, name in places:
        if field in value:
            inside = mapping(value[field])
            return VolumeSource(
                name=str(value.get("name", "")),
                kind=kind,
                source=str(inside.get(name) or ""),
                optional=bool(inside.get("optional", False)),
            )
    return VolumeSource(name=str(value.get("name", "")), kind="other")


def _toleration(value: Json) -> Toleration:
    return Toleration(
        key=str(value.get("key") or ""),
        operator="Exists" if value.get("operator") == "Exists" else "Equal",
        value=str(value.get("value") or ""),
        effect=str(value.get("effect") or ""),
    )


def _containers(spec: Json, status: Json) -> Iterable[Container]:
    for field, reported, init in (
        ("initContainers", "initContainerStatuses", True),
        ("containers", "containerStatuses", False),
    ):
        states = {str(item.get("name")): item for item in items(status.get(reported))}
        # A projection may leave the specification out: a reported container is one all the same.
        unwritten = [] if spec.get(field) else [{"name": name} for name in states]
        for value in (*items(spec.get(field)), *unwritten):
            yield _container(value, states.get(str(value.get("name")), {}), init=init)


def pod_spec(meta: object, body: object, reported: object = None) -> PodSpec:
    """A pod's or a template's specification; `reported` is the pod's status, where there is one."""
    spec, status = mapping(body), mapping(reported)
    affinity = mapping(spec.get("affinity"))
    node_affinity = mapping(affinity.get("nodeAffinity"))
    security = mapping(spec.get("securityContext"))
    return PodSpec(
        labels=strings(mapping(meta).get("labels")),
        annotations=strings(mapping(meta).get("annotations")),
        service_account=str(spec.get("serviceAccountName") or ""),
        pull_secrets=tuple(str(item.get("name")) for item in items(spec.get("imagePullSecrets"))),
        containers=tuple(_containers(spec, status)),
        node_selector=strings(spec.get("nodeSelector")),
        node_affinity=node_terms(
            node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
        ),
        pod_affinity=_rules(affinity.get("podAffinity")),
        pod_anti_affinity=_rules(affinity.get("podAntiAffinity")),
        tolerations=tuple(_toleration(item) for item in items(spec.get("tolerations"))),
        volumes=tuple(_volume(item) for item in items(spec.get("volumes"))),
        mounts=tuple(
            (str(mount.get("name")), str(mount.get("mountPath")))
            for container in items(spec.get("containers"))
            for mount in items(container.get("volumeMounts"))
        ),
        host_network=bool(spec.get("hostNetwork", False)),
        dns_policy=str(spec.get("dnsPolicy") or ""),
        nameservers=texts(mapping(spec.get("dnsConfig")).get("nameservers")),
        host_aliases=tuple(
            (name, str(alias.get("ip")))
            for alias in items(spec.get("hostAliases"))
            for name in texts(alias.get("hostnames"))
        ),
        run_as_user=integer(security.get("runAsUser")),
        fs_group=integer(security.get("fsGroup")),
    )
