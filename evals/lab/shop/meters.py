"""Meters: what an instance tells Prometheus, requests by RED and resources by USE."""

import time
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.4, 0.7, 1.0, 1.5, 2.5, 5.0)
_WAITS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


class _RunQueue(Collector):
    """How long the process was ready to run and had no CPU: the second figure of schedstat."""

    def collect(self) -> list[CounterMetricFamily]:
        waited = int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        return [
            CounterMetricFamily(
                "process_cpu_wait_seconds", "Time ready to run without a CPU.", value=waited
            )
        ]


class InstanceMeters:
    """All meters of one process, in a registry of their own."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_RunQueue())
        r = self.registry
        self.served = Histogram(
            "http_server_request_duration_seconds",
            "Time to answer a request.",
            ("route", "method", "status"),
            registry=r,
            buckets=_SECONDS,
        )
        self.called = Histogram(
            "http_client_request_duration_seconds",
            "Time until a callee answered.",
            ("callee", "status"),
            registry=r,
            buckets=_SECONDS,
        )
        self.pool_in_use = Gauge("pool_connections_in_use", "Connections held.", registry=r)
        self.pool_max = Gauge("pool_connections_max", "Connections allowed.", registry=r)
        self.pool_wait = Histogram(
            "pool_wait_seconds", "Wait for a connection.", ("pool",), registry=r, buckets=_WAITS
        )
        self.retries = Counter("retries", "Calls repeated.", ("callee",), registry=r)
        self.memory_limit = Gauge("memory_limit_bytes", "Memory it may use.", registry=r)
        self.clock_offset = Gauge(
            "clock_offset_seconds", "Own clock minus the reference.", registry=r
        )
        self.config_generation = Gauge(
            "config_generation", "How often its configuration was read.", registry=r
        )
        Gauge("build_info", "The release that runs.", ("version",), registry=r).labels(version).set(
            1
        )

    def text(self) -> bytes:
        """The exposition for a scrape."""
        return generate_latest(self.registry)


class CacheMeters:
    """How often a cache had the answer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.hits = Counter("cache_hits", "Answered from the cache.", registry=registry)
        self.misses = Counter("cache_misses", "Not in the cache.", registry=registry)


class QueueMeters:
    """What waits in a queue, and for how long."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.depth = Gauge("queue_depth", "Jobs that wait.", registry=registry)
        self.oldest = Gauge("queue_oldest_seconds", "Age of the oldest one.", registry=registry)


class DiskMeters:
    """How full a volume is, and how long writes take."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.used = Gauge("disk_used_bytes", "Bytes in the volume.", registry=registry)
        self.limit = Gauge("disk_limit_bytes", "Quota of the volume.", registry=registry)
        self.write = Histogram(
            "disk_write_seconds", "Time of a write.", registry=registry, buckets=_WAITS
        )


class LockMeters:
    """How long a writer waits for the lock of the database."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.wait = Histogram(
            "lock_wait_seconds", "Wait for the write lock.", registry=registry, buckets=_WAITS
        )


class CertificateMeters:
    """When the certificate that is presented expires."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.expiry = Gauge(
            "certificate_expiry_timestamp_seconds", "Not valid after.", registry=registry
        )


def since(started: float) -> float:
    """Seconds on the monotonic clock since `started`."""
    return time.monotonic() - started
