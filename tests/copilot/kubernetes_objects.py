"""Objects of a small shop as the API writes them, for tests to break in one place."""

from collections.abc import Mapping
from typing import Any

from copilot.testing.kubernetes import ContainerLog

NOW = 1_800_000_000.0
Json = dict[str, Any]
Logs = Mapping[ContainerLog, str]


def deployment(app: str) -> Json:
    container = {"name": "server", "image": f"r/{app}:1", "ports": [{"containerPort": 8080}]}
    return {
        "kind": "Deployment",
        "metadata": {"name": app, "namespace": "shop"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": app}},
            "template": {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}},
        },
        "status": {"replicas": 1, "readyReplicas": 1},
    }


def service(app: str) -> Json:
    return {
        "kind": "Service",
        "metadata": {"name": app, "namespace": "shop"},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}],
                 "clusterIP": "10.9.0.1", "type": "ClusterIP"},
    }  # fmt: skip


def pod_name(app: str) -> str:
    return f"{app}-6d9fc79f96-4bhwx"


def pod(app: str, **status: Any) -> Json:
    ready = {"name": "server", "ready": True, "restartCount": 0, "state": {"running": {}}}
    return {
        "kind": "Pod",
        "metadata": {"name": pod_name(app), "namespace": "shop", "labels": {"app": app},
                     "creationTimestamp": "2027-01-15T07:00:00Z"},
        "spec": {"nodeName": "n1", "containers": [{"name": "server", "image": f"r/{app}:1"}]},
        "status": {"phase": "Running", "podIP": "10.1.0.7", "containerStatuses": [ready]} | status,
    }  # fmt: skip


def node(name: str = "n1") -> Json:
    ready = {"type": "Ready", "status": "True"}
    return {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": [ready]}}


def event(about: Json, reason: str, message: str) -> Json:
    return {
        "kind": "Event",
        "metadata": {"name": f"{about['metadata']['name']}.{reason}", "namespace": "shop"},
        "involvedObject": {"kind": about["kind"], "name": about["metadata"]["name"]},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "count": 3,
        "lastTimestamp": "2027-01-15T07:59:00Z",
    }


def healthy() -> list[Json]:
    """Two applications that serve."""
    endpoints = {
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop"},
        "subsets": [{"addresses": [{"ip": "10.1.0.7"}], "ports": [{"port": 8080}]}],
    }
    return [deployment("web"), service("web"), pod("web"), endpoints, node()]


def waiting(reason: str) -> Json:
    state = {"waiting": {"reason": reason}}
    return {"name": "server", "ready": False, "restartCount": 0, "state": state}


def without_image() -> tuple[list[Json], Logs]:
    bad = pod("cart", phase="Pending", containerStatuses=[waiting("ImagePullBackOff")])
    message = 'Failed to pull image "r/cart:1": manifest unknown'
    return [*healthy(), deployment("cart"), bad, event(bad, "Failed", message)], {}


def backing_off(code: int = 1, message: str = "") -> Json:
    """The status of a container that ended again and again, and waits to be started."""
    ended = {"reason": "Error", "exitCode": code, "finishedAt": "2027-01-15T07:59:30Z"}
    if message:
        ended["message"] = message
    return waiting("CrashLoopBackOff") | {"restartCount": 4, "lastState": {"terminated": ended}}


def crashing(
    log: str = "starting\nPortInUseException: Port 8080 is already in use\n",
) -> tuple[list[Json], Logs]:
    bad = pod("cart", containerStatuses=[backing_off()])
    logs = {ContainerLog(pod_name("cart"), "server", True): log}
    return [*healthy(), deployment("cart"), bad], logs


def restarting() -> tuple[list[Json], Logs]:
    """Serving at the moment, killed at its limit half a minute ago."""
    ended = {
        "terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2027-01-15T07:59:30Z"}
    }
    status = {"name": "server", "ready": True, "restartCount": 4, "state": {"running": {}}}
    cart = pod("cart", containerStatuses=[status | {"lastState": ended}])
    return [*healthy(), deployment("cart"), cart], {}


def pending() -> tuple[list[Json], Logs]:
    bad = pod("cart", phase="Pending", containerStatuses=[])
    del bad["spec"]["nodeName"]
    said = "0/1 nodes are available: 1 node(s) had untolerated taint {team: x}."
    return [*healthy(), deployment("cart"), bad, event(bad, "FailedScheduling", said)], {}


def moved(held: list[Json], namespace: str) -> list[Json]:
    """The objects of a namespace, as they would be in another; nodes stay."""
    return [
        item | {"metadata": item["metadata"] | {"namespace": namespace}}
        for item in held
        if item["kind"] != "Node"
    ]
