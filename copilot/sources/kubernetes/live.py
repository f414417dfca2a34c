"""Namespaces of live clusters, read with the official client: `get` and `list`, nothing else.

Importing this module needs the optional extra `kubernetes`. The rights it needs, and no more, are
in `clusterrole.yaml` beside it. Secrets are never read.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from urllib.parse import quote

from copilot.ports import SourceError
from copilot.sources.kubernetes.kinds import KINDS, WORKLOADS
from copilot.sources.kubernetes.lists import ClusterLists
from copilot.sources.kubernetes.logs import (
    LogRun,
    excerpts,
    last_words,
    runs,
    termination_messages,
)
from copilot.sources.kubernetes.manifests import objects
from copilot.sources.kubernetes.reader import ApiReader
from tools.cluster_inspector.ownership import PodIndex
from tools.cluster_inspector.view import serves
from tools.types import (
    ClusterQuery,
    ClusterQueryVerb,
    ClusterState,
    Container,
    KubeObject,
    ListingGap,
    NodeService,
    Pod,
    Timestamp,
)

TAIL = 400
"""Log lines read of a container."""
PODS_READ = 3
"""Pods of one application whose logs are read: replicas fail alike."""
MOST_LOGS = 60
"""Logs read in one inspection of a namespace: half a second of a usual kubelet, 8 at a time."""

MOST_ELSEWHERE = 10
"""Other namespaces that are looked into for what objects of this one name."""

_NAMED_ELSEWHERE = {"Service": ("Service", "Endpoints"), "Gateway": ("Gateway",)}
"""Lists that are needed to judge a reference to that kind."""
_SYSTEM_LABELS = {
    "kube-proxy": "k8s-app=kube-proxy",
    "kube-scheduler": "component=kube-scheduler",
}
_WITHOUT_NAMESPACE = "default"
"""The namespace of events about nodes and other objects that have none."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}")
"""Names come from alerts and models too: one must not lead to another object."""
_LISTED: Mapping[ClusterQueryVerb, tuple[str, ...]] = {
    "manifest": (*WORKLOADS, "Service", "ConfigMap"),
    "configuration": ("Node",),
    "errors": ("Pod",),
    "logs": ("Pod",),
}
"""The lists from which a question of that verb is answered."""

Question = Callable[[], ClusterState]


