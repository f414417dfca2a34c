"""A world as the copilot meets it: every telemetry port, the clock, and the target of its steps."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evals.simulator import controls
from evals.simulator.controls import ControlError
from evals.simulator.world import World
from tools.playbook_executor.vocabulary import (
    ArgumentsError,
    CheckArguments,
    CommandArguments,
    ConfigArguments,
    FeatureFlagArguments,
    GetArguments,
    ManualArguments,
    NodeArguments,
    RolloutArguments,
    ScaleArguments,
    StepArguments,
    WaitArguments,
    arguments,
)
from tools.types import (
    Alert,
    Change,
    Fact,
    LogReading,
    PlanStep,
    Series,
    Span,
    StepResult,
    Timestamp,
    Topology,
    Window,
)

_HISTORY_S = 3600.0
ALWAYS = Window(start=-math.inf, end=math.inf)


def _until(before: Timestamp) -> Window:
    return Window(start=-math.inf, end=math.nextafter(before, -math.inf))


def _join(past: Series, recent: Series) -> Series:
    return Series(
        past.owner,
        past.metric,
        np.concatenate([past.times, recent.times]),
        np.concatenate([past.values, recent.values]),
        past.unit,
    )


class SimulatedSource:
    """Telemetry of a world up to the world's own now; its baseline is the day before."""

    def __init__(self, world: World, history_s: float = _HISTORY_S) -> None:
        self._world = world
        self._history_s = history_s
        self._yesterday: World | None = None

    def now(self) -> Timestamp:
        """The world's time."""
        return self._world.now

    def sleep(self, seconds: float) -> None:
        """Let the world run on for this long."""
        self._world.advance(self._world.now + max(0.0, seconds))

    def series(self, window: Window) -> Sequence[Series]:
        """All series of the window, as far as the world has come."""
        return self._world.series(window)

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        """The same hour of the day before, then this world's own past before `before`."""
        past = self._history().series(ALWAYS)
        recent = {s.name: s for s in self._world.series(_until(before))}
        return tuple(_join(s, recent[s.name]) for s in past)

    def lines(self, window: Window) -> LogReading:
        """Log lines of the window."""
        return LogReading(tuple(self._world.logs(window)))

    def baseline_lines(self, before: Timestamp) -> LogReading:
        """Log lines of the same hour of the day before, then of this world's own past."""
        past = (*self._history().logs(ALWAYS), *self._world.logs(_until(before)))
        return LogReading(past)

    def spans(self, window: Window, split: Timestamp | None = None) -> Sequence[Span]:
        """Spans of the sampled traces."""
        return self._world.spans(window)

    def topology(self) -> Topology:
        """The declared service map."""
        return self._world.topology()

    def changes(self, window: Window) -> Sequence[Change]:
        """Deploys, flags, configuration and scaling inside the window."""
        return self._world.changes(window)

    def alerts(self, window: Window) -> Sequence[Alert]:
        """Alerts that began inside the window, as they stand now."""
        return self._world.alerts(window)

    def facts(self) -> Mapping[str, Fact]:
        """What is configured now: kind, replicas, pool, node and newest flag of each component."""
        return _configured(self._world)

    def _history(self) -> World:
        if self._yesterday is None:
            self._yesterday = World(self._world.scenario.history(self._history_s))
            self._yesterday.advance(self._yesterday.first + self._history_s)
        return self._yesterday


def _configured(world: World) -> dict[str, Fact]:
    """Facts under keys `<fact>:<component>`.

    `kind`, `replicas` (desired), `pool_size`, `node` (where most pods run), `ready_nodes` (nodes
    that take pods), `flag` (the feature turned on last and still on) of our services; `kind` and
    the one `caller` of what lies outside, which is its caller's `dependency`.
    """
    found: dict[str, Fact] = {}
    graph, state = world.graph, world.state
    open_nodes = float((state.placed_to.sum(axis=0) > 0).sum())
    for index, service in enumerate(graph.visible):
        name = service.name
        found |= {
            f"kind:{name}": service.kind,
            f"replicas:{name}": float(state.desired[index]),
            f"pool_size:{name}": float(state.pool[index]),
            f"node:{name}": graph.nodes[int(np.argmax(state.placed_to[index]))],
            f"ready_nodes:{name}": open_nodes,
        }
    found |= {f"flag:{name}": flag for (name, flag), on in state.flags.items() if on}
    outside = {s.name for s in graph.services if s.kind == "external"}
    for call in graph.calls:
        if call.callee in outside:
            found[f"kind:{call.callee}"] = "external"
            found[f"caller:{call.callee}"] = call.caller
            found[f"dependency:{call.caller}"] = call.callee
    return found


