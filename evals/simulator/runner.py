"""A runner whose target is a simulated world: reads the steps of a plan and turns the controls."""

from collections.abc import Callable

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
from tools.types import PlanStep, StepResult, Window

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
                world.advance(world.now + wanted.seconds)
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
