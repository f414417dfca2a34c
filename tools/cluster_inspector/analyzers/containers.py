"""Containers: they do not start on their node, or they ran and end, or were told not to run."""

import re
from collections.abc import Iterator

from tools.cluster_inspector.constraints import readable
from tools.cluster_inspector.findings import HINT, LIKELY, PROVEN, SYMPTOM, ClusterFinding
from tools.cluster_inspector.last_words import quote
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View, ended_for_good, serves
from tools.types import Container, ContainerState, KubeEvent, Pod

_PULL = re.compile(r"[Ff]ailed to pull|ErrImagePull|ImagePullBackOff|InvalidImageName|pull image")
_ABSENT = re.compile(r"(?P<kind>secret|configmap)s? \"(?P<name>[^\"]+)\" not found", re.IGNORECASE)
_NO_KEY = re.compile(r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) (?P<name>\S+)")
_IMAGE = re.compile(r"image \"(?P<image>[^\"]+)\"")

# The first that matches names the cause; a registry that refuses to hand out a token hides whether
# the image exists, so authorisation comes before "not found".
_PULL_CAUSES: tuple[tuple[str, str, str, float], ...] = (
    # Source: https://docs.docker.com/docker-hub/usage/ (status and error code of the limit)
    (r"\b429\b|toomanyrequests|[Tt]oo [Mm]any [Rr]equests|pull rate limit",
     "pull-rate-limited", "credentials with a higher limit, or a mirror", 0.95),
    (r"no such host|server misbehaving|name resolution|lookup \S+ on \S+: .*timeout",
     "registry-unresolvable", "a registry name that resolves", 0.95),
    (r"failed to authorize|anonymous token|401|[Uu]nauthorized|authentication required|"
     r"no basic auth",
     "pull-secret-missing", "credentials the registry accepts", 0.95),
    (r"not found|NotFound|manifest unknown|does not exist|InvalidImageName|invalid reference|"
     r"403 Forbidden|name unknown|couldn't parse image",
     "image-not-found", "an image and tag that exist", 0.95),
    (r"connection refused|timeout|deadline exceeded|no route|unreachable|TLS|x509",
     "registry-unreachable", "a registry that answers", 0.85),
)  # fmt: skip
_CAUSES = tuple((re.compile(cause), rule, want, score) for cause, rule, want, score in _PULL_CAUSES)


def starting(view: View) -> Iterator[tuple[str, Pod, tuple[KubeEvent, ...]]]:
    """Pods that a kubelet has taken and that do not serve, with their warnings."""
    for pod in view.current:
        taken = pod.node or any(c.state.status != "unknown" for c in pod.spec.containers)
        if taken and not serves(pod):
            events = (e for e in view.events.get(pod.name, ()) if e.type == "Warning")
            yield view.application(pod.name), pod, tuple(events)


def images(view: View) -> Iterator[ClusterFinding]:
    """Images that cannot be pulled: wrong reference, registry, or credentials."""
    for application, pod, events in starting(view):
        texts = [event.message for event in events if _PULL.search(event.message)]
        texts += [c.state.message for c in pod.spec.containers if "mage" in c.state.reason]
        spec = view.spec(application)
        secretless = any(e.reason == "FailedToRetrieveImagePullSecret" for e in events)
        for text in texts:
            for cause, rule, wanted, score in _CAUSES:
                if not cause.search(text):
                    continue
                # An image that "may require authorization" is private if a secret was meant for it.
                asks = rule == "image-not-found" and secretless and "denied" in text
                named = _IMAGE.search(text)
                yield broken(
                    "pull-secret-missing" if asks else rule,
                    f"app/{application}",
                    on=f"Pod/{pod.name}",
                    field="spec.imagePullSecrets"
                    if asks or rule == "pull-secret-missing"
                    else "spec.containers[*].image",
                    observed=named["image"]
                    if named
                    else ", ".join(c.image for c in spec.containers),
                    expected=wanted,
                    score=score,
                    evidence=text,
                )
                break


def references(view: View) -> Iterator[ClusterFinding]:
    """Secrets and config maps that the pod refers to and that do not exist."""
    rules = {"secret": "secret-missing", "configmap": "config-map-missing"}
    for application, pod, events in starting(view):
        texts = [event.message for event in events]
        texts += [container.state.message for container in pod.spec.containers]
        for text in texts:
            absent = _ABSENT.search(text) or _NO_KEY.search(text)
            if absent is None:
                continue
            kind = absent["kind"].lower()
            yield broken(
                rules[kind],
                f"app/{application}",
                on=f"Pod/{pod.name}",
                field="spec.containers[*].env" if "Error:" in text else "spec.volumes",
                observed=f"{kind} {absent['name']}",
                expected=f"an existing {kind}",
                score=0.95,
                evidence=text,
            )


