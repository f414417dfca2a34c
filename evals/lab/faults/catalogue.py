"""Catalogue: every kind of fault of the lab, each at one of the places where it can happen."""

from collections.abc import Callable

from evals.lab.blueprint import SERVICES
from evals.lab.faults.scenario import (
    Act,
    LabScenario,
    condition,
    done_by_person,
    relieved,
    sabotage,
)
from tools.types import FaultKind

_FLAP_S = 12.0


def _flapping() -> tuple[Act, ...]:
    """An alert of a badly chosen rule that comes and goes."""
    return tuple(
        Act(
            "monitoring",
            "fire" if turn % 2 == 0 else "resolve",
            "catalog",
            {"alertname": "HeapForecast", "severity": "warning"},
            turn * _FLAP_S,
        )
        for turn in range(6)
    )


def _maintenance() -> tuple[Act, ...]:
    """An announced stop of one service, silenced beforehand, over in time."""
    return (
        Act("monitoring", "silence", "recommendation", {"seconds": 120.0}),
        sabotage("recommendation", "signal", after_s=3.0, signal="stop"),
        sabotage("recommendation", "signal", after_s=33.0, signal="continue"),
    )


HARMLESS: dict[str, LabScenario] = {
    one.name: one
    for one in (
        LabScenario(
            "harmless_deploy",
            (done_by_person("cart", "deploy", version="v4.2.8"),),
            lasts_s=70.0,
        ),
        LabScenario(
            "short_spike",
            (
                sabotage("shop", "crowd", all=5.0),
                sabotage("shop", "crowd", after_s=6.0, all=1.0),
            ),
            lasts_s=70.0,
        ),
        LabScenario("healthy_surge", (sabotage("shop", "crowd", all=2.0),), lasts_s=80.0),
        LabScenario(
            "monitoring_gap",
            (
                sabotage("recommendation", "scraped", scraped=False),
                sabotage("recommendation", "scraped", after_s=40.0, scraped=True),
            ),
            lasts_s=80.0,
        ),
        LabScenario("flapping_alert", _flapping(), lasts_s=85.0),
        LabScenario("maintenance_window", _maintenance(), lasts_s=80.0),
    )
}


ScenarioBuilder = Callable[[str], LabScenario]
_CALLER = {"bank": "payment", "carrier": "shipping"}


def next_version(service: str) -> str:
    """The release after the one that is declared."""
    head, _, last = SERVICES[service].version.rpartition(".")
    return f"{head}.{int(last) + 1}"


def _bound(kind: FaultKind, cure: str, verb: str, value: float) -> ScenarioBuilder:
    """A condition of the running processes, which new ones do not have."""

    def build(target: str) -> LabScenario:
        acts = (condition(target, verb, value, life="process"),)
        return LabScenario("", acts, (target,), (kind,), frozenset({cure, "restart"}))

    return build


def _lasting(kind: FaultKind, cure: str, verb: str, value: float) -> ScenarioBuilder:
    """A condition of the service, which outlives its processes."""

    def build(target: str) -> LabScenario:
        acts = (condition(target, verb, value),)
        return LabScenario("", acts, (target,), (kind,), frozenset({cure}))

    return build


def _slow_dependency(target: str) -> LabScenario:
    acts = (condition(target, "slow_work_ms", 1000.0),)
    cures = frozenset({"failover", "open-circuit-breaker"})
    return LabScenario("", acts, (target, _CALLER[target]), ("slow_dependency",), cures)


def _dependency_down(target: str) -> LabScenario:
    acts = (sabotage(target, "signal", signal="kill"),)
    cures = frozenset({"failover", "open-circuit-breaker"})
    return LabScenario("", acts, (target, _CALLER[target]), ("dependency_down",), cures)


def _released(target: str, name: str, value: float, kinds: tuple[FaultKind, ...]) -> LabScenario:
    version = next_version(target)
    acts: tuple[Act, ...] = (
        condition(target, name, value, version=version),
        done_by_person(target, "deploy", version=version),
    )
    return LabScenario("", acts, (target,), kinds, frozenset({"rollback"}))


def _bad_deploy(target: str) -> LabScenario:
    return _released(target, "error_share", 0.4, ("bad_deploy",))


def _crash_loop(target: str) -> LabScenario:
    kinds: tuple[FaultKind, ...] = ("process_down", "bad_deploy", "startup")
    return _released(target, "crash", 1.0, kinds)


def _bad_config(target: str) -> LabScenario:
    acts = (done_by_person(target, "config", key="timeout_s", value=0.01),)
    return LabScenario("", acts, (target,), ("bad_config",), frozenset({"rollback"}))


def _process_gone(signal: str) -> ScenarioBuilder:
    def build(target: str) -> LabScenario:
        acts = (sabotage(target, "signal", signal=signal),)
        kinds: tuple[FaultKind, ...] = ("process_down",)
        return LabScenario("", acts, (target,), kinds, frozenset({"restart", "relocate"}))

    return build


