"""The queries that ship read well to the instruments; an operator's own are checked in words."""

import re
from pathlib import Path

import pytest

from copilot.sources.prometheus import QueryError, queries
from copilot.sources.prometheus.owners import (
    WORKLOAD,
    OwnedName,
    OwnerLabel,
    Owners,
    owned_by,
)
from copilot.sources.prometheus.plan import seconds
from tools.topology_walker.signals import MetricCategory, read

FAMILIES: dict[str, MetricCategory] = {
    "request_rate": "traffic",
    "error_pct": "errors",
    "latency_p95_ms": "latency",
    "calls": "traffic",
    "instances_up": "instances",
    "cpu_cores": "cpu",
    "memory_bytes": "memory",
    "pool_used_pct": "saturation",
    "pool_wait_p95_ms": "saturation",
    "queue_depth": "saturation",
    "lock_wait_p95_ms": "saturation",
    "disk_used_pct": "disk",
    "disk_write_ms": "disk",
    "node_cpu_pct": "cpu",
    "node_net_retransmit_pct": "network",
    "time_offset_ms": "clock",
    "certificate_left_s": "certificate",
    "cache_miss_pct": "cache",
    "retries": "retries",
}


@pytest.mark.parametrize(("metric", "family"), FAMILIES.items())
def test_the_instruments_read_our_names(metric: str, family: MetricCategory) -> None:
    assert metric in {one.metric for one in queries()}
    assert read(metric).family == family


SET = '[[set]]\nname = "x"\nsource = "https://example.org"\n'
"""The head of a set of an operator's own."""


