"""Act on a Kubernetes cluster: scale, undo or restart a rollout, cordon, drain, and read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from pydantic import JsonValue

from copilot.hands.report import TRIES, Rehearsal, StepFailedError, of_type, reported
from copilot.hands.switch import ObjectFields, SwitchConflictError, SwitchPosition, same
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


class FieldKind(NamedTuple):
    """A kind of object: where the API has it, and the fields that a switch may set."""

    group: str
    version: str
    plural: str
    writable: tuple[str, ...]


FIELD_KINDS: Mapping[str, FieldKind] = {
    # istio.io/latest/docs/reference/config/networking: routes with weights, subsets, outliers
    "virtualservice": FieldKind(
        "networking.istio.io", "v1", "virtualservices", ("spec.http", "spec.tcp", "spec.tls")
    ),
    "destinationrule": FieldKind(
        "networking.istio.io", "v1", "destinationrules", ("spec.subsets", "spec.trafficPolicy")
    ),
    # gateway-api.sigs.k8s.io: HTTPRoute, backendRefs with weights
    "httproute": FieldKind("gateway.networking.k8s.io", "v1", "httproutes", ("spec.rules",)),
    # kubernetes.github.io/ingress-nginx: canary annotations
    "ingress": FieldKind("networking.k8s.io", "v1", "ingresses", ("metadata.annotations",)),
    "service": FieldKind("", "v1", "services", ("spec.selector",)),
    "cronjob": FieldKind("batch", "v1", "cronjobs", ("spec.suspend",)),
    # argo-rollouts.readthedocs.io: `abort` and `pause` of the plugin set these
    "rollout": FieldKind("argoproj.io", "v1alpha1", "rollouts", ("spec.paused", "status.abort")),
    # argo-cd.readthedocs.io: the revision an application follows, and whether by itself
    "application": FieldKind(
        "argoproj.io",
        "v1alpha1",
        "applications",
        ("spec.source.targetRevision", "spec.syncPolicy.automated"),
    ),
    # fluxcd.io/flux/components: `flux suspend` and `flux resume` set this
    "kustomization": FieldKind(
        "kustomize.toolkit.fluxcd.io", "v1", "kustomizations", ("spec.suspend",)
    ),
    "helmrelease": FieldKind("helm.toolkit.fluxcd.io", "v2", "helmreleases", ("spec.suspend",)),
}


class ConflictError(SourceError):
    """The object was changed by somebody else between our look and our patch."""


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

    def fields(self, kind: "FieldKind", name: str) -> dict[str, JsonValue]: ...

    def merge(
        self, kind: "FieldKind", name: str, patch: dict[str, JsonValue], dry_run: bool
    ) -> None:
        """A JSON merge patch (RFC 7386); of the status, where it holds one."""
        ...


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


class ObjectSwitch:
    """Fields of one object; a state is what they hold, and null that they are not there."""

    def __init__(self, at: ObjectFields, cluster: Cluster) -> None:
        kind = FIELD_KINDS.get(at.kind)
        if kind is None:
            raise StepFailedError(f"kind {at.kind!r} is none of {', '.join(FIELD_KINDS)}")
        self._at, self._cluster, self._kind = at, cluster, kind

    def position(self) -> SwitchPosition:
        """The whole object, and its `resourceVersion`."""
        try:
            found = self._cluster.fields(self._kind, self._at.name)
        except SourceError as error:
            raise StepFailedError(f"{self._at.told}: {error}") from error
        metadata = found.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if not version:
            raise StepFailedError(f"{self._at.told} has no resourceVersion")
        return SwitchPosition(found, version)

    def holds(self, value: JsonValue, state: JsonValue) -> bool:
        """All that the state says; what the server adds to it does not count."""
        if not isinstance(state, dict) or not state:
            raise StepFailedError(f"{self._at.told}: a state is a mapping of fields")
        if "status" in state and len(state) > 1:
            problem = "a state is of the status or of the rest: no request sets both"
            raise StepFailedError(f"{self._at.told}: {problem}")
        for path in _leaves(state):
            if not any(f"{path}.".startswith(f"{one}.") for one in self._kind.writable):
                may = ", ".join(self._kind.writable)
                raise StepFailedError(f"{self._at.told}: {path} may not be set, but {may}")
        return _within(state, value)

    def move(self, at: SwitchPosition, state: JsonValue) -> None:
        """Merge the fields, if the object has the version that was read."""
        self._merge(at, state, dry_run=False)

    def forbidden(self, at: SwitchPosition, state: JsonValue) -> str:
        """Let the server check rights and admission, in dry run."""
        try:
            self._merge(at, state, dry_run=True)
        except StepFailedError as error:
            return str(error)
        return ""

    def _merge(self, at: SwitchPosition, state: JsonValue, *, dry_run: bool) -> None:
        assert isinstance(state, dict)
        if lost := sorted(_lost(state, at.value)):
            problem = f"holds {', '.join(lost)[:200]}, which the state does not name"
            raise StepFailedError(f"{self._at.told} {problem}: a list is replaced whole")
        metadata = state.get("metadata")
        bound: dict[str, JsonValue] = {**metadata} if isinstance(metadata, dict) else {}
        bound["resourceVersion"] = at.version
        patch: dict[str, JsonValue] = {**state, "metadata": bound}
        try:
            self._cluster.merge(self._kind, self._at.name, patch, dry_run)
        except ConflictError as error:
            raise SwitchConflictError(f"{self._at.told} was changed meanwhile") from error
        except SourceError as error:
            raise StepFailedError(f"{self._at.told}: {error}") from error


def _leaves(state: dict[str, JsonValue], place: str = "") -> Iterator[str]:
    """The path of each field that is set; a mapping that is empty is one."""
    for key, value in state.items():
        if isinstance(value, dict) and value and "." not in key:
            yield from _leaves(value, f"{place}{key}.")
        else:
            yield f"{place}{key}"


def _within(state: JsonValue, value: JsonValue) -> bool:
    """Whether `value` has all that `state` says; false and null may be left out by the server.

    An empty mapping says that there is one: Argo CD synchronises by itself with `automated: {}`.
    """
    if isinstance(state, dict):
        held = value if isinstance(value, dict) else {}
        there = bool(state) or isinstance(value, dict)
        return there and all(_within(one, held.get(key)) for key, one in state.items())
    if isinstance(state, list) and isinstance(value, list):
        return len(state) == len(value) and all(map(_within, state, value))
    absent = not value and not isinstance(value, dict)
    return same(state, value) or (absent and state in (None, False))


def _lost(state: JsonValue, value: JsonValue, place: str = "") -> set[str]:
    """What the members of lists hold that the state does not name: a merge patch (RFC 7386) puts
    its own list in their place, and nobody would bring it back.
    """
    if isinstance(state, dict) and isinstance(value, dict):
        found = (_lost(one, value.get(key), f"{place}.{key}") for key, one in state.items())
        return set().union(*found)
    if isinstance(state, list) and isinstance(value, list):
        return {f"{place}{one}".lstrip(".") for one in {*_names(value)} - {*_names(state)}}
    return set()


def _names(value: JsonValue) -> Iterator[str]:
    """The path of each field within, whichever member of a list has it."""
    if isinstance(value, list):
        for member in value:
            yield from (f"[]{one}" for one in _names(member))
    elif isinstance(value, dict):
        for key, one in value.items():
            yield f".{key}"
            yield from (f".{key}{inner}" for inner in _names(one))