def _network(delay_s: float, loss: float, kinds: tuple[FaultKind, ...]) -> ScenarioBuilder:
    def build(target: str) -> LabScenario:
        acts = (sabotage(target, "detour", delay_s=delay_s, loss=loss),)
        return LabScenario("", acts, (target,), kinds, frozenset({"relocate", "restart"}))

    return build


def _dns_failure(target: str) -> LabScenario:
    name = "inventory" if target == "checkout" else "store"
    acts = (sabotage(target, "names", name=name),)
    cures = frozenset({"switch-resolver"})
    return LabScenario("", acts, (target,), ("dns_failure",), cures)


def _certificate_expired(target: str) -> LabScenario:
    acts = (sabotage(target, "certificate", days=-1),)
    cures = frozenset({"certificate-renewal"})
    return LabScenario("", acts, (target,), ("certificate_expired",), cures)


def _traffic_surge(target: str) -> LabScenario:
    acts = (sabotage("shop", "crowd", all=6.5),)
    return LabScenario("", acts, (target,), ("traffic_surge",), frozenset({"rate-limit"}))


def _noisy_neighbour(target: str) -> LabScenario:
    acts = (sabotage(target, "neighbour"),)
    kinds: tuple[FaultKind, ...] = ("noisy_neighbour",)
    return LabScenario("", acts, (target,), kinds, frozenset({"relocate", "restart"}))


def _retry_storm(target: str) -> LabScenario:
    """A short weakness of shipping is over soon; the retries it set off keep it overloaded."""
    acts = (
        condition(target, "retry_bug", 8.0),
        condition("shipping", "slow_work_ms", 500.0),
        relieved("shipping", "slow_work_ms", 14.0),
    )
    cures = frozenset({"stop-retries", "rate-limit", "open-circuit-breaker"})
    return LabScenario("", acts, (target, "shipping"), ("retry_storm",), cures)


_FAULTS: dict[str, tuple[ScenarioBuilder, tuple[str, ...]]] = {
    "cpu_hog": (_bound("cpu_saturation", "restart", "burn", 1), ("recommendation", "cart")),
    "memory_leak": (
        _bound("memory_pressure", "restart", "leak_mb_s", 6),
        ("cart", "recommendation"),
    ),
    "slow_dependency": (_slow_dependency, ("bank", "carrier")),
    "endpoint_errors": (_lasting("errors", "disable-feature", "broken_flag", 1), ("catalog",)),
    "bad_deploy": (_bad_deploy, ("cart", "inventory")),
    "bad_config": (_bad_config, ("shipping", "payment")),
    "pool_exhaustion": (_bound("pool_exhaustion", "resize-pool", "held", 8), ("cart", "inventory")),
    "lock_contention": (_lasting("lock_contention", "end-sessions", "locked", 1), ("store",)),
    "dependency_down": (_dependency_down, ("carrier", "bank")),
    "process_killed": (_process_gone("kill"), ("recommendation", "cart")),
    "process_hung": (_process_gone("stop"), ("shipping", "recommendation")),
    "crash_loop": (_crash_loop, ("shipping", "payment")),
    "disk_full": (_lasting("disk_full", "clean-disk", "fill_mb_s", 4), ("store",)),
    "slow_disk": (_lasting("disk_io", "switch-volume", "disk_delay_s", 0.4), ("store",)),
    "packet_delay": (_network(0.3, 0.0, ("network_delay",)), ("inventory", "cart")),
    "packet_loss": (
        _network(0.01, 0.4, ("network_loss", "network_delay")),
        ("cart", "inventory"),
    ),
    "dns_failure": (_dns_failure, ("checkout", "cart")),
    "certificate_expired": (_certificate_expired, ("payment",)),
    "clock_skew": (
        _lasting("clock_skew", "sync-clock", "clock_offset", 600),
        ("payment", "inventory"),
    ),
    "queue_backlog": (_lasting("queue_backlog", "scale-out", "slow_job_ms", 330), ("worker",)),
    "cache_stampede": (
        _lasting("cache_stampede", "cache-flush", "worthless_cache", 1),
        ("catalog",),
    ),
    "traffic_surge": (_traffic_surge, ("gateway",)),
    "noisy_neighbour": (_noisy_neighbour, ("recommendation", "cart")),
    "retry_storm": (_retry_storm, ("checkout",)),
}

KINDS: tuple[str, ...] = tuple(_FAULTS)
NAMES: tuple[str, ...] = (*KINDS, *HARMLESS)


def scenario(name: str, seed: int = 0) -> LabScenario:
    """A scenario by name; the seed picks among the places where its fault can happen."""
    if name in HARMLESS:
        return HARMLESS[name]
    build, targets = _FAULTS[name]
    made = build(targets[seed % len(targets)])
    return LabScenario(name, made.acts, made.components, made.kinds, made.cures)
