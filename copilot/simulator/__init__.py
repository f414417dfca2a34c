"""A seeded service system with faults: a telemetry source, and a target to act on.

`World(scenario)` moves on by `advance`; `SimulatedSource` shows it through the telemetry ports,
`SimulatedRunner` acts on it, `write_bundle` records it.
"""

from copilot.simulator.bundle import write_bundle
from copilot.simulator.draw import scenario
from copilot.simulator.runner import SimulatedRunner
from copilot.simulator.scenario import (
    RIGHT_PLAYBOOK,
    Fault,
    Missing,
    RedHerring,
    Scenario,
    SimulatedFault,
)
from copilot.simulator.shipped import open_world, shipped_bundles
from copilot.simulator.source import SimulatedSource
from copilot.simulator.world import World

__all__ = [
    "RIGHT_PLAYBOOK",
    "Fault",
    "Missing",
    "RedHerring",
    "Scenario",
    "SimulatedFault",
    "SimulatedRunner",
    "SimulatedSource",
    "World",
    "open_world",
    "scenario",
    "shipped_bundles",
    "write_bundle",
]
