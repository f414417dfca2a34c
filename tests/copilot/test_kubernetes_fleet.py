"""What an inspection of a large namespace costs: requests and bytes, which no machine changes."""

import json
from collections.abc import Iterator

import pytest
from kubernetes import client

from copilot.sources.deployment import Sources
from copilot.sources.kubernetes.clusters import KubernetesSource, ReadableCluster
from copilot.sources.kubernetes.kinds import KINDS
from copilot.sources.kubernetes.live import MOST_LOGS
from copilot.testing.kubernetes import KubernetesServer
from copilot.testing.strict_http import serving
from evals.kubernetes.fleet import fleet
from tests.contracts.clocks import Standing
from tests.copilot.kubernetes_objects import NOW
from tools.types import Subject, Window

PODS = 520  # more than one page
SENT_PER_POD = 2_000
"""Bytes of all lists for each pod, compressed as the API does; before that they are 20,500."""


@pytest.fixture(scope="module")
def server() -> Iterator[KubernetesServer]:
    with serving(KubernetesServer(fleet(PODS))) as running:
        yield running


def test_an_inspection_asks_each_list_once_and_a_bounded_number_of_logs(
    server: KubernetesServer,
) -> None:
    api = client.ApiClient(client.Configuration(host=server.url))
    source = KubernetesSource([ReadableCluster(api, ["shop"], Standing(NOW))])
    missing: list[str] = []
    alerted = Subject(kind="workload", name="service-0100", namespace="shop")
    found = Sources(cluster=source).inspect(Window(start=NOW - 60, end=NOW), missing, [alerted])

    assert (found, missing) == ((), [])
    logs = [asked for asked in server.asked if asked.path.endswith("/log")]
    assert len(logs) == MOST_LOGS
    assert logs[0].path.startswith("/api/v1/namespaces/shop/pods/service-0100-")
    pages = 2 * 2  # of pods and replica sets
    described = 4  # the alerted deployment and three of its pods
    around = 1 + 1  # the namespace itself, kube-proxy's pods
    assert len(server.asked) - len(logs) <= len(KINDS) + pages + described + around
    assert sum(server.sent) <= PODS * SENT_PER_POD


def test_a_pod_of_the_fleet_is_as_large_as_a_real_one() -> None:
    pod = next(item for item in fleet(4) if item["kind"] == "Pod")

    assert 8_000 <= len(json.dumps(pod)) <= 10_000
