"""The table of fault signatures: what a reading shows, of whom, of which fault, how it weighs."""

from dataclasses import dataclass
from typing import Literal

from tools.topology_walker import strengths as by
from tools.topology_walker.accusations import Accusation
from tools.topology_walker.inherited import OwnSymptom
from tools.topology_walker.readings import (
    AlertFired,
    AnomalyAlert,
    CallsRepeated,
    ChangeMade,
    EdgeMoved,
    LineNew,
    MetricMoved,
    ObjectBroken,
    TypedReading,
    VersionApart,
)
from tools.topology_walker.scene import Scene
from tools.types import FaultKind

Accused = Literal["service", "caller", "entry"]


@dataclass(frozen=True, slots=True)
class FaultSignature:
    """One row: a reading of type `reads` about one of the topics `of` accuses a component.

    `weight` counts for the component, whatever its fault is; of the rows of one `term` the
    strongest. `vote` counts for the kind of fault; of the rows of one kind the strongest. Without
    a `kind` the reading brings its own, or tells of none. `accuses` is whose component it is: the
    reading's own, the caller's of its edge, or the front door.
    """

    name: str
    term: str
    reads: type[TypedReading]
    of: str
    strength: by.Strength
    weight: float
    vote: float
    kind: FaultKind | None = None
    accuses: Accused = "service"
    example: str = ""

    def strength_of(self, reading: TypedReading, scene: by.Inquiry) -> float:
        """Return the strength, in [0, 1], with which the row holds for a reading of its type."""
        about = not self.of or reading.topic in self.of.split(", ")
        return self.strength(reading, scene) if about else 0.0

    def kind_of(self, reading: TypedReading) -> FaultKind | None:
        """Return the kind of fault that the row votes for, given this reading."""
        return self.kind or getattr(reading, "kind", None)

    def accused(self, reading: TypedReading, scene: Scene) -> str:
        """Return the component that the row accuses; empty where it is none of the scene."""
        if self.accuses == "entry":
            return scene.topology.entry
        name: str = getattr(reading, self.accuses)
        if isinstance(reading, ObjectBroken) and name not in scene.names:
            return next((one for one in scene.names if one and one in name), "")
        return name


