"""Whose a pod is: its controller's, else what its labels name, else its own."""

import re
from collections.abc import Iterator, Sequence

from tools.cluster_inspector.view import APP_LABELS
from tools.types import Pod

_SCHEDULED = re.compile(r"(?P<cron_job>.+)-\d{8,11}")
"""A CronJob names its jobs after itself and the minute (or second) that was due."""


def controllers(pod: Pod) -> Iterator[str]:
    """The names of what keeps the pod, the nearest first; nothing for a bare pod.

    A ReplicaSet is named after its Deployment (or Rollout) and the hash of the pod template, which
    the pod carries as a label; a Job after its CronJob and the time.

    >>> labels = {"pod-template-hash": "5d9"}
    >>> list(controllers(Pod(name="web-5d9-x2", owner="ReplicaSet/web-5d9", labels=labels)))
    ['web-5d9', 'web']
    """
    kind, _, name = pod.owner.partition("/")
    if not name or kind == "Node":  # a static pod, which the node's kubelet keeps
        return
    yield name
    template = pod.labels.get("pod-template-hash", "")
    if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
        yield name.removesuffix(f"-{template}")
    scheduled = _SCHEDULED.fullmatch(name) if kind == "Job" else None
    if scheduled:
        yield scheduled["cron_job"]


class PodIndex:
    """Pods by their application: whose controller keeps them, else whose label or name they bear.

    >>> kept = Pod(name="web-0", owner="StatefulSet/web")
    >>> [pod.name for pod in PodIndex([kept, Pod(name="web-db-0")]).of("web")]
    ['web-0']
    """

    def __init__(self, pods: Sequence[Pod]) -> None:
        self._ways: tuple[dict[str, list[Pod]], ...] = ({}, {}, {})
        for pod in pods:
            labelled = (pod.labels.get(key, "") for key in APP_LABELS)
            names = (controllers(pod), labelled, _beginnings(pod.name))
            for way, found in zip(self._ways, names, strict=True):
                for name in dict.fromkeys(found):
                    way.setdefault(name, []).append(pod)

    def of(self, application: str) -> tuple[Pod, ...]:
        """The pods of an application."""
        return next((tuple(way[application]) for way in self._ways if application in way), ())


def _beginnings(name: str) -> Iterator[str]:
    """A name, and what stands before each of its dashes."""
    while name:
        yield name
        name = name.rpartition("-")[0]
