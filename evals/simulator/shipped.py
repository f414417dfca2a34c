"""The three bundles inside the package, and the worlds they were recorded from."""

from importlib.resources import files
from pathlib import Path

from evals.simulator.bundle import RecordedWorld, write_bundle, write_history
from evals.simulator.scenario import InjectedFault, RedHerring, TelemetryGap, WorldScenario
from evals.simulator.world import World
from tools.types import Window

_HISTORY = "shop"
_NOON = 1_774_094_400.0  # Saturday, 21 March 2026, 12:00 UTC
_DAY_S = 86_400.0
_QUIET_S = 1200.0
_AFTER_S = 300.0


def _script(
    seed: int, day: int, fault: InjectedFault, *distractions: RedHerring | TelemetryGap
) -> WorldScenario:
    start = _NOON + day * _DAY_S
    return WorldScenario(
        seed=seed,
        start=start,
        quiet_s=_QUIET_S,
        log_lines_per_s=0.05,
        trace_every_s=15.0,
        faults=(fault,),
        red_herrings=tuple(d for d in distractions if isinstance(d, RedHerring)),
        missing=tuple(d for d in distractions if isinstance(d, TelemetryGap)),
    )


def _onset(day: int) -> float:
    return _NOON + day * _DAY_S + _QUIET_S


SCRIPTS: dict[str, WorldScenario] = {
    "sim-4be1c7": _script(
        11,
        2,
        InjectedFault(kind="pool_exhaustion", target="payment", onset=_onset(2), magnitude=1.2),
        RedHerring(kind="harmless_deploy", target="recommendation", at=_onset(2) - 150.0),
    ),
    "sim-92d05a": _script(
        23,
        4,
        InjectedFault(kind="disk_full", target="orders-db", onset=_onset(4)),
        RedHerring(kind="noisy_neighbour", target="search", at=_onset(4) - 240.0, seconds=900.0),
    ),
    "sim-d7316f": _script(
        37,
        5,
        InjectedFault(kind="memory_pressure", target="catalog", onset=_onset(5), magnitude=1.1),
        TelemetryGap(kind="no_metrics", service="pricing"),
        TelemetryGap(kind="gap", service="search", start=_onset(5) - 60.0, end=_onset(5) + 90.0),
        TelemetryGap(kind="no_logs", service="cache"),
    ),
}
"""The scripts by incident id; an id says nothing about the answer."""


def shipped_bundles() -> Path:
    """The folder inside the package: `incidents/`, `history/`, `truth/` and `worlds/`."""
    return Path(str(files("evals.simulator"))) / "bundles"


def write_shipped(folder: Path) -> None:
    """Record all shipped bundles anew under `folder`."""
    normal = World(WorldScenario(seed=5, start=_NOON, log_lines_per_s=0.05))
    normal.advance(_NOON + 3600.0)
    write_history(normal, folder, _HISTORY, Window(start=normal.first, end=normal.now))
    for name, script in SCRIPTS.items():
        world = World(script)
        world.advance(script.start + _QUIET_S + _AFTER_S)
        write_bundle(world, folder, name, Window(start=world.first, end=world.now), _HISTORY)


def open_world(name: str, folder: Path | None = None) -> World:
    """The world of a recorded incident, as it stood when its recording ended, to go on from there.

    Raises FileNotFoundError where `folder` (default: the shipped bundles) holds no such world.
    """
    path = (folder or shipped_bundles()) / "worlds" / f"{name}.json"
    return RecordedWorld.model_validate_json(path.read_text("utf-8")).world
