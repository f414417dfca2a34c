"""A cluster state, indexed the way the analyzers ask for it."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tools.cluster_inspector.constraints import requirement_matches
from tools.types import (
    ClusterState,
    Endpoints,
    KubeEvent,
    LogExcerpt,
    Node,
    Pod,
    PodSpec,
    Requirement,
    Service,
    Workload,
)

APP_LABELS = ("app.kubernetes.io/name", "app", "k8s-app", "app.kubernetes.io/component")
"""Labels that name an application, the standard one first."""

TOP_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
RECENT_RESTART_S = 600.0
"""A restart longer ago than this says nothing about now."""

HELD_S = 600.0
"""A deletion that takes this long (seconds) is held: 20 times the grace that a pod is given where
nobody said otherwise (30 s). Source:
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination"""

_GENERATED = re.compile(r"(?P<name>.+?)(?:-[a-z0-9]{5,10}-[a-z0-9]{5}|-[a-z0-9]{5}|-\d+)")


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """True when the labels carry every pair of the selector."""
    return all(labels.get(key) == value for key, value in selector.items())


def has(workload: Workload, condition: str) -> bool:
    """The workload's controller says that the condition holds."""
    return any(one.type == condition and one.status == "True" for one in workload.conditions)


def _after(later: Workload, job: Workload) -> bool:
    """A later job of the same controller."""
    if not job.owner or later.owner != job.owner or later.age is None or job.age is None:
        return False
    return later.age < job.age


