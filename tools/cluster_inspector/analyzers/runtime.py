"""Runtime: a container ran, and ends, or was told not to run."""

import re
from collections.abc import Iterator

from tools.cluster_inspector.findings import ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View
from tools.types import Container, ContainerState, Pod

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
            for state in (container.state, container.last_state):
                if state.reason == "OOMKilled":
                    yield broken(
                        "out-of-memory", f"app/{view.application(pod.name)}", on=f"Pod/{pod.name}",
                        field=f"spec.containers[{container.name}].resources.limits.memory",
                        observed=f"{container.limits.get('memory', 0):g} bytes, OOMKilled",
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
    """Pods the kubelet put out because the node ran short."""
    for pod in view.state.pods:
        if "Evicted" in (pod.reason, pod.status):
            yield broken(
                "pod-evicted", f"app/{view.application(pod.name)}", on=f"Pod/{pod.name}",
                field="status.reason", observed="Evicted", expected="Running", score=0.7,
                evidence=pod.message or "Evicted",
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
                score=0.45 if own else 0.35, evidence=_last_words(view, pod),
            )  # fmt: skip


def _last_words(view: View, pod: Pod) -> str:
    lines = [line.message for line in view.logs(view.application(pod.name))]
    events = [event.message for event in view.events.get(pod.name, ()) if event.type == "Warning"]
    return (lines or events or [pod.status])[-1]
