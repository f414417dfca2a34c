"""What one inspection of a large namespace costs: `python -m evals.kubernetes.fleet [PODS]`.

The API server runs in a process of its own, so that its work is not counted as ours.
"""

import multiprocessing as mp
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from kubernetes import client

from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.sources.kubernetes.clusters import KubernetesSource, ReadableCluster
from copilot.sources.kubernetes.reader import ReadingLimits
from copilot.testing.kubernetes import KubeObjectJson, KubernetesServer
from tools.types import Subject, Window

ROUNDS = 3
PATIENT = ReadingLimits(answer_s=60.0, inspection_s=300.0)
"""Slower than a service waits, so that a busy machine shows its figures and no gaps."""

REPLICAS = 4
OLD_REVISIONS = 3
_BORN = "2027-01-14T07:00:00Z"


def fleet(pods: int, namespace: str = "shop") -> list[KubeObjectJson]:
    """Deployments of four pods each with replica sets, services, endpoints, settings and events.

    A pod takes 8 kB, of which the fields that say who manages what are a third.
    """
    held: list[KubeObjectJson] = [{"kind": "Namespace", "metadata": {"name": namespace}}]
    held += [_node(index) for index in range(max(3, pods // 100))]
    for index in range(pods // REPLICAS):
        held += _application(f"service-{index:04}", namespace, pods // 100)
    return held


def _application(app: str, namespace: str, nodes: int) -> list[KubeObjectJson]:
    template = _template(app)
    selector = {"matchLabels": {"app.kubernetes.io/name": app}}
    spec = {"replicas": REPLICAS, "selector": selector, "template": template}
    status = {"replicas": REPLICAS, "readyReplicas": REPLICAS, "availableReplicas": REPLICAS}
    idle = {"replicas": 0}
    addresses = [{"ip": f"10.1.0.{index}"} for index in range(REPLICAS)]
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    return [
        _object("Deployment", app, namespace, spec=spec, status=status),
        *(
            _object(
                "ReplicaSet", f"{app}-{index:010x}", namespace,
                spec=spec | {"replicas": 0 if index else REPLICAS},
                status=idle if index else status,
            )
            for index in range(OLD_REVISIONS + 1)
        ),
        *(_pod(app, index, namespace, max(3, nodes)) for index in range(REPLICAS)),
        _object("Service", app, namespace, spec={
            "selector": selector["matchLabels"], "clusterIP": "10.9.0.1", "type": "ClusterIP",
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
        }),
        _object("Endpoints", app, namespace, subsets=[{"addresses": addresses, "ports": ports}]),
        _object("ConfigMap", app, namespace, data={"settings.yaml": "level: info\n" * 40}),
    ]  # fmt: skip


def _object(kind: str, name: str, namespace: str, **body: Any) -> KubeObjectJson:
    labels = {"app.kubernetes.io/name": name.rpartition("-0")[0] if kind == "ReplicaSet" else name}
    meta = {
        "name": name, "namespace": namespace, "labels": labels, "creationTimestamp": _BORN,
        "uid": f"8d1e6f0a-{len(name):04}-4a5b-9c8d-0123456789ab", "resourceVersion": "4711",
        "managedFields": _managed(),
    }  # fmt: skip
    return {"kind": kind, "metadata": meta, **body}


def _managed() -> list[dict[str, Any]]:
    """Who manages which field, as server-side apply keeps it."""
    fields: dict[str, Any] = {
        f"f:field{index}": {".": {}, "f:name": {}, "f:value": {}} for index in range(32)
    }
    return [
        {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": _BORN,
         "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}}
        for manager in ("kube-controller-manager", "kubelet")
    ]  # fmt: skip


def _template(app: str) -> dict[str, Any]:
    env = [{"name": f"SETTING_{index:02}", "value": f"value of {index}"} for index in range(20)]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    container = {
        "name": "server", "image": f"registry.example/{app}:1.42.0", "env": env,
        "ports": [{"containerPort": 8080, "name": "http"}],
        "resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "512Mi"}},
        "livenessProbe": probe, "readinessProbe": probe,
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/app"}],
    }  # fmt: skip
    return {
        "metadata": {"labels": {"app.kubernetes.io/name": app}},
        "spec": {
            "containers": [container, container | {"name": "proxy"}],
            "volumes": [{"name": "settings", "configMap": {"name": app}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
        },
    }


def _pod(app: str, index: int, namespace: str, nodes: int) -> KubeObjectJson:
    owner = {"kind": "ReplicaSet", "name": f"{app}-{0:010x}", "controller": True}
    running = {"running": {"startedAt": _BORN}}
    states = [
        {"name": name, "ready": True, "restartCount": 0, "state": running, "started": True,
         "image": f"registry.example/{app}:1.42.0", "containerID": "containerd://" + "c0ffee" * 10,
         "imageID": f"registry.example/{app}@sha256:" + "ab" * 32}
        for name in ("server", "proxy")
    ]  # fmt: skip
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": _BORN}
        for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "PodScheduled")
    ]
    body = _object("Pod", app, namespace)
    body["metadata"] |= {"name": f"{app}-{0:010x}-pod{index:02}", "ownerReferences": [owner]}
    body["spec"] = _template(app)["spec"] | {"nodeName": f"node-{index % nodes:03}"}
    body["status"] = {
        "phase": "Running", "podIP": f"10.1.0.{index}", "conditions": conditions,
        "containerStatuses": states, "startTime": _BORN,
    }  # fmt: skip
    return body


def _node(index: int) -> KubeObjectJson:
    conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
    return {
        "kind": "Node",
        "metadata": {"name": f"node-{index:03}", "labels": {"kubernetes.io/os": "linux"}},
        "spec": {},
        "status": {
            "conditions": conditions,
            "allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"},
        },
    }


def _serve(pods: int, line: Connection) -> None:
    server = KubernetesServer(fleet(pods))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    line.send(server.url)
    while line.recv():
        line.send((len(server.asked), sum(server.sent)))


def main(pods: int) -> None:
    """Inspect a healthy namespace of so many pods a few times, and print each round's cost."""
    here, there = mp.Pipe()
    process = mp.Process(target=_serve, args=(pods, there), daemon=True)
    process.start()
    api = client.ApiClient(client.Configuration(host=here.recv()))
    cluster = ReadableCluster(api, ["shop"], SystemClock(), limits=PATIENT)
    sources = Sources(cluster=KubernetesSource([cluster]))
    alerted = Subject(kind="workload", name="service-0001", namespace="shop")
    asked, sent = 0, 0
    for _ in range(ROUNDS):
        missing: list[str] = []
        wall, cpu = time.perf_counter(), time.process_time()
        found = sources.inspect(Window(start=0.0, end=time.time()), missing, [alerted])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        here.send(True)
        requests, size = here.recv()
        sys.stdout.write(
            f"{pods} pods: {wall:.1f} s, {cpu:.1f} s of CPU, {requests - asked} requests, "
            f"{(size - sent) / 1e6:.1f} MB, {len(found)} findings, {len(missing)} gaps\n"
        )
        asked, sent = requests, size
    process.terminate()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