def _may_own(workload: Workload, pod: Pod) -> bool:
    """Nothing known speaks against the pod being the workload's."""
    if not workload.selector or not pod.labels:
        return True
    return matches(workload.selector, pod.labels)


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
        """Endpoints by service, the slices of one joined."""
        found: dict[str, Endpoints] = {}
        for item in self.state.endpoints:
            both = found.get(item.name)
            found[item.name] = item if both is None else both.model_copy(
                update={
                    "ready": tuple(dict.fromkeys((*both.ready, *item.ready))),
                    "not_ready": tuple(dict.fromkeys((*both.not_ready, *item.not_ready))),
                }
            )  # fmt: skip
        return found

    @cached_property
    def settings(self) -> dict[str, dict[str, str]]:
        """The values of config maps and secrets, by `configmap/NAME` and `secret/NAME`."""
        return {f"{item.kind}/{item.name}": item.values for item in self.state.settings}

    @cached_property
    def nodes(self) -> dict[str, Node]:
        return {item.name: item for item in self.state.nodes}

    @cached_property
    def pods(self) -> dict[str, Pod]:
        return {item.name: item for item in self.state.pods}

    def application(self, name: str) -> str:
        """The application that a pod or a replica set of that generated name belongs to.

        The workload with the longest name that begins the pod's, unless its selector is known not
        to match: `web-shell` is no pod of `web` by its name alone.
        """
        pod = self.pods.get(name)
        stem = name
        while stem:
            workload = self.workloads.get(stem)
            if workload is not None and (pod is None or _may_own(workload, pod)):
                return stem
            stem = stem.rpartition("-")[0]
        if pod is not None:
            labelled = (pod.labels[key] for key in APP_LABELS if key in pod.labels)
            found = next(labelled, "")
            if found:
                return found
        generated = _GENERATED.fullmatch(name)
        return generated["name"] if generated else name

    @cached_property
    def current(self) -> tuple[Pod, ...]:
        """All pods but what is left over of an earlier time."""
        beside: dict[str, list[Pod]] = defaultdict(list)
        for pod in self.state.pods:
            beside[self.application(pod.name)].append(pod)
        past = {
            pod.name for name, pods in beside.items() for pod in pods if self._past(name, pod, pods)
        }
        return tuple(pod for pod in self.state.pods if pod.name not in past)

    @cached_property
    def pods_by_application(self) -> dict[str, tuple[Pod, ...]]:
        """The current pods by their application."""
        found: dict[str, list[Pod]] = defaultdict(list)
        for pod in self.current:
            found[self.application(pod.name)].append(pod)
        return {name: tuple(pods) for name, pods in found.items()}

    def _past(self, application: str, pod: Pod, beside: list[Pod]) -> bool:
        """A pod that ended for good while its application is served, or its job was done, since;
        and one that is being taken away.

        A controller replaces a failed pod and leaves it to the garbage collection. Source:
        https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection
        """
        if pod.deleting is not None and pod.deleting <= HELD_S:
            return True
        if not ended_for_good(pod):
            return False
        workload = self.workloads.get(application)
        if workload is None:
            return any(serves(one) for one in beside if one is not pod and one.owner == pod.owner)
        if workload.kind == "Job":
            return workload.name in self.done_jobs
        return bool(workload.desired) and (workload.ready or 0) >= (workload.desired or 0)

    @cached_property
    def done_jobs(self) -> frozenset[str]:
        """Jobs that completed, and those whose controller has completed a later one."""
        jobs = [item for item in self.state.workloads if item.kind == "Job"]
        complete = [job for job in jobs if job.succeeded and has(job, "Complete")]
        return frozenset(
            job.name
            for job in jobs
            if job in complete or any(_after(later, job) for later in complete)
        )

    @cached_property
    def _labelled(self) -> dict[tuple[str, str], list[Pod]]:
        found: dict[tuple[str, str], list[Pod]] = defaultdict(list)
        for pod in self.current:
            for pair in pod.labels.items():
                found[pair].append(pod)
        return found

    def selected(self, selector: dict[str, str]) -> tuple[Pod, ...]:
        """The pods whose labels carry the selector; none for an empty one, as of a service."""
        pair = min(selector.items(), default=("", ""))
        return tuple(pod for pod in self._labelled.get(pair, ()) if matches(selector, pod.labels))

    def complete(self, kind: str) -> bool:
        """All objects of that kind are known: what is not among them does not exist."""
        return kind in self.state.listed

    def heard(self, kind: str, name: str) -> bool:
        """What the cluster said of that object is known: no event means that none was written."""
        if any(gap.kind == "Event" for gap in self.state.gaps):
            return False
        return "Event" in self.state.listed or any(
            (one.verb, one.kind, one.name) == ("describe", kind, name) for one in self.state.looked
        )

    def at(self, namespace: str) -> "View | None":
        """The view of another namespace, as far as it was read."""
        if namespace in ("", self.state.namespace):
            return self
        found = self.state.others.get(namespace)
        return None if found is None else View(found)

    def events_of(self, kind: str, name: str) -> Iterator[KubeEvent]:
        """Events about the object of that kind."""
        return (one for one in self.events.get(name, ()) if one.kind in ("", kind.lower()))

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
        by_pair = [self._by_pair.get(pair, ()) for pair in labels.items()]
        found = {
            place
            for places in by_pair
            for place in places
            if matches(self.state.services[place].selector, labels)
        }
        named = self._places.get(application)
        places = sorted(found if named is None else found | {named})
        return tuple(self.state.services[place] for place in places)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {service.name: place for place, service in enumerate(self.state.services)}

    @cached_property
    def _by_pair(self) -> dict[tuple[str, str], list[int]]:
        """Places of services by one pair of their selector: the others need not be looked at."""
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, service in enumerate(self.state.services):
            for pair in sorted(service.selector.items())[:1]:
                found[pair].append(place)
        return found

    @cached_property
    def _carriers(self) -> dict[tuple[str, str], list[str]]:
        """Applications by each label of their pods."""
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for application in self.pods_by_application:
            for pair in self.labels(application).items():
                found[pair].append(application)
        return found

    def carriers(self, selector: tuple[Requirement, ...]) -> list[str]:
        """The applications whose pods' labels satisfy all requirements."""
        sure = next((one for one in selector if one.operator == "In"), None)
        candidates = (
            list(self.pods_by_application)
            if sure is None
            else [
                name for value in sure.values for name in self._carriers.get((sure.key, value), ())
            ]
        )
        return [
            name
            for name in candidates
            if all(requirement_matches(one, self.labels(name)) for one in selector)
        ]

    @cached_property
    def users(self) -> dict[str, str]:
        """The application that mounts a claim, by the claim's name."""
        found: dict[str, str] = {}
        for name in dict.fromkeys((*self.pods_by_application, *self.workloads)):
            specs = [pod.spec for pod in self.pods_by_application.get(name, ())]
            for spec in (*specs, self.spec(name)):
                for volume in spec.volumes:
                    if volume.kind == "claim":
                        found.setdefault(volume.source, name)
        return found

    def labels(self, application: str) -> dict[str, str]:
        """The labels on the application's pods."""
        for pod in self.pods_by_application.get(application, ()):
            if pod.labels:
                return pod.labels
        return self.spec(application).labels

    @cached_property
    def unready(self) -> tuple[Pod, ...]:
        """Pods that do not serve now, or that were restarted while they should serve."""
        return tuple(pod for pod in self.current if not serves(pod) or keeps_restarting(pod))

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


_ENDED = ("Evicted", "OutOf", "UnexpectedAdmissionError", "NodeShutdown", "Terminated", "Failed",
          "Error", "NodeAffinity", "Preempting", "ContainerStatusUnknown")  # fmt: skip


def ended_for_good(pod: Pod) -> bool:
    """The pod failed as a whole; its containers are not started again."""
    return pod.phase == "Failed" or (pod.phase == "" and pod.status.startswith(_ENDED))


def keeps_restarting(pod: Pod) -> bool:
    """Restarted lately, and not only while it was started."""
    if pod.restarts == 0 or pod.restarted_ago is None:
        return False
    return pod.restarted_ago < RECENT_RESTART_S and (
        pod.age is None or pod.restarted_ago < 0.9 * pod.age
    )