_MOUNT_DENIED = re.compile(
    r"permission denied|operation not permitted|read-only file", re.IGNORECASE
)


def mounts(view: View) -> Iterator[ClusterFinding]:
    """Volumes the node cannot mount, or the container may not use."""
    for application, pod, events in starting(view):
        for event in events:
            if event.reason not in ("FailedMount", "FailedAttachVolume"):
                continue
            if _ABSENT.search(event.message):
                continue
            denied = _MOUNT_DENIED.search(event.message)
            yield broken(
                "volume-permission-denied" if denied else "volume-not-mounted",
                f"app/{application}", on=f"Pod/{pod.name}", field="spec.volumes",
                observed=event.message, expected="a volume the pod can mount",
                score=0.93 if denied else 0.85, evidence=event.message,
            )  # fmt: skip
        yield from _denied(view, application, pod)


def _denied(view: View, application: str, pod: Pod) -> Iterator[ClusterFinding]:
    """A container that exits because a mounted path is not its own."""
    volumes = {volume.name: volume for volume in view.spec(application).volumes}
    volumes |= {volume.name: volume for volume in pod.spec.volumes}
    storage = [
        (path, volumes[name])
        for name, path in (*view.spec(application).mounts, *pod.spec.mounts)
        if name in volumes and volumes[name].kind in ("claim", "host", "empty")
    ]
    if not storage:
        return
    for line in view.logs(application):
        if _MOUNT_DENIED.search(line.message):
            path, volume = storage[0]
            yield broken(
                "volume-permission-denied", f"app/{application}", on=f"Pod/{pod.name}",
                field=f"spec.volumes[{volume.name}]",
                observed=f"{path} from {volume.kind} {volume.source}",
                expected="a volume its user may read and write", score=0.93, evidence=line.message,
            )  # fmt: skip
            return


_SANDBOX_OOM = re.compile(r"OOM-?killed|memory limit too low|out of memory", re.IGNORECASE)


def creation(view: View) -> Iterator[ClusterFinding]:
    """Containers that the runtime cannot create: no memory for the start, or another reason."""
    for application, pod, events in starting(view):
        for event in events:
            if event.reason not in ("FailedCreatePodSandBox", "FailedCreatePodContainer", "Failed"):
                continue
            starved = _SANDBOX_OOM.search(event.message)
            if not starved and (_PULL.search(event.message) or _ABSENT.search(event.message)):
                continue
            yield broken(
                "out-of-memory" if starved else "container-not-created",
                f"app/{application}", on=f"Pod/{pod.name}",
                field="spec.containers[*].resources.limits" if starved else "spec.containers",
                observed=_limits(view, application) if starved else event.message,
                expected="enough memory to start" if starved else "a container that is created",
                score=0.95 if starved else 0.5, evidence=event.message,
            )  # fmt: skip


def _limits(view: View, application: str) -> str:
    limits = [c.limits["memory"] for c in view.spec(application).containers if "memory" in c.limits]
    return f"memory limit {readable('memory', min(limits))}" if limits else "a memory limit too low"


_IN_USE = re.compile(
    r"address already in use|EADDRINUSE|[Pp]ort (?P<port>\d+) (?:is|was) already in use|"
    r"PortInUseException|bind: address|Only one usage of each socket",
)
KILLED = frozenset({137, 143})
"""Exit codes of SIGKILL and SIGTERM: somebody else ended it."""


def memory(view: View) -> Iterator[ClusterFinding]:
    """Containers killed at their memory limit."""
    for pod in view.unready:
        for container in pod.spec.containers:
            limit = readable("memory", container.limits.get("memory", 0.0))
            for state in (container.state, container.last_state):
                if state.reason == "OOMKilled":
                    yield broken(
                        "out-of-memory", f"app/{view.application(pod.name)}", on=f"Pod/{pod.name}",
                        field=f"spec.containers[{container.name}].resources.limits.memory",
                        observed=f"limit {limit}, OOMKilled",
                        expected="a limit above what it uses", score=0.96,
                        evidence=f"{container.name} {state.status}: {state.reason}",
                    )  # fmt: skip