def test_a_set_of_an_operators_own_is_read_as_those_that_ship_are(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(f'{SET}[[set.requests]]\ncounter = "hits_total"\nservice = ["shard"]\n')
    (asked,) = queries(path)
    assert (asked.metric, asked.of, asked.service) == ("request_rate", "hits_total", ("shard",))
    assert asked.set == "x"


def test_an_operators_file_stands_alone_or_before_what_ships(tmp_path: Path) -> None:
    toml, yaml = tmp_path / "ours.toml", tmp_path / "ours.yaml"
    toml.write_text('[[query]]\nmetric = "jobs"\nshape = "rate"\nof = "jobs_total"\n')
    yaml.write_text("extends: true\nquery:\n- {metric: jobs, shape: rate, of: jobs_total}\n")
    alone = queries(toml)
    assert [one.metric for one in alone] == ["jobs"]
    assert queries(yaml) == (*alone, *queries())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 queries"),
        ("requests = []", "list of \\[\\[query\\]\\]"),
        ("query = 3", "list of \\[\\[query\\]\\]"),
        ("query = []", "0 queries"),
        ('[[query]]\nmetric = "x"', "query 1, shape"),
        ('[[query]]\nmetric = "X"\nshape = "rate"\nof = "a"', "query 1, metric = 'X'"),
        ('[[query]]\nmetric = "x"\nshape = "rate"\nof = "a{}"', "no metric name"),
        ('[[query]]\nmetric = "x"\nshape = "share"\nof = "a"', "a share"),
        ('[[query]]\nmetric = "x"\nshape = "used"\nof = "a"', "`limit`"),
        ('[[query]]\nmetric = "x"\nshape = "promql"\nof = "a"', "query 1, shape = 'promql'"),
        ("[[", "cannot be read"),
        ('[[set]]\nname = "x"', "set 1, source"),
        (f'{SET}[[set.requests]]\ncounter = "a"\nhistogram = "b"', "'x', requests 1, as a whole"),
        (f'{SET}[[set.requests]]\ncounter = "a{{}}"', "no metric name"),
        (f'{SET}[[set.requests]]\ncounter = "a"\nowners = "b"', "requests 1, owners = 'b'"),
        (f'{SET}query = [{{ metric = "y", shape = "rate", of = "a", per = ["b c"] }}]', "no label"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "q.toml"
    path.write_text(text)
    with pytest.raises(QueryError, match=said):
        queries(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="cannot be read"):
        queries(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        ({"service": "web", "callee": "pay:8080"}, "web->pay"),
        ({"service": "web", "callee": "pay.shop.svc.cluster.local"}, "web->pay"),
        ({"service": "web", "callee": "api.bank.example"}, "web->api.bank.example"),
        ({"service": "web"}, ""),
        ({"service": "", "callee": "pay"}, ""),
        ({"service": "a->b", "callee": "pay"}, ""),
        ({"service": "we\nb", "callee": "pay"}, ""),
    ],
)
def test_an_owner_is_what_the_labels_name(labels: dict[str, str], owner: str) -> None:
    asked = tuple(OwnerLabel(name, (name,)) for name in ("service", "callee"))
    assert Owners().text(owned_by(asked, (None, None), labels), "edge") == owner


def test_the_share_of_errors_is_zero_and_not_unknown_before_the_first_one() -> None:
    (asked,) = (
        query
        for query in queries()
        if (query.metric, query.of) == ("error_pct", "rpc_server_call_duration_seconds_count")
    )
    expression = asked.render({"service_name"}, 60)
    assert expression is not None
    assert 'error_type!=""' in expression


def test_the_share_of_errors_is_unknown_where_no_status_is_told() -> None:
    asked = [query for query in queries() if query.of == "http_requests_total"]
    told = {query.metric: query.render({"service", "job"}, 60) for query in asked}
    assert told["request_rate"] is not None
    assert told["error_pct"] is None


PODS = {
    "Deployment": ("cart-7c489dc7b7-ccrf6", "cart"),
    "Deployment with a short hash": ("cart-d85848749-8z66x", "cart"),
    "Deployment with a number": ("api-2-769b6d4b8c-kfh2r", "api-2"),
    "Deployment with words": ("web-front-http2-6d44dcd7dc-l229x", "web-front-http2"),
    "StatefulSet": ("mysql-0", "mysql"),
    "StatefulSet of a version": ("mysql-8-12", "mysql-8"),
    "DaemonSet": ("node-exporter-x7k2q", "node-exporter"),
    "CronJob": ("backup-28391820-x7k2q", "backup"),
    "Job": ("migrate-x7k2q", "migrate"),
    "bare": ("debug-shell", "debug-shell"),
    "bare, of one word": ("debug", "debug"),
}


@pytest.mark.parametrize(("pod", "workload"), PODS.values(), ids=PODS)
def test_a_pod_belongs_to_the_workload_its_name_begins_with(pod: str, workload: str) -> None:
    read = re.fullmatch(WORKLOAD, pod)
    assert read is not None
    assert read[1] == workload


NAMES = {
    "a host with a port": ("pay:8080", OwnedName("pay")),
    "a service of Kubernetes": ("pay.shop.svc.cluster.local:80", OwnedName("pay", "shop")),
    "a job of OpenTelemetry": ("shop/pay", OwnedName("pay", "shop")),
    "a cluster of Istio's Envoy": ("outbound|80||pay.shop.svc", OwnedName("pay", "shop")),
    "a service of Traefik": ("pay@docker", OwnedName("pay")),
    "a version": ("pay@v2", OwnedName("pay@v2")),
    "a domain": ("api.bank.example", OwnedName("api.bank.example")),
    "a path": ("/var/lib", OwnedName("/var/lib")),
    "two owners": ("a->b", OwnedName("")),
}


@pytest.mark.parametrize(("label", "name"), NAMES.values(), ids=NAMES)
def test_a_name_is_read_without_what_belongs_to_its_address(label: str, name: OwnedName) -> None:
    assert OwnedName.read(label) == name


def test_a_name_in_two_namespaces_is_two_owners_from_then_on() -> None:
    owners = Owners()
    here, there = (OwnedName("cart", "shop"),), (OwnedName("cart", "stage"),)
    assert owners.text(here, "service") == "cart"
    owners.learn([here, (OwnedName("pay", "shop"),)])
    owners.learn([there])
    assert owners.text(here, "service") == "cart"
    owners.learn([here, there])
    assert [owners.text(one, "service") for one in (here, there)] == ["shop/cart", "stage/cart"]
    owners.learn([here])
    assert owners.text(here, "service") == "shop/cart"
    assert owners.text((OwnedName("cart"),), "service") == "cart"


@pytest.mark.parametrize(
    ("text", "value"), [("5s", 5), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("", 0), ("x", 0)]
)
def test_durations_of_prometheus_are_read(text: str, value: float) -> None:
    assert seconds(text) == value
