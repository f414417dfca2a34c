"""What a metric's name says about it: family, which side measured it, version, quantile."""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

Family = Literal[
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
_FAMILIES: tuple[tuple[Family, str], ...] = (
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


class Signal(NamedTuple):
    """A metric's name, read."""

    family: Family
    side: Side
    version: str
    quantile: str
    per_node: bool

    @property
    def bad(self) -> Literal["up", "down"]:
        """The direction in which this signal gets worse."""
        return "down" if self.family in ("success", "instances", "certificate") else "up"


@lru_cache(maxsize=4096)
def read(metric: str) -> Signal:
    """Read a metric's name.

    >>> read("callee_v2_latency_ms").family, read("callee_v2_latency_ms").version
    ('latency', 'v2')
    >>> read("fs_write").family
    'disk'
    """
    name = re.sub(r"[^a-z0-9]+", "_", metric.lower())
    named = (family for family, words in _FAMILIES if re.search(words, name))
    family: Family = next(named, "other")
    side = _SIDE.match(name)
    version = _VERSION.search(name)
    quantile = _QUANTILE.search(name)
    where = side[1] if side else "own"
    return Signal(
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

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def seconds_per(unit: str) -> float:
    """Factor from a unit of time to seconds; 1 where the unit is unknown."""
    return SECONDS.get(unit, 1.0)
