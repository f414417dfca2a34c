"""What one inspection of a large namespace costs: `python -m evals.kubernetes.fleet [PODS]`.

The API server runs in a process of its own, so that its work is not counted as ours.
"""

import multiprocessing as mp
import sys
import threading
import time
from multiprocessing.connection import Connection

from kubernetes import client

from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.sources.kubernetes.clusters import KubernetesSource, ReadableCluster
from copilot.sources.kubernetes.reader import ReadingLimits
from copilot.testing.kubernetes import KubernetesServer
from copilot.testing.kubernetes_fleet import fleet
from tools.types import Subject, Window

ROUNDS = 3
PATIENT = ReadingLimits(answer_s=60.0, inspection_s=300.0)
"""Slower than a service waits, so that a busy machine shows its figures and no gaps."""


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
