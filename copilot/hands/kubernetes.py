"""Act on a Kubernetes cluster: scale, undo or restart a rollout, cordon, drain, and read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from pydantic import JsonValue

from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock, SourceError
from tools.playbook_executor.vocabulary import (
    GetArguments,
    NodeArguments,
    RolloutArguments,
    ScaleArguments,
)
from tools.types import PlanStep, StepResult

Patch = dict[str, JsonValue] | list[dict[str, JsonValue]]
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
LAST_STEP = "incident-copilot/last-step"
"""Annotation of a deployment: the key of the roll-out step that was last run on it."""


@dataclass(frozen=True)
class Deployment:
    """A deployment as far as a step needs it; `version` is its `resourceVersion`."""

    name: str
    replicas: int
    ready: int
    revision: int
    last_step: str = ""
    version: str = ""


@dataclass(frozen=True)
class Revision:
    """One revision of a deployment: its number and the pod template it ran."""

    number: int
    template: dict[str, JsonValue]


@dataclass(frozen=True)
class NodeState:
    """Whether a node takes new pods; `version` is its `resourceVersion`."""

    schedulable: bool
    version: str = ""


@dataclass(frozen=True)
class PodOnNode:
    """A pod on a node; one of a daemon set or static pod is not evicted."""

    namespace: str
    name: str
    stays: bool


class ConflictError(SourceError):
    """The object was changed by somebody else between our look and our patch."""


TRIES = 5
"""Looks and patches of one object, as client-go's `retry.DefaultRetry` has them."""


class Cluster(Protocol):
    """What the runner asks of a cluster; a failure is a `SourceError`.

    A patch that carries a `resourceVersion` is refused (`ConflictError`) by an object that has
    another one by now.
    A patch that is a list is a JSON patch, one that is a mapping a strategic merge patch.
    """

    def deployment(self, name: str) -> Deployment: ...

    def revisions(self, name: str) -> Sequence[Revision]: ...

    def patch_deployment(self, name: str, patch: Patch, dry_run: bool) -> None: ...

    def node(self, name: str) -> NodeState: ...

    def patch_node(self, node: str, patch: Patch, dry_run: bool) -> None: ...

    def pods_on(self, node: str) -> Sequence[PodOnNode]: ...

    def evict(self, pod: PodOnNode, dry_run: bool) -> None: ...


