"""A small healthy shop of two applications, for tests to break in one place."""

from tools.types import (
    ClusterState,
    Container,
    ContainerPort,
    ContainerState,
    Endpoints,
    KubeEvent,
    Node,
    Pod,
    PodSpec,
    Service,
    ServicePort,
    Workload,
)

NAMESPACE = "shop"


def spec(app: str, **more: object) -> PodSpec:
    """A template of one container that listens on 8080."""
    container = Container(
        name="server", image=f"registry/{app}:1", ports=(ContainerPort(port=8080),)
    )
    known: dict[str, object] = {"labels": {"app": app}, "containers": (container,)}
    return PodSpec.model_validate(known | more)


def pod(app: str, **more: object) -> Pod:
    """A pod of `app` that serves, unless told otherwise."""
    known: dict[str, object] = {
        "name": f"{app}-5d9fc79f96-4bhwx",
        "labels": {"app": app},
        "status": "Running",
        "phase": "Running",
        "node": "worker-1",
        "ip": "10.1.0.7",
        "ready": (1, 1),
        "age": 3600.0,
        "owner": f"ReplicaSet/{app}-5d9fc79f96",
    }
    return Pod.model_validate(known | more)


def pending(app: str) -> Pod:
    """A pod of `app` without a node."""
    return pod(app, status="Pending", phase="Pending", node="", ip="", ready=(0, 1))


def ended(app: str, reason: str, code: int, **more: object) -> Pod:
    """A pod of `app` whose container ended with that reason and is being restarted."""
    container = Container(
        name="server",
        state=ContainerState(status="waiting", reason="CrashLoopBackOff"),
        last_state=ContainerState(status="terminated", reason=reason, exit_code=code),
        restarts=4,
        ready=False,
    )
    return pod(
        app,
        status="CrashLoopBackOff",
        ready=(0, 1),
        restarts=4,
        restarted_ago=20.0,
        spec=PodSpec(labels={"app": app}, containers=(container,)),
        **more,
    )


def warning(reason: str, message: str, about: str, count: int = 3) -> KubeEvent:
    """A warning about a pod or a replica set."""
    kind = "pod" if about.count("-") > 1 else "replicaset"
    return KubeEvent(
        kind=kind,
        object=about,
        type="Warning",
        reason=reason,
        message=message,
        count=count,
        age=5.0,
    )


def deployment(app: str, **more: object) -> Workload:
    """A deployment of one replica with its template."""
    known: dict[str, object] = {
        "kind": "Deployment",
        "name": app,
        "desired": 1,
        "current": 1,
        "ready": 1,
        "selector": {"app": app},
        "template": spec(app),
    }
    return Workload.model_validate(known | more)


def service(app: str, **more: object) -> Service:
    """A service in front of `app`."""
    known: dict[str, object] = {
        "name": app,
        "cluster_ip": f"10.9.0.{len(app)}",
        "selector": {"app": app},
        "ports": (ServicePort(port=80, target="8080", name="http"),),
    }
    return Service.model_validate(known | more)


def nodes() -> tuple[Node, ...]:
    """A cordoned control plane and two workers."""
    large = {"cpu": 4.0, "memory": 8e9}
    return (
        Node(name="master", ready=True, unschedulable=True, roles=("control-plane",)),
        Node(name="worker-1", ready=True, labels={"disk": "ssd"}, allocatable=large),
        Node(name="worker-2", ready=True, labels={"disk": "hdd"}, allocatable=large),
    )


def shop(**changes: object) -> ClusterState:
    """The shop with `web` calling `cart`; a change replaces the field of that name."""
    apps = ("web", "cart")
    known: dict[str, object] = {
        "namespace": NAMESPACE,
        "pods": tuple(pod(app) for app in apps),
        "workloads": tuple(deployment(app) for app in apps),
        "services": tuple(service(app) for app in apps),
        "endpoints": tuple(Endpoints(name=app, ready=("10.1.0.7:8080",)) for app in apps),
        "nodes": nodes(),
        "listed": {"Service": apps, "Pod": tuple(pod(app).name for app in apps)},
    }
    return ClusterState.model_validate(known | changes)
