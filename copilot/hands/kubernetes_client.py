"""The official Kubernetes client behind the few questions the runner asks.

Importing this module needs the optional extra `kubernetes`.
"""

from collections.abc import Callable, Sequence

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from urllib3.exceptions import HTTPError

from copilot.hands.kubernetes import (
    LAST_STEP,
    ConflictError,
    Deployment,
    FieldKind,
    NodeState,
    Patch,
    PodOnNode,
    Revision,
)
from copilot.ports import SourceError
from copilot.sources.kubernetes.credentials import api_client

_REVISION = "deployment.kubernetes.io/revision"
_MIRROR = "kubernetes.io/config.mirror"
_HASH = "pod-template-hash"
_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/strategic-merge-patch+json"
_JSON_MERGE = "application/merge-patch+json"
_AnyObject = TypeAdapter(dict[str, JsonValue])
_ASK_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class _Read(BaseModel):
    """The part of an object that is read here; the rest of it is ignored."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, frozen=True)


class _OwnerReference(_Read):
    kind: str
    uid: str


class _Metadata(_Read):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[_OwnerReference, ...] = ()


class _Spec(_Read):
    replicas: int = 1
    unschedulable: bool = False
    template: dict[str, JsonValue] = Field(default_factory=dict)


class _Status(_Read):
    ready_replicas: int = 0
    phase: str = ""


class _Object(_Read):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


class _Objects(_Read):
    items: tuple[_Object, ...] = ()


class KubernetesCluster:
    """One namespace of one cluster. `api` carries address and credentials; nothing is found out."""

    def __init__(self, api: client.ApiClient, namespace: str, timeout_s: float = 10.0) -> None:
        self._api = api
        self._apps = client.AppsV1Api(api)
        self._core = client.CoreV1Api(api)
        self._namespace = namespace
        self._timeout_s = timeout_s

    def deployment(self, name: str) -> Deployment:
        """Replicas, readiness, revision and last step of one deployment."""
        found = self._deployment(name)
        return Deployment(
            name=found.metadata.name,
            replicas=found.spec.replicas,
            ready=found.status.ready_replicas,
            revision=_revision(found),
            last_step=found.metadata.annotations.get(LAST_STEP, ""),
            version=found.metadata.resource_version,
        )

    def revisions(self, name: str) -> Sequence[Revision]:
        """The pod templates of the deployment's replica sets, by revision."""
        uid = self._deployment(name).metadata.uid
        answer = self._ask(
            lambda: self._apps.list_namespaced_replica_set(
                self._namespace, _request_timeout=self._timeout_s
            )
        )
        return [
            Revision(_revision(one), _without_hash(one.spec.template))
            for one in _Objects.model_validate(answer).items
            if any(owner.uid == uid for owner in one.metadata.owner_references)
        ]

    def patch_deployment(self, name: str, patch: Patch, dry_run: bool) -> None:
        """Patch a deployment; with `dry_run` the server only checks."""
        self._ask(
            lambda: self._apps.patch_namespaced_deployment(
                name,
                self._namespace,
                patch,
                dry_run="All" if dry_run else None,
                _content_type=_content_type(patch),
                _request_timeout=self._timeout_s,
            )
        )

    def node(self, name: str) -> NodeState:
        """Whether the node takes new pods, and the version that says so."""
        answer = self._ask(lambda: self._core.read_node(name, _request_timeout=self._timeout_s))
        found = _Object.model_validate(answer)
        return NodeState(not found.spec.unschedulable, found.metadata.resource_version)

    def patch_node(self, node: str, patch: Patch, dry_run: bool) -> None:
        """Patch a node; with `dry_run` the server only checks."""
        self._ask(
            lambda: self._core.patch_node(
                node,
                patch,
                dry_run="All" if dry_run else None,
                _content_type=_content_type(patch),
                _request_timeout=self._timeout_s,
            )
        )

    def pods_on(self, node: str) -> Sequence[PodOnNode]:
        """The pods of all namespaces on the node that have not ended."""
        answer = self._ask(
            lambda: self._core.list_pod_for_all_namespaces(
                field_selector=f"spec.nodeName={node}", _request_timeout=self._timeout_s
            )
        )
        return [
            PodOnNode(pod.metadata.namespace, pod.metadata.name, _stays(pod))
            for pod in _Objects.model_validate(answer).items
            if pod.status.phase not in ("Succeeded", "Failed")
        ]

    def evict(self, pod: PodOnNode, dry_run: bool) -> None:
        """Ask for the pod to go; the server refuses where a disruption budget forbids it."""
        metadata = client.V1ObjectMeta(name=pod.name, namespace=pod.namespace)
        self._ask(
            lambda: self._core.create_namespaced_pod_eviction(
                pod.name,
                pod.namespace,
                client.V1Eviction(metadata=metadata),
                dry_run="All" if dry_run else None,
                _request_timeout=self._timeout_s,
            )
        )

    def fields(self, kind: FieldKind, name: str) -> dict[str, JsonValue]:
        """An object as the API has it."""
        return self._raw("GET", self._path(kind, name))

    def merge(self, kind: FieldKind, name: str, patch: dict[str, JsonValue], dry_run: bool) -> None:
        """A JSON merge patch; one with a status goes to that subresource."""
        place = self._path(kind, name) + ("/status" if "status" in patch else "")
        self._raw("PATCH", place, patch, [("dryRun", "All")] if dry_run else [])

    def _path(self, kind: FieldKind, name: str) -> str:
        root = f"/apis/{kind.group}" if kind.group else "/api"
        return f"{root}/{kind.version}/namespaces/{self._namespace}/{kind.plural}/{name}"

    def _raw(
        self,
        method: str,
        path: str,
        patch: dict[str, JsonValue] | None = None,
        query: Sequence[tuple[str, str]] = (),
    ) -> dict[str, JsonValue]:
        request = self._api.param_serialize(
            method,
            path,
            query_params=list(query),
            header_params={"Accept": "application/json", "Content-Type": _JSON_MERGE},
            body=patch,
            auth_settings=["BearerToken"],
        )

        def answer() -> object:
            said = self._api.call_api(*request, _request_timeout=self._timeout_s)
            said.read()  # type: ignore[no-untyped-call]
            return self._api.response_deserialize(said, {"200": "object"}).data

        return _AnyObject.validate_python(self._ask(answer))

    def _deployment(self, name: str) -> _Object:
        answer = self._ask(
            lambda: self._apps.read_namespaced_deployment(
                name, self._namespace, _request_timeout=self._timeout_s
            )
        )
        return _Object.model_validate(answer)

    def _ask(self, question: Callable[[], object]) -> object:
        try:
            return self._api.sanitize_for_serialization(question())  # type: ignore[no-untyped-call]
        except ApiException as error:
            problem = f"{error.status} {error.reason}"
            if error.status == 409:
                raise ConflictError("kubernetes", problem, recoverable=True) from error
            again = error.status in _ASK_AGAIN
            raise SourceError("kubernetes", problem, recoverable=again) from error
        except HTTPError as error:
            raise SourceError("kubernetes", str(error), recoverable=True) from error
        except ValidationError as error:  # the client checks what the server answers
            raise SourceError("kubernetes", f"unfit answer: {error}", recoverable=False) from error


def _content_type(patch: Patch) -> str:
    return _JSON_PATCH if isinstance(patch, list) else _MERGE_PATCH


def _revision(found: _Object) -> int:
    text = found.metadata.annotations.get(_REVISION, "0")
    return int(text) if text.isdecimal() else 0


def _without_hash(template: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The template as it was written: the label that tells replica sets apart is the cluster's."""
    metadata = template.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(labels, dict):
        return template
    kept = {key: value for key, value in labels.items() if key != _HASH}
    return {**template, "metadata": {**metadata, "labels": kept}}


def _stays(pod: _Object) -> bool:
    of_daemon = any(owner.kind == "DaemonSet" for owner in pod.metadata.owner_references)
    return of_daemon or _MIRROR in pod.metadata.annotations


def acting(namespace: str, context: str) -> KubernetesCluster:
    """Hands on one namespace, by credentials of their own where `context` names them."""
    return KubernetesCluster(api_client(context), namespace)