class KubernetesNamespace:
    """One namespace of a live cluster and the nodes under it, for one inspection.

    `cluster` is empty where only one is configured. What could not be read is among the gaps of the
    states; nothing is raised.
    """

    def __init__(
        self, reader: ApiReader, lists: ClusterLists, namespace: str, now: Timestamp, cluster: str
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._reader = reader
        self._lists = lists
        self._now = now
        self._logs_left = MOST_LOGS

    def look(self, looks: Sequence[ClusterQuery]) -> ClusterState:
        """What the API says to these questions; metrics, alerts and calls are others' business.

        The config maps of the namespace come with the first manifest: any may be an application's.
        """
        self._lists.fetch({kind for look in looks for kind in _kinds(look)}, self.namespace)
        answered = self._reader.side_by_side(
            question for look in looks for question in self._questions(look)
        )
        if any(look.verb == "manifest" for look in looks):
            answered.append(ClusterState(settings=self._list("ConfigMap").settings))
        state = ClusterState.of((ClusterState(namespace=self.namespace), *answered))
        return state.plus(self._elsewhere(state))

    def _elsewhere(self, state: ClusterState) -> ClusterState:
        """What objects name in other namespaces: the service of a webhook, a route's gateway."""
        named: dict[str, set[str]] = {}
        for item in state.resources:
            for one in item.references:
                if one.namespace not in ("", self.namespace) and one.kind in _NAMED_ELSEWHERE:
                    named.setdefault(one.namespace, set()).update(_NAMED_ELSEWHERE[one.kind])
        others = {}
        for place in sorted(named)[:MOST_ELSEWHERE]:
            if _NAME.fullmatch(place):
                self._lists.fetch(sorted(named[place]), place)
                held = [self._lists.of(kind, place) for kind in sorted(named[place])]
                others[place] = ClusterState.of((ClusterState(namespace=place), *held))
        return ClusterState(others=others)

    def _questions(self, look: ClusterQuery) -> Iterator[Question]:
        match look.verb:
            case "list":
                yield partial(self._list, look.kind)
            case "describe":
                yield partial(self._describe, look)
            case "manifest":
                yield partial(self._manifest, look)
            case "configuration":
                yield partial(self._list, "Node")
            case "errors" | "logs":
                yield from self._log_questions(look)
            case "node_service":
                yield partial(self._node_service, look)
            case _:
                return

    def _list(self, kind: str) -> ClusterState:
        return self._lists.of(kind, self.namespace)

    @cached_property
    def _owned(self) -> PodIndex:
        return PodIndex(self._list("Pod").pods)

    def _named(self, kind: str, name: str) -> ClusterState:
        """The object of that name, out of the list of its kind."""
        field = KINDS[kind].field
        if not field:
            return ClusterState()
        held: Sequence[KubeObject] = getattr(self._list(kind), field)
        found = [item for item in held if getattr(item, "name", "") == name]
        return ClusterState.model_validate({field: found})

    def _describe(self, look: ClusterQuery) -> ClusterState:
        """The object and the events about it."""
        if look.kind not in KINDS or not _NAME.fullmatch(look.name):
            return ClusterState()
        about = f"involvedObject.name={look.name},involvedObject.kind={look.kind}"
        own = KINDS[look.kind].namespaced
        place = self.namespace if own else _WITHOUT_NAMESPACE
        events = self._reader.listing(KINDS["Event"], place, fieldSelector=about)
        state = objects([{"kind": "Event", **item} for item in events.items], self._now)
        if events.gap is not None and own:
            state = state.plus(ClusterState(gaps=(events.gap,)))
        return self._named(look.kind, look.name).plus(state)

    def _manifest(self, look: ClusterQuery) -> ClusterState:
        """The application's workload and service."""
        return ClusterState.of(self._named(kind, look.name) for kind in (*WORKLOADS, "Service"))

    def _log_questions(self, look: ClusterQuery) -> Iterator[Question]:
        """The logs of the application's pods, those first that do not serve."""
        pods = self._owned.of(look.name)
        chosen = sorted(pods, key=lambda pod: (serves(pod), -pod.restarts, pod.name))[:PODS_READ]
        for pod in chosen:
            for container in pod.spec.containers:
                left = termination_messages(look.name, container)
                if left:
                    yield partial(ClusterState, logs=left)
                for run in runs(container):
                    if self._logs_left <= 0:
                        told = f"of {MOST_LOGS} containers only"
                        gap = ListingGap(kind="logs", reason="truncated", detail=told)
                        yield partial(ClusterState, gaps=(gap,))
                        return
                    self._logs_left -= 1
                    yield partial(self._log, look, pod, container, run)

    def _log(self, look: ClusterQuery, pod: Pod, container: Container, run: LogRun) -> ClusterState:
        """One log: of a container that runs what complains, of a run that ended also its end."""
        path = f"{KINDS['Pod'].path(self.namespace)}/{quote(pod.name, safe='')}/log"
        before = {"previous": "true"} if run == "previous" else {}
        try:
            answer = self._reader.get(path, container=container.name, tailLines=str(TAIL), **before)
            if answer.status in (400, 404):  # not started, or gone since: there is no log
                return ClusterState()
            self._reader.require(answer)
        except SourceError as error:
            reason = "failed" if error.recoverable else "forbidden"
            gap = ListingGap(kind="logs", reason=reason, detail=error.problem)
            return ClusterState(gaps=(gap,))
        text = answer.body.decode(errors="replace")
        previous = run == "previous"
        found = excerpts(
            look.name, text, container=container.name, previous=previous, all_=look.verb == "logs"
        )
        if run != "running":
            found += last_words(look.name, text, container=container.name, previous=previous)
        return ClusterState(logs=found)

    def _node_service(self, look: ClusterQuery) -> ClusterState:
        """As far as the API knows: the kubelet by its node, others by their pods."""
        if look.detail in _SYSTEM_LABELS:
            pods = self._lists.system_pods(_SYSTEM_LABELS[look.detail]).pods
            here = [pod for pod in pods if pod.node == look.name]
            if not here:
                return ClusterState()
            active = any(pod.ready and pod.ready[0] == pod.ready[1] for pod in here)
            detail = ", ".join(f"{pod.name} {pod.status}" for pod in here)
        elif look.detail == "kubelet":
            nodes = self._named("Node", look.name).nodes
            said = [c for node in nodes for c in node.conditions if c.type == "Ready"]
            if not said:
                return ClusterState()
            active, detail = said[0].status != "Unknown", said[0].message
        else:
            return ClusterState()
        found = NodeService(node=look.name, service=look.detail, active=active, detail=detail)
        return ClusterState(node_services=(found,))


def _kinds(look: ClusterQuery) -> tuple[str, ...]:
    """The kinds whose lists a question needs."""
    if look.verb in ("list", "describe"):
        return (look.kind,) if look.kind in KINDS else ()
    if look.verb == "node_service":
        return ("Node",) if look.detail == "kubelet" else ()
    return _LISTED.get(look.verb, ())
