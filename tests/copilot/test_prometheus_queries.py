"""The queries that ship read well to the instruments; an operator's own are checked in words."""

from pathlib import Path

import pytest

from copilot.sources.prometheus import QueryError, queries
from copilot.sources.prometheus.owners import OwnerLabel, Owners, owned_by
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


@pytest.mark.parametrize(
    ("text", "value"), [("5s", 5), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("", 0), ("x", 0)]
)
def test_durations_of_prometheus_are_read(text: str, value: float) -> None:
    assert seconds(text) == value
