"""What a metric's name says about it: family, which side measured it, version, quantile."""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from tools.types import FaultKind

MetricCategory = Literal[
    "cpu",
    "memory",
    "disk",
    "network",
    "latency",
    "success",
    "errors",
    "traffic",
    "saturation",
    "instances",
    "restarts",
    "certificate",
    "clock",
    "cache",
    "retries",
    "other",
]

# The first row that matches decides, so the narrower words stand first.
_FAMILIES: tuple[tuple[MetricCategory, str], ...] = (
    ("certificate", r"cert.*(?:left|expir|remain|not_after)"),
    ("clock", r"time_(?:offset|skew|drift)|clock_(?:offset|skew|drift)|ntp_.*offset|timex_offset"),
    ("cache", r"cache.*miss|miss.*cache"),
    ("retries", r"(?:^|_)retr(?:y|ies)(?:_|$)"),
    ("network", r"retransmit|packet|net_|network|bandwidth|rx_|tx_"),
    ("success", r"success|availability|apdex"),
    ("memory", r"mem.*fail|mem.*err|oom"),
    ("errors", r"error|fail|5xx|4xx|exception|fault|reject|timeout|drop"),
    ("saturation", r"pool|connection|queue|backlog|lag|thread|handle|descriptor|(?<!c)lock"),
    ("latency", r"latenc|duration|response_time|elapsed|p50|p90|p95|p99|gap"),
    ("restarts", r"restart"),
    ("instances", r"pods|replicas|instances|(?:^|_)up(?:_|$)"),
    ("cpu", r"cpu|throttl|load1|load5"),
    ("memory", r"mem|heap|rss|swap|oom|failcnt|gc_"),
    ("disk", r"fs_|disk|inode|iops|io_|volume"),
    ("traffic", r"request|calls|qps|rps|rate|throughput|count"),
)
_SIDE = re.compile(r"\b(caller|callee|gap|client|server)")
_VERSION = re.compile(r"(?:^|_)v(\d[\w.\-]*?)(?=_|$)")
_QUANTILE = re.compile(r"(?:^|_)(p\d\d|average|mean|avg|max)(?=_|$)")

Side = Literal["caller", "callee", "gap", "own"]


class MetricSemantics(NamedTuple):
    """A metric's name, read."""

    family: MetricCategory
    side: Side
    version: str
    quantile: str
    per_node: bool

    @property
    def bad(self) -> Literal["up", "down"]:
        """The direction in which this signal gets worse."""
        return "down" if self.family in ("success", "instances", "certificate") else "up"


@lru_cache(maxsize=4096)
def read(metric: str) -> MetricSemantics:
    """Read a metric's name.

    >>> read("callee_v2_latency_ms").family, read("callee_v2_latency_ms").version
    ('latency', 'v2')
    >>> read("fs_write").family
    'disk'
    """
    name = re.sub(r"[^a-z0-9]+", "_", metric.lower())
    named = (family for family, words in _FAMILIES if re.search(words, name))
    family: MetricCategory = next(named, "other")
    side = _SIDE.match(name)
    version = _VERSION.search(name)
    quantile = _QUANTILE.search(name)
    where = side[1] if side else "own"
    return MetricSemantics(
        family=family,
        side=_SIDES.get(where, "own"),
        version=f"v{version[1]}" if version else "",
        quantile=quantile[1] if quantile else "",
        per_node=name.startswith("node_"),
    )


_SIDES: dict[str, Side] = {
    "caller": "caller",
    "client": "caller",
    "callee": "callee",
    "server": "own",
    "gap": "gap",
}

# What an alert's name says outright; the first row that matches decides.
_STATED: tuple[tuple[FaultKind, str], ...] = (
    ("certificate_expired", r"(?:cert|tls|ssl|x509).*(?:expired|invalid|lapsed)"),
    ("clock_skew", r"(?:clock|ntp|timex).*(?:skew|off|drift|apart|wrong|sync)"),
    ("clock_skew", r"(?:^|_)time_(?:skew|offset|drift|not_sync)"),
    ("dns_failure", r"(?:^|_)dns|resolver|name_?resolution"),
    ("disk_full", r"(?:disk|file_?system|volume|storage|inode).*(?:full|space|fill|exhaust)"),
    ("disk_io", r"(?:disk|volume|storage|(?:^|_)io).*(?:slow|latency|wait|saturat)"),
    ("memory_pressure", r"(?:^|_)oom|mem(?:ory)?_.*(?:high|pressure|full|exhaust|limit)"),
    ("memory_pressure", r"(?:high|out_of)_?mem"),
    ("process_down", r"crash_?loop|(?:^|_)(?:down|absent)(?:_|$)"),
    ("cpu_saturation", r"cpu.*(?:high|saturat|throttl|exhaust)|high_?cpu"),
    ("lock_contention", r"dead_?lock|(?:^|_)lock.*(?:wait|contention)"),
    ("queue_backlog", r"(?:queue|backlog|consumer).*(?:lag|delay|full|high|grow|long|old)"),
    ("pool_exhaustion", r"(?:pool|connections).*(?:saturat|exhaust|full)|too_many_connections"),
    ("network_loss", r"packet.*(?:loss|drop)|retransmi"),
    ("retry_storm", r"retry_?storm|retries_?high"),
)
_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


@lru_cache(maxsize=4096)
def stated(alert: str) -> FaultKind | None:
    """The kind of fault that an alert's name states by itself; None for a mere symptom.

    >>> stated("KubeletClientCertificateExpired"), stated("HighErrorRate")
    ('certificate_expired', None)
    """
    name = _WORD_ENDS.sub("_", alert).lower()
    return next((kind for kind, words in _STATED if re.search(words, name)), None)


# What a resource's rise is, if it is the cause; the first row that matches decides.
_RESOURCES: dict[MetricCategory, tuple[tuple[str, FaultKind], ...]] = {
    "cpu": (("", "cpu_saturation"),),
    "memory": (("", "memory_pressure"),),
    "disk": ((r"used|usage|full|free|avail|inode", "disk_full"), ("", "disk_io")),
    "network": ((r"retrans|loss|drop|corrupt|out_of_order|dup", "network_loss"),),
    "saturation": (
        ("lock", "lock_contention"),
        (r"queue|backlog|lag", "queue_backlog"),
        ("", "pool_exhaustion"),
    ),
    "traffic": (("", "traffic_surge"),),
}


@lru_cache(maxsize=4096)
def resource(metric: str) -> FaultKind | None:
    """The kind of fault that a rise of this resource is; None where the metric is no resource.

    >>> resource("lock_wait_ms"), resource("latency_p99_ms")
    ('lock_contention', None)
    """
    rows = _RESOURCES.get(read(metric).family, ())
    return next((kind for words, kind in rows if re.search(words, metric)), None)


SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def seconds_per(unit: str) -> float:
    """Factor from a unit of time to seconds; 1 where the unit is unknown."""
    return SECONDS.get(unit, 1.0)
