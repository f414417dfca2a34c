"""A live Kubernetes API, read with the official client: `get` and `list`, never anything else.

Importing this module needs the optional extra `kubernetes`. The rights it needs, and no more, are
in `clusterrole.yaml` beside it. Secrets are never read.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from pydantic import JsonValue
from urllib3.exceptions import HTTPError

from copilot.ports import Clock, SourceError
from copilot.sources.kubernetes.kinds import KINDS, WORKLOADS
from copilot.sources.kubernetes.logs import excerpts
from copilot.sources.kubernetes.manifests import objects
from tools.types import ClusterQuery, ClusterQueryVerb, ClusterState, NodeService

_ASK_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_PAGE = 500
_LOG_LINES = 400
_SYSTEM = "kube-system"
_SYSTEM_LABELS = {
    "kube-proxy": "k8s-app=kube-proxy",
    "kube-scheduler": "component=kube-scheduler",
}


class KubernetesApi:
    """One namespace of a live cluster. `api` carries address and credentials."""

    def __init__(
        self, api: client.ApiClient, namespace: str, clock: Clock, timeout_s: float = 10.0
    ) -> None:
        self._api = api
        self._clock = clock
        self._namespace = namespace
        self._timeout_s = timeout_s

    def look(self, looks: Sequence[ClusterQuery]) -> ClusterState:
        """What the API says to these questions; metrics, alerts and calls are others' business."""
        answers: dict[ClusterQueryVerb, Callable[[ClusterQuery], ClusterState]] = {
            "list": lambda look: self._list(look.kind),
            "describe": self._describe,
            "manifest": self._manifest,
            "configuration": lambda _: self._list("Node"),
            "errors": self._logs,
            "logs": self._logs,
            "node_service": self._node_service,
        }
        state = ClusterState(namespace=self._namespace)
        for look in looks:
            if look.verb in answers:
                state = state.plus(answers[look.verb](look))
        return state

    def _get(self, path: str, **query: str) -> str | None:
        """The body of one GET; None when there is no such object."""
        request = self._api.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        try:
            response = self._api.call_api(*request, _request_timeout=self._timeout_s)
            body: bytes = response.read() or b""  # type: ignore[no-untyped-call]
        except (ApiException, HTTPError) as error:
            raise SourceError("kubernetes", f"GET {path}: {error}", recoverable=True) from error
        if response.status == 404:
            return None
        if response.status != 200:
            problem = f"GET {path}: {response.status} {response.reason}"
            again = response.status in _ASK_AGAIN
            raise SourceError("kubernetes", problem, recoverable=again)
        return body.decode("utf-8", errors="replace")

    def _json(self, path: str, **query: str) -> Mapping[str, JsonValue]:
        body = self._get(path, **query)
        if body is None:
            return {}
        try:
            found = json.loads(body)
        except ValueError as error:
            problem = f"GET {path}: the answer is not JSON: {error}"
            raise SourceError("kubernetes", problem, recoverable=True) from error
        return found if isinstance(found, dict) else {}

    def _path(self, kind: str, name: str = "", namespace: str = "") -> str:
        path = KINDS[kind].path.format(namespace=namespace or self._namespace)
        # Names come from alerts and models too: one must not lead to another object.
        return f"{path}/{quote(name, safe='')}" if name else path

    def _items(self, kind: str, namespace: str = "", **query: str) -> list[dict[str, JsonValue]]:
        """All objects of a kind, page by page; the items of a list carry no kind of their own."""
        found: list[dict[str, JsonValue]] = []
        query["limit"] = str(_PAGE)
        while True:
            page = self._json(self._path(kind, namespace=namespace), **query)
            items = page.get("items")
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict):
                    found.append({"kind": kind, **item})
            meta = page.get("metadata")
            mark = meta.get("continue") if isinstance(meta, dict) else None
            if not isinstance(mark, str) or not mark:
                return found
            query["continue"] = mark

    def _list(self, kind: str) -> ClusterState:
        if kind not in KINDS:
            return ClusterState()
        found = self._items(kind)
        state = objects(found, self._clock.now())
        return state.plus(ClusterState(listed={kind: tuple(map(_name, found))}))

    def _describe(self, look: ClusterQuery) -> ClusterState:
        """The object and the events about it."""
        if look.kind not in KINDS:
            return ClusterState()
        about = f"involvedObject.name={look.name},involvedObject.kind={look.kind}"
        found = self._json(self._path(look.kind, look.name))
        events = self._items("Event", fieldSelector=about)
        both = [{"kind": look.kind, **found}, *events] if found else events
        return objects(both, self._clock.now())

    def _manifest(self, look: ClusterQuery) -> ClusterState:
        """The application's workload and service, and the config maps of the namespace."""
        found = []
        for kind in (*WORKLOADS, "Service"):
            one = self._json(self._path(kind, look.name))
            if one:
                found.append({"kind": kind, **one})
        return objects([*found, *self._items("ConfigMap")])

    def _logs(self, look: ClusterQuery) -> ClusterState:
        """The tail of every container of the application's pods, of this run and the one before."""
        state = ClusterState()
        for pod in self._items("Pod"):
            name = _name(pod)
            if not name.startswith(f"{look.name}-"):
                continue
            for container in objects([pod]).pods[0].spec.containers:
                for previous in (False, container.restarts > 0):
                    text = self._log(name, container.name, previous) if not container.init else ""
                    found = excerpts(
                        look.name, text, container=container.name, previous=previous,
                        all_=look.verb == "logs",
                    )  # fmt: skip
                    state = state.plus(ClusterState(logs=found))
        return state

    def _log(self, pod: str, container: str, previous: bool) -> str:
        query = {"container": container, "tailLines": str(_LOG_LINES)}
        if previous:
            query["previous"] = "true"
        try:
            return self._get(f"{self._path('Pod', pod)}/log", **query) or ""
        except SourceError as error:
            if error.recoverable:
                raise
            return ""  # a container that has not started has no log, and says 400

    def _node_service(self, look: ClusterQuery) -> ClusterState:
        """As far as the API knows: the kubelet by its node, others by their pods."""
        if look.detail in _SYSTEM_LABELS:
            pods = objects(
                self._items("Pod", _SYSTEM, labelSelector=_SYSTEM_LABELS[look.detail])
            ).pods
            here = [pod for pod in pods if pod.node == look.name]
            if not here:
                return ClusterState()
            active = any(pod.ready and pod.ready[0] == pod.ready[1] for pod in here)
            detail = ", ".join(f"{pod.name} {pod.status}" for pod in here)
        elif look.detail == "kubelet":
            nodes = objects([{"kind": "Node", **self._json(self._path("Node", look.name))}]).nodes
            said = [c for node in nodes for c in node.conditions if c.type == "Ready"]
            if not said:
                return ClusterState()
            active, detail = said[0].status != "Unknown", said[0].message
        else:
            return ClusterState()
        found = NodeService(node=look.name, service=look.detail, active=active, detail=detail)
        return ClusterState(node_services=(found,))


def _name(item: Mapping[str, JsonValue]) -> str:
    meta = item.get("metadata")
    return str(meta.get("name", "")) if isinstance(meta, dict) else ""


def connected(namespace: str, context: str, clock: Clock) -> KubernetesApi:
    """Read-only eyes on one namespace; raises `SourceError` where no credentials are found."""
    return KubernetesApi(api_client(context), namespace, clock)


def api_client(context: str) -> client.ApiClient:
    """A client with the credentials of `context`, or of the pod this runs in where it is empty.

    Raises `SourceError` where no credentials are found.
    """
    settings = client.Configuration()
    try:
        if context:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                context=context, client_configuration=settings
            )
        else:
            _here(settings)
    except (ConfigException, OSError) as error:
        raise SourceError("kubernetes", f"no usable credentials: {error}", recoverable=False) from (
            error
        )
    return client.ApiClient(settings)


def _here(settings: client.Configuration) -> None:
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except ConfigException:
        config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]