class KubernetesRunner:
    """Runs `kubernetes` steps; with `dry_run` the server itself checks and changes nothing.

    Each verb looks at the target first, and a target that is already as wanted is left alone: a
    step repeated after a crash does no harm. A patch holds for the object that was looked at; one
    that changed meanwhile is looked at again. Evictions respect disruption budgets; a pod that may
    not go fails the step, and the node stays cordoned.
    """

    def __init__(self, cluster: Cluster, clock: Clock, *, dry_run: bool = False) -> None:
        self._cluster = cluster
        self._clock = clock
        self._dry_run = dry_run

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Run one verb on one object."""
        return reported(self._clock, key, lambda: self._act(step, key), dry_run=self._dry_run)

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Let the server check the step, its rights and its admission, and change nothing."""
        trial = KubernetesRunner(self._cluster, self._clock, dry_run=True)
        return Rehearsal(trial._act(step, "rehearsal"))

    def touches(self, step: PlanStep) -> bool:
        """Not where the server only checks."""
        return not self._dry_run

    def _act(self, step: PlanStep, key: str) -> str:
        for attempt in range(1, TRIES + 1):
            try:
                return self._verb(step, key)
            except SourceError as error:
                if not isinstance(error, ConflictError) or attempt == TRIES:
                    raise StepFailedError(str(error)) from error
        raise AssertionError("the last attempt returns or raises")

    def _verb(self, step: PlanStep, key: str) -> str:
        match step.arguments.get("verb"):
            case "scale":
                return self._scale(of_type(step, ScaleArguments))
            case "rollout_undo" | "rollout_restart":
                return self._rollout(of_type(step, RolloutArguments), key)
            case "get":
                return self._get(of_type(step, GetArguments))
            case _:
                return self._node(of_type(step, NodeArguments))

    def _scale(self, wanted: ScaleArguments) -> str:
        found = self._cluster.deployment(wanted.name)
        before = found.replicas
        if before == wanted.replicas:
            return f"deployment {wanted.name} has {before} replicas already"
        patch: Patch = {
            "metadata": {"resourceVersion": found.version},
            "spec": {"replicas": wanted.replicas},
        }
        self._cluster.patch_deployment(wanted.name, patch, self._dry_run)
        return f"deployment {wanted.name} scaled from {before} to {wanted.replicas} replicas"

    def _undo(self, wanted: RolloutArguments, key: str) -> str:
        deployment = self._cluster.deployment(wanted.name)
        if deployment.last_step == key:
            return f"deployment {wanted.name} was rolled back by this step already"
        earlier = [
            r for r in self._cluster.revisions(wanted.name) if r.number < deployment.revision
        ]
        if not earlier:
            problem = f"has no revision before {deployment.revision}"
            raise StepFailedError(f"deployment {wanted.name} {problem}")
        target = max(earlier, key=lambda revision: revision.number)
        patch: Patch = [
            {"op": "add", "path": "/metadata/resourceVersion", "value": deployment.version},
            {"op": "replace", "path": "/spec/template", "value": target.template},
            {"op": "add", "path": f"/metadata/annotations/{_pointer(LAST_STEP)}", "value": key},
        ]
        self._cluster.patch_deployment(wanted.name, patch, self._dry_run)
        moved = f"from revision {deployment.revision} to {target.number}"
        return f"deployment {wanted.name} rolled back {moved}"

    def _rollout(self, wanted: RolloutArguments, key: str) -> str:
        return (
            self._undo(wanted, key) if wanted.verb == "rollout_undo" else self._again(wanted, key)
        )

    def _again(self, wanted: RolloutArguments, key: str) -> str:
        found = self._cluster.deployment(wanted.name)
        if found.last_step == key:
            return f"deployment {wanted.name} was restarted by this step already"
        at = datetime.fromtimestamp(self._clock.now(), UTC).isoformat()
        patch: Patch = {
            "metadata": {"annotations": {LAST_STEP: key}, "resourceVersion": found.version},
            "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: at}}}},
        }
        self._cluster.patch_deployment(wanted.name, patch, self._dry_run)
        return f"deployment {wanted.name} restarts, instance by instance"

    def _get(self, wanted: GetArguments) -> str:
        if wanted.kind == "node":
            state = "schedulable" if self._cluster.node(wanted.name).schedulable else "cordoned"
            return f"node {wanted.name} is {state}, {len(self._cluster.pods_on(wanted.name))} pods"
        found = self._cluster.deployment(wanted.name)
        return (
            f"deployment {found.name}: {found.ready} of {found.replicas} replicas ready, "
            f"revision {found.revision}"
        )

    def _node(self, wanted: NodeArguments) -> str:
        open_to_work = wanted.verb == "uncordon"
        said = f"node {wanted.name} is {'schedulable' if open_to_work else 'cordoned'}"
        found = self._cluster.node(wanted.name)
        if found.schedulable != open_to_work:
            patch: Patch = {
                "metadata": {"resourceVersion": found.version},
                "spec": {"unschedulable": not open_to_work},
            }
            self._cluster.patch_node(wanted.name, patch, self._dry_run)
        return f"{said}\n{self._evict_all(wanted.name)}" if wanted.verb == "drain" else said

    def _evict_all(self, node: str) -> str:
        gone, refused = [], []
        for pod in self._cluster.pods_on(node):
            if pod.stays:
                continue
            try:
                self._cluster.evict(pod, self._dry_run)
                gone.append(f"{pod.namespace}/{pod.name}")
            except SourceError as error:
                refused.append(f"{pod.namespace}/{pod.name}: {error.problem}")
        said = f"evicted {len(gone)} pods: {', '.join(gone)}" if gone else "no pod to evict"
        if refused:
            raise StepFailedError(f"{len(refused)} pods may not go: {'; '.join(refused)}", said)
        return said


def _pointer(key: str) -> str:
    """A key as a token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
