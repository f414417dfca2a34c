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


def pods_of(application: str, pods: Sequence[Pod]) -> tuple[Pod, ...]:
    """The pods of an application: those its controller keeps, else that carry its label or name."""
    ways = (
        lambda pod: application in controllers(pod),
        lambda pod: application in (pod.labels.get(key) for key in APP_LABELS),
        lambda pod: pod.name == application or pod.name.startswith(f"{application}-"),
    )
    for is_its in ways:
        found = tuple(pod for pod in pods if is_its(pod))
        if found:
            return found
    return ()