_RECENT_S = 120.0
_BY_VERB: dict[str, Callable[[World, str], str]] = {
    "rollout_undo": controls.rollout_undo,
    "rollout_restart": controls.rollout_restart,
    "drain": controls.drain,
    "uncordon": controls.uncordon,
    "get": controls.describe,
}


class SimulatedRunner:
    """Acts on a world. A key that was run before returns its first result and acts on nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._done: dict[str, StepResult] = {}

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Run one step now; a step the world refuses or cannot read comes back with `ok=False`."""
        if key in self._done:
            return self._done[key]
        started = self._world.now
        output, error = "", ""
        try:
            if step.action == "http":
                raise ControlError("action 'http' does not exist in a simulated world")
            output = self._act(arguments(step))
        except (ControlError, ArgumentsError) as refused:
            error = str(refused)
        result = StepResult(
            key=key,
            ok=not error,
            output=output,
            error=error,
            started_at=started,
            ended_at=self._world.now,
        )
        self._done[key] = result
        return result

    def touches(self, step: PlanStep) -> bool:
        """The simulated world is what there is."""
        return True

    def replay(self, step: PlanStep, result: StepResult) -> None:
        """Do again, at its time, what a recorded result says was done to a world built anew."""
        self._world.advance(result.started_at)
        self.run(step, result.key)

    def _act(self, wanted: StepArguments) -> str:
        world = self._world
        match wanted:
            case ScaleArguments():
                return controls.scale(world, wanted.name, wanted.replicas)
            case FeatureFlagArguments():
                return controls.set_flag(world, wanted.service, wanted.flag, wanted.value)
            case ConfigArguments():
                return self._configure(wanted)
            case CommandArguments():
                return self._command(wanted.argv)
            case WaitArguments():
                return f"waited {wanted.seconds:g} s"
            case CheckArguments():
                return self._check(wanted)
            case ManualArguments():
                return f"left to a person: {wanted.instruction}"
            case RolloutArguments() | NodeArguments() | GetArguments() if wanted.verb in _BY_VERB:
                return _BY_VERB[wanted.verb](world, wanted.name)
        raise ControlError(f"{wanted!r} cannot be done in a simulated world")

    def _configure(self, wanted: ConfigArguments) -> str:
        if wanted.key == "rate_limit_rps" and wanted.value is None:
            return controls.unlimit(self._world, wanted.service)
        amount = controls.AMOUNTS.get(wanted.key)
        if amount is not None:
            if isinstance(wanted.value, bool) or not isinstance(wanted.value, int | float):
                raise ControlError(f"{wanted.key!r} takes a number, not {wanted.value!r}")
            return amount(self._world, wanted.service, float(wanted.value))
        switch, _, dependency = wanted.key.partition(".")
        turn = controls.SWITCHES.get(switch, {}).get(str(wanted.value))
        if turn is None:
            raise ControlError(f"no setting {wanted.key!r} with value {wanted.value!r}")
        return turn(self._world, wanted.service, dependency)

    def _command(self, argv: tuple[str, ...]) -> str:
        program, option, service = (*argv, "", "")[:3]
        if option != "--service":
            raise ControlError(f"{program!r} wants --service first, not {option!r}")
        if program == "disk-cleanup":
            return controls.clean_disk(self._world, service)
        if program == "cache-flush":
            return controls.flush_cache(self._world, service)
        raise ControlError(f"program {program!r} is not installed in a simulated world")

    def _check(self, wanted: CheckArguments) -> str:
        now = self._world.now
        recent = Window(start=now - _RECENT_S, end=now)
        for series in self._world.series(recent):
            if (series.owner, series.metric) == (wanted.owner, wanted.metric) and len(
                series.values
            ):
                value = float(series.values[-1])
                holds = value < wanted.value if wanted.comparison == "<" else value > wanted.value
                told = f"{series.name} is {value:.4g}, wanted {wanted.comparison} {wanted.value:g}"
                if not holds:
                    raise ControlError(told)
                return told
        raise ControlError(f"no recent point of {wanted.owner!r} {wanted.metric!r}")
