"""A cluster state, indexed the way the analyzers ask for it."""

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from tools.types import (
    ClusterState,
    Endpoints,
    KubeEvent,
    LogExcerpt,
    Node,
    Pod,
    PodSpec,
    Service,
    Workload,
)

APP_LABELS = ("app.kubernetes.io/name", "app", "k8s-app", "app.kubernetes.io/component")
"""Labels that name an application, the standard one first."""

TOP_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
RECENT_RESTART_S = 600.0
"""A restart longer ago than this says nothing about now."""

_GENERATED = re.compile(r"(?P<name>.+?)(?:-[a-z0-9]{5,10}-[a-z0-9]{5}|-[a-z0-9]{5}|-\d+)")


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """True when the labels carry every pair of the selector."""
    return all(labels.get(key) == value for key, value in selector.items())


@dataclass(frozen=True)
class View:
    """Indexes over one state; everything is computed once, on first use."""

    state: ClusterState

    @cached_property
    def workloads(self) -> dict[str, Workload]:
        """Deployments, stateful sets, daemon sets and jobs by name."""
        return {item.name: item for item in self.state.workloads if item.kind in TOP_KINDS}

    @cached_property
    def replica_sets(self) -> tuple[Workload, ...]:
        return tuple(item for item in self.state.workloads if item.kind == "ReplicaSet")

    @cached_property
    def services(self) -> dict[str, Service]:
        return {item.name: item for item in self.state.services}

    @cached_property
    def endpoints(self) -> dict[str, Endpoints]:
        return {item.name: item for item in self.state.endpoints}

    @cached_property
    def nodes(self) -> dict[str, Node]:
        return {item.name: item for item in self.state.nodes}

    @cached_property
    def pods(self) -> dict[str, Pod]:
        return {item.name: item for item in self.state.pods}

    def application(self, name: str) -> str:
        """The application that a pod or a replica set of that generated name belongs to."""
        owners = (item for item in self.workloads if name.startswith(f"{item}-") or name == item)
        owner = max(owners, key=len, default="")
        if owner:
            return owner
        pod = self.pods.get(name)
        if pod is not None:
            labelled = (pod.labels[key] for key in APP_LABELS if key in pod.labels)
            found = next(labelled, "")
            if found:
                return found
        generated = _GENERATED.fullmatch(name)
        return generated["name"] if generated else name

    @cached_property
    def pods_by_application(self) -> dict[str, tuple[Pod, ...]]:
        found: dict[str, list[Pod]] = defaultdict(list)
        for pod in self.state.pods:
            found[self.application(pod.name)].append(pod)
        return {name: tuple(pods) for name, pods in found.items()}

    @cached_property
    def events(self) -> dict[str, tuple[KubeEvent, ...]]:
        """Events by the name of the object they are about."""
        found: dict[str, list[KubeEvent]] = defaultdict(list)
        for event in self.state.events:
            found[event.object].append(event)
        return {name: tuple(events) for name, events in found.items()}

    def spec(self, application: str) -> PodSpec:
        """What the application's pods ask for: as declared where known, else as running."""
        workload = self.workloads.get(application)
        if workload is not None and workload.template.containers:
            return workload.template
        for pod in self.pods_by_application.get(application, ()):
            if pod.spec.containers:
                return pod.spec
        return PodSpec()

    def replica_sets_of(self, application: str) -> tuple[Workload, ...]:
        return tuple(
            item for item in self.replica_sets if self.application(item.name) == application
        )

    def services_of(self, application: str) -> tuple[Service, ...]:
        """The services meant for the application: that select it, or carry its name."""
        labels = self.labels(application)
        return tuple(
            service
            for service in self.state.services
            if service.name == application
            or (service.selector and labels and matches(service.selector, labels))
        )

    def labels(self, application: str) -> dict[str, str]:
        """The labels on the application's pods."""
        for pod in self.pods_by_application.get(application, ()):
            if pod.labels:
                return pod.labels
        return self.spec(application).labels

    @cached_property
    def unready(self) -> tuple[Pod, ...]:
        """Pods that do not serve now, or that were restarted while they should serve."""
        return tuple(pod for pod in self.state.pods if not serves(pod) or keeps_restarting(pod))

    @cached_property
    def _logs(self) -> dict[str, tuple[LogExcerpt, ...]]:
        found: dict[str, list[LogExcerpt]] = defaultdict(list)
        for line in self.state.logs:
            found[line.component].append(line)
        return {name: tuple(lines) for name, lines in found.items()}

    def logs(self, application: str) -> tuple[LogExcerpt, ...]:
        """What the application logged, as far as it was asked for."""
        return self._logs.get(application, ())

    def healthy(self, application: str) -> bool:
        """True when pods of it exist and all serve without restarts."""
        pods = self.pods_by_application.get(application, ())
        return bool(pods) and all(serves(pod) and not keeps_restarting(pod) for pod in pods)


def serves(pod: Pod) -> bool:
    """All containers are ready, or the pod has done its job."""
    if pod.status in ("Completed", "Succeeded"):
        return True
    if pod.status not in ("Running", ""):
        return False
    return pod.ready is None or pod.ready[0] == pod.ready[1]


def keeps_restarting(pod: Pod) -> bool:
    """Restarted lately, and not only while it was started."""
    if pod.restarts == 0 or pod.restarted_ago is None:
        return False
    return pod.restarted_ago < RECENT_RESTART_S and (
        pod.age is None or pod.restarted_ago < 0.9 * pod.age
    )
