"""A seeded service system with faults: a telemetry source, and a target to act on.

`World(scenario)` moves on by `advance`; `SimulatedSource` shows it through the telemetry ports,
`SimulatedRunner` acts on it.
"""

from evals.simulator.draw import scenario
from evals.simulator.runner import SimulatedRunner, SimulatedSource
from evals.simulator.scenario import (
    RIGHT_PLAYBOOK,
    InjectedFault,
    RedHerring,
    SimulatedFault,
    TelemetryGap,
    WorldScenario,
)
from evals.simulator.world import World

__all__ = [
    "RIGHT_PLAYBOOK",
    "InjectedFault",
    "TelemetryGap",
    "RedHerring",
    "WorldScenario",
    "SimulatedFault",
    "SimulatedRunner",
    "SimulatedSource",
    "World",
    "scenario",
]
