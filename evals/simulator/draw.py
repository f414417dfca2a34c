"""Draw a scenario of a wanted kind: target, time, magnitude, red herring, missing telemetry."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from evals.simulator.graph import Graph
from evals.simulator.scenario import (
    HerringKind,
    InjectedFault,
    MissingKind,
    RedHerring,
    SimulatedFault,
    TelemetryGap,
    WorldScenario,
)
from evals.simulator.world import graph_of
from tools.types import Timestamp

_GRID_S = 15.0
_FLAGS = ("instant-quote", "split-totals", "smart-bundles", "one-tap", "live-stock", "tax-v2")


def _pick(names: Sequence[str], rng: np.random.Generator) -> str:
    if not names:
        raise ValueError("this graph has no service such a fault can strike; take another graph")
    return names[int(rng.random() * len(names))]


def targets(kind: SimulatedFault, graph: Graph) -> tuple[str, ...]:
    """The services of the graph a fault of this kind can strike."""
    if kind == "traffic_surge":
        return (graph.entry,)
    if kind == "slow_dependency":
        return tuple(c.caller for c in graph.calls if c.fallback)
    if kind == "dependency_down":
        return tuple(c.caller for c in graph.calls if c.standby)
    wanted = "database" if kind == "disk_full" else "service"
    called = {c.callee for c in graph.calls}
    return tuple(s.name for s in graph.services if s.kind == wanted and s.name in called)


def fault(
    kind: SimulatedFault,
    graph: Graph,
    onset: Timestamp,
    rng: np.random.Generator,
    target: str = "",
    magnitude: float = 1.0,
) -> InjectedFault:
    """A fault of this kind with everything it needs to name; the target is drawn if not given."""
    struck = target or _pick(targets(kind, graph), rng)
    if struck not in targets(kind, graph):
        raise ValueError(
            f"{kind!r} cannot strike {struck!r}; it can strike {list(targets(kind, graph))!r}"
        )
    outside = [c for c in graph.calls if c.caller == struck and (c.fallback or c.standby)]
    by_kind = [c.callee for c in outside if c.fallback == (kind == "slow_dependency")]
    return InjectedFault(
        kind=kind,
        target=struck,
        onset=onset,
        magnitude=magnitude,
        dependency=by_kind[0] if kind in ("slow_dependency", "dependency_down") else "",
        node=graph.home[struck] if kind == "network_loss" else "",
        flag=_pick(_FLAGS, rng) if kind == "errors" else "",
    )


def scenario(
    kind: SimulatedFault | Literal["healthy"],
    seed: int,
    *,
    system: Literal["shop", "random"] = "shop",
    services: int = 40,
    graph_seed: int = 0,
    target: str = "",
    magnitude: float | None = None,
    herring: HerringKind | None = None,
    missing: MissingKind | None = None,
    quiet_s: float = 1200.0,
    sampling_s: int = 15,
) -> WorldScenario:
    """A script of this kind; equal arguments give the equal script.

    The fault begins `quiet_s` after the start. A red herring begins up to four minutes before that,
    at another service; missing telemetry is that of a third.

    >>> scenario("disk_full", 3) == scenario("disk_full", 3)
    True
    """
    rng = np.random.default_rng((seed, 5))
    start = 1_772_323_200.0 + _GRID_S * int(rng.random() * 20 * 86_400 / _GRID_S)
    script = WorldScenario(
        seed=seed,
        system=system,
        services=services,
        graph_seed=graph_seed,
        start=start,
        quiet_s=quiet_s,
        sampling_s=sampling_s,
    )
    graph = graph_of(script)
    onset = start + quiet_s
    hard = magnitude if magnitude is not None else round(0.95 + 0.3 * float(rng.random()), 3)
    faults = (
        ()
        if kind == "healthy"
        else (fault(kind, graph, onset, rng, target=target, magnitude=hard),)
    )
    others = [
        s.name for s in graph.services if s.kind == "service" and s.name not in {*_names(faults)}
    ]
    astray = _pick(others, rng)
    silent = _pick([name for name in others if name != astray], rng)
    before = _GRID_S * round((60.0 + 180.0 * float(rng.random())) / _GRID_S)
    return script.model_copy(
        update={
            "faults": faults,
            "red_herrings": _herrings(herring, astray, onset - before),
            "missing": _missing(missing, silent, onset),
        }
    )


def _names(faults: tuple[InjectedFault, ...]) -> tuple[str, ...]:
    return tuple(f.target for f in faults)


def _herrings(kind: HerringKind | None, target: str, at: Timestamp) -> tuple[RedHerring, ...]:
    if kind is None:
        return ()
    seconds = 600.0 if kind == "noisy_neighbour" else 90.0
    return (RedHerring(kind=kind, target=target, at=at, seconds=seconds),)


def _missing(kind: MissingKind | None, service: str, onset: Timestamp) -> tuple[TelemetryGap, ...]:
    if kind is None:
        return ()
    if kind == "gap":
        return (TelemetryGap(kind=kind, service=service, start=onset - 120.0, end=onset + 120.0),)
    return (TelemetryGap(kind=kind, service=service),)