def replicas(view: View) -> Iterator[ClusterFinding]:
    """Workloads scaled to zero that a service still stands for."""
    for name, workload in view.workloads.items():
        if workload.desired != 0 or workload.kind not in ("Deployment", "StatefulSet"):
            continue
        served = bool(view.services_of(name))
        yield broken(
            "zero-replicas", f"app/{name}", on=f"{workload.kind}/{name}", field="spec.replicas",
            observed="0", expected="at least 1", score=0.93 if served else 0.6,
            evidence=f"{workload.kind.lower()} {name}: 0/0 replicas",
        )  # fmt: skip


def ports(view: View) -> Iterator[ClusterFinding]:
    """Two containers of one pod that want the same port."""
    for pod in view.unready:
        application = view.application(pod.name)
        for line in view.logs(application):
            used = _IN_USE.search(line.message)
            if used is None:
                continue
            others = [c.name for c in pod.spec.containers if not c.init][1:]
            yield broken(
                "port-in-use", f"app/{application}", on=f"Pod/{pod.name}",
                field="spec.containers[*].ports",
                observed=f"port {used['port'] or ''} is taken, beside {', '.join(others) or 'it'}",
                expected="a port for each container of the pod", score=0.95,
                evidence=line.message[max(used.start() - 80, 0) : used.end() + 80],
            )  # fmt: skip
            break


def evictions(view: View) -> Iterator[ClusterFinding]:
    """Pods the kubelet put out because the node ran short; one replaced since is a hint only."""
    for pod in view.current:
        if "Evicted" not in (pod.reason, pod.status):
            continue
        application = view.application(pod.name)
        replaced = any(
            pod.age is not None and other.age is not None and other.age < pod.age
            for other in view.pods_by_application[application]
            if not ended_for_good(other)
        )
        yield broken(
            "pod-evicted", f"app/{application}", on=f"Pod/{pod.name}",
            field="status.reason", observed="Evicted", expected="Running",
            score=SYMPTOM if replaced else LIKELY, evidence=pod.message or "Evicted",
        )  # fmt: skip


def _ended(container: Container) -> ContainerState | None:
    for state in (container.state, container.last_state):
        if state.status == "terminated" and state.reason != "Completed":
            return state
    return None


def exits(view: View) -> Iterator[ClusterFinding]:
    """Containers that exit by themselves, whatever the reason: named when no better rule is."""
    for pod in view.unready:
        for container in pod.spec.containers:
            state = _ended(container)
            if state is None or (container.ready and container.restarts == 0):
                continue
            own = state.exit_code not in KILLED
            yield broken(
                "container-exits", f"app/{view.application(pod.name)}", on=f"Pod/{pod.name}",
                field=f"status.containerStatuses[{container.name}].lastState.exitCode",
                observed=f"{state.exit_code} ({state.reason})", expected="a container that runs",
                score=0.45 if own else 0.35, evidence=_last_words(view, pod, container),
            )  # fmt: skip


_FORBIDDEN = re.compile(
    r"User \"system:serviceaccount:(?P<account>[^\"\s]{1,127})\" "
    r"cannot (?P<verb>\w{1,20}) resource \"(?P<resource>[^\"\s]{1,127})\""
)


def forbidden(view: View) -> Iterator[ClusterFinding]:
    """Applications whose service account the API server refused, as their log or events say.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
    """
    said = [(line.component, line.message) for line in view.state.logs]
    said += [(view.application(e.object), e.message) for e in view.state.events]
    said += [
        (view.application(pod.name), state.message)
        for pod in view.unready
        for container in pod.spec.containers
        for state in (container.state, container.last_state)
    ]
    for application, text in said:
        refused = _FORBIDDEN.search(text)
        if refused is not None:
            may = f"{refused['verb']} {refused['resource']}"
            yield broken(
                "rbac-forbidden", f"app/{application}", on=f"ServiceAccount/{refused['account']}",
                field="roleRef.rules", observed=f"may not {may}",
                expected=f"a role that allows: {may}",
                score=HINT if view.healthy(application) else PROVEN, evidence=text,
            )  # fmt: skip


def _last_words(view: View, pod: Pod, container: Container) -> str:
    """What the container said last; else what its application complains of, or an event says."""
    logs = view.logs(view.application(pod.name))
    its = ("", container.name)  # a recording may not say whose lines they are
    last = [quote(line.message) for line in logs if line.last and line.container in its]
    lines = [line.message for line in logs if not line.last]
    ends = [
        quote(state.message)
        for state in (container.last_state, container.state)
        if state.status == "terminated" and state.message
    ]
    events = [event.message for event in view.events.get(pod.name, ()) if event.type == "Warning"]
    return (last or ends or lines or events or [pod.status])[-1]
