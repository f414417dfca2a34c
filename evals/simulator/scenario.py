"""What happens in a simulated world: a frozen script from which the same world always follows."""

from typing import Literal

from pydantic import Field

from tools.types import FrozenModel, Timestamp

SimulatedFault = Literal[
    "cpu_saturation",  # each request costs the target more CPU than it has
    "memory_pressure",  # the target's processes leak
    "slow_dependency",  # an outside dependency of the target answers late
    "errors",  # a feature behind a flag fails in the target
    "bad_deploy",  # the target's new release fails and is slow
    "pool_exhaustion",  # open transactions keep the target's connections
    "dependency_down",  # an outside dependency of the target refuses connections
    "traffic_surge",  # clients send far more than the system was built for
    "disk_full",  # a runaway writer fills the target's volume
    "network_loss",  # the target's pods on one node lose packets
]

HerringKind = Literal[
    "harmless_deploy",  # a release that changes nothing
    "noisy_neighbour",  # a batch job loads a node and nobody waits for it
    "scheduled_spike",  # a nightly job's minute of CPU, over by itself
]

MissingKind = Literal[
    "no_metrics",  # the service is not scraped
    "gap",  # its metrics are absent between `start` and `end`
    "no_logs",  # its logs are not collected
]

RIGHT_PLAYBOOK: dict[SimulatedFault, str] = {
    "cpu_saturation": "scale-out",
    "memory_pressure": "restart",
    "slow_dependency": "open-circuit-breaker",
    "errors": "disable-feature",
    "bad_deploy": "rollback",
    "pool_exhaustion": "resize-pool",
    "dependency_down": "failover",
    "traffic_surge": "rate-limit",
    "disk_full": "clean-disk",
    "network_loss": "drain-node",
}
"""The playbook that cures each fault; for scorers and tests, never for what is under test."""


class InjectedFault(FrozenModel):
    """One injected fault: what, where, since when, how hard.

    `target` is the root-cause component. `dependency` names the outside callee of the two
    dependency faults, `node` the node of network_loss, `flag` the feature flag of errors.
    """

    kind: SimulatedFault
    target: str
    onset: Timestamp
    magnitude: float = Field(default=1.0, gt=0, le=4)
    dependency: str = ""
    node: str = ""
    flag: str = ""

    @property
    def causes(self) -> tuple[str, ...]:
        """Who may rightly be called the cause: the target, and the dependency that fails it."""
        return (self.target, self.dependency) if self.dependency else (self.target,)


class RedHerring(FrozenModel):
    """Something that looks like a cause and is none."""

    kind: HerringKind
    target: str
    at: Timestamp
    seconds: float = Field(default=90.0, gt=0)


class TelemetryGap(FrozenModel):
    """Telemetry that is not there."""

    kind: MissingKind
    service: str
    start: Timestamp = 0.0
    end: Timestamp = 0.0


class WorldScenario(FrozenModel):
    """The whole script of a world; equal scenarios give equal worlds, tick by tick."""

    seed: int = Field(default=0, ge=0)
    system: Literal["shop", "random"] = "shop"
    services: int = Field(default=40, ge=6, le=5000)  # size of a random graph
    graph_seed: int = Field(default=0, ge=0)  # its shape; apart from `seed`, the chance of the day
    start: Timestamp = 1_772_546_400.0
    quiet_s: float = Field(default=1200.0, ge=0)
    sampling_s: int = Field(default=15, ge=5, multiple_of=5)
    requests_per_s: float = Field(default=120.0, gt=0)
    log_lines_per_s: float = Field(default=0.1, ge=0)  # of each service in normal operation
    trace_every_s: float = Field(default=10.0, gt=0)
    faults: tuple[InjectedFault, ...] = ()
    red_herrings: tuple[RedHerring, ...] = ()
    missing: tuple[TelemetryGap, ...] = ()

    @property
    def onset(self) -> Timestamp | None:
        """When the first fault begins; None in a healthy world."""
        return min((fault.onset for fault in self.faults), default=None)

    def history(self, seconds: float = 3600.0) -> "WorldScenario":
        """The same system a day earlier with nothing wrong: what a baseline is taken from."""
        return self.model_copy(
            update={
                "seed": self.seed + 1,
                "start": self.start - 86_400.0,
                "quiet_s": seconds,
                "faults": (),
                "red_herrings": (),
            }
        )