SIGN = "telltale sign"
_Row = FaultSignature
# fmt: off
SIGNATURES: tuple[FaultSignature, ...] = (
    _Row("certificate lapsed", SIGN, MetricMoved, "certificate down", by.lapsed, 1,
         1, "certificate_expired",
         example="db certificate_left_s fell to -86400 s, normally 2e6 s"),
    _Row("clock off", SIGN, MetricMoved, "clock up, clock down", by.skewed, 1, 1, "clock_skew",
         example="db time_offset_ms rose to 6e5 ms, normally 2 ms"),
    _Row("nobody up", SIGN, MetricMoved, "instances down", by.nobody_up, 1, 1.4, "process_down",
         example="db instances_up fell to 0, normally 1; all calls to it fail"),
    _Row("cache misses", SIGN, MetricMoved, "cache up", by.cache_missed, 1, 1, "cache_stampede",
         example="cart cache_misses rose to 45/s, normally 4/s; its calls to db are slow"),
    _Row("calls repeated", SIGN, CallsRepeated, "", by.repeated, 1, 1, "retry_storm",
         example="cart->db repeats each call 8.0 times, normally 0.0"),
    _Row("outside fails", SIGN, EdgeMoved, "outside caller_errors", by.failing_outside, 1,
         1.2, "dependency_down", "caller",
         example="cart->bank errors rose to 100 %; nothing at bank is measured"),
    _Row("outside slow", SIGN, EdgeMoved, "outside caller_latency", by.slow_outside, 1,
         1.2, "slow_dependency", "caller",
         example="cart->bank latency rose to 900 ms, normally 20 ms; cart->db did not"),
    _Row("line accuses", SIGN, Accusation, "", by.accuses, 1.5, 0,
         example="cart writes: connect ECONNREFUSED cart-redis:6379"),
    _Row("line tells", SIGN, Accusation, "", by.tells, 0, 1,
         example="the same; of the kind it is as sure as the row of causes.yaml"),
    _Row("rule states a reading", SIGN, AlertFired, "certificate_expired, clock_skew", by.states,
         1.5, 2, example="TLSCertificateExpired fires at db"),
    _Row("rule states a fault", SIGN, AlertFired, "dns_failure, disk_full, process_down", by.states,
         1, 0.5, example="InstanceDown fires at cart"),
    _Row("rule states a resource", "alerts on resources", AlertFired,
         "disk_io, memory_pressure, cpu_saturation, lock_contention, "
         "queue_backlog, pool_exhaustion, network_loss, retry_storm", by.states, 0, 0.2,
         example="PoolSaturated fires at cart; what waits for the cause fills up, too"),
    _Row("more processor", "own cpu", MetricMoved, "cpu up", by.more, 1, 1,
         example="search cpu_pct rose to 60 %, normally 20 %"),
    _Row("processor used up", "own cpu", MetricMoved, "cpu up", by.used_up, 0, 1.2,
         example="search cpu_pct rose to 97 %, normally 20 %"),
    _Row("more memory", "own memory", MetricMoved, "memory up", by.more, 1, 0.5,
         example="search mem_bytes rose to 8e8, normally 5e8"),
    _Row("memory used up", "own memory", MetricMoved, "memory up", by.used_up, 0, 1.5,
         example="search mem_bytes rose to 3e9, normally 5e8"),
    _Row("more disk", "own disk", MetricMoved, "disk up", by.more, 0.2, 0.5,
         example="db fs_writes rose to 90/s, normally 40/s"),
    _Row("disk used up", "own disk", MetricMoved, "disk up", by.used_up, 0, 1,
         example="db disk_used_pct rose to 100 %, normally 60 %"),
    _Row("disk waited for", "own disk", MetricMoved, "disk up", by.waited_for, 0, 2,
         example="db disk_write_ms rose to 400 ms, normally 1.3 ms; db answers 600 ms later"),
    _Row("more held", "own saturation", MetricMoved, "saturation up", by.more, 1, 1,
         example="cart pool_used_pct rose to 70 %, normally 20 %"),
    _Row("all held", "own saturation", MetricMoved, "saturation up", by.used_up, 0, 1,
         example="cart pool_used_pct rose to 100 %, normally 20 %"),
    _Row("waited for", "own saturation", MetricMoved, "saturation up", by.waited_for, 0, 1.5,
         example="cart pool_wait_ms rose to 1900 ms, normally 1 ms; cart answers 1980 ms later"),
    _Row("packets lost", "time on the wire", MetricMoved, "network up", by.lost_packets, 0, 1.5,
         example="cart retransmits rose to 60/s, normally 5/s"),
    _Row("surge", "more traffic", MetricMoved, "traffic up, entry traffic up", by.surge, 1,
         2, "traffic_surge", "entry",
         example="web request_rate rose to 36/s, normally 12/s, and its calls succeed"),
    _Row("fewer instances", "fewer instances", MetricMoved, "instances down", by.fewer, 1,
         1, "process_down", example="search replicas fell to 1, normally 4"),
    _Row("slower itself", "own latency", OwnSymptom, "latency", by.left, 1, 0.5, "slow_dependency",
         example="cart answers 900 ms later, and what it calls does not"),
    _Row("fails itself", "own errors", OwnSymptom, "errors", by.left, 1, 0.5, "errors",
         example="40 % of the calls to db fail, and db calls nobody"),
    _Row("fed wrong values", "change below errors", OwnSymptom, "fed", by.left, 1, 1, "bad_deploy",
         example="checkout fails, what it calls does not, and currency was changed"),
    _Row("own code slower", "own time in traces", OwnSymptom, "own time", by.left, 0.2,
         1, "cpu_saturation", example="cart spends itself 0.8 s more in 'get' than before"),
    _Row("wire slower", "time on the wire", OwnSymptom, "wire", by.left, 1, 1, "network_delay",
         example="all calls to and from search take 400 ms on the wire, normally 2 ms"),
    _Row("step missed", "missing step", OwnSymptom, "missing step", by.left, 1, 1, "errors",
         example="cart no longer reaches 'priced' after 'got request'"),
    _Row("new step", "new error path", OwnSymptom, "new step", by.left, 0.5, 1, "errors",
         example="cart now reaches 'failed: boom' after 'got request'"),
    _Row("new lines", "new log template", LineNew, "news", by.new_line, 0.2, 0.2, "errors",
         example="cart writes 'failed: boom' 12 times a minute, before never"),
    _Row("released", "recent change", ChangeMade, "deploy, canary", by.changed, 0, 1.5,
         "bad_deploy", example="cart: deploy to v2 90 s before the onset"),
    _Row("configured", "recent change", ChangeMade, "config", by.changed, 0, 1.5, "bad_config",
         example="cart: config 90 s before the onset"),
    _Row("flag turned", "recent change", ChangeMade, "flag", by.changed, 0, 1, "errors",
         example="cart: flag 90 s before the onset; the feature behind it can be turned off"),
    _Row("version apart", "canary differs", VersionApart, "", by.version_apart, 1,
         1, "bad_deploy", example="cart v2 has cpu_pct 95, v1 30"),
    _Row("metrics loud", "alerts on resources", AnomalyAlert, "metric", by.loud, 1.5, 0,
         example="db: 4 anomaly events, the strongest of 7 sigma"),
    _Row("resource loudest", "alerts on resources", AnomalyAlert, "metric", by.louder, 0, 1,
         example="of db's anomaly events those of cpu_usage add up to most"),
    _Row("calls loud", "alerts on calls", AnomalyAlert, "trace", by.beside(lambda one: one.score),
         0.2, 0.2, "network_delay", example="db: anomaly events of calls to it"),
    _Row("one instance loud", "alerts on one instance", AnomalyAlert, "trace",
         by.beside(lambda one: one.apart), 0.2, 0.2, "network_delay",
         example="db-1 is louder than db-0"),
    _Row("spans loud", "alerts on own spans", AnomalyAlert, "spans",
         by.beside(lambda one: one.score), 0.5, 0, example="db: anomaly events of its own spans"),
    _Row("logs loud", "alerts in logs", AnomalyAlert, "log", by.beside(lambda one: one.count), 0.1,
         0, example="db: anomaly events of its lines"),
    _Row("object broken", "cluster finding", ObjectBroken, "", by.broken, 1, 1,
         example="Pod cart-0: no node fits"),
)
# fmt: on
"""Weights and votes are set by hand and judged by `python -m evals ablate`, leaving out each row.
Source: docs/decisions/fault-signatures.md.
"""
