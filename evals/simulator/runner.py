"""A runner whose target is a simulated world: reads the steps of a plan and turns the controls."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from evals.simulator import controls
from evals.simulator.controls import ControlError
from evals.simulator.world import World
from tools.types import FrozenModel, PlanStep, StepAction, StepResult, Window

_RECENT_S = 120.0


class ScaleStep(FrozenModel):
    """`kubectl scale`."""

    verb: Literal["scale"]
    kind: Literal["deployment"] = "deployment"
    name: str
    replicas: int


class RolloutStep(FrozenModel):
    """`kubectl rollout undo` or `restart`."""

    verb: Literal["rollout_undo", "rollout_restart"]
    kind: Literal["deployment"] = "deployment"
    name: str


class ReadStep(FrozenModel):
    """`kubectl get`."""

    verb: Literal["get"]
    kind: Literal["deployment"] = "deployment"
    name: str


class DrainStep(FrozenModel):
    """`kubectl drain` and its opposite."""

    verb: Literal["drain", "uncordon"]
    kind: Literal["node"] = "node"
    name: str


class FlagStep(FrozenModel):
    """One feature flag of one service."""

    service: str
    flag: str
    value: bool


class SettingStep(FrozenModel):
    """One configuration key of one service."""

    service: str
    key: str
    value: str | float | None


class CommandStep(FrozenModel):
    """A program and its arguments; only two programs exist here."""

    argv: tuple[str, ...] = Field(min_length=3)


class WaitStep(FrozenModel):
    """Time to let pass."""

    seconds: float = Field(ge=0, le=3600)


class CheckStep(FrozenModel):
    """A condition on the newest point of a series."""

    owner: str
    metric: str
    comparison: Literal["<", ">"]
    value: float


class ManualStep(FrozenModel):
    """Something a person does."""

    instruction: str


_Kubernetes: TypeAdapter[ScaleStep | RolloutStep | ReadStep | DrainStep] = TypeAdapter(
    Annotated[ScaleStep | RolloutStep | ReadStep | DrainStep, Field(discriminator="verb")]
)
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
        self._by_action: dict[StepAction, Callable[[PlanStep], str]] = {
            "kubernetes": self._kubernetes,
            "feature_flag": self._feature_flag,
            "config": self._config,
            "command": self._command,
            "wait": self._wait,
            "check": self._check,
            "manual": self._manual,
        }

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Run one step now; a step the world refuses or cannot read comes back with `ok=False`."""
        if key in self._done:
            return self._done[key]
        started = self._world.now
        output, error = "", ""
        act = self._by_action.get(step.action)
        try:
            if act is None:
                raise ControlError(f"action {step.action!r} does not exist in a simulated world")
            output = act(step)
        except ControlError as refused:
            error = str(refused)
        except ValidationError as wrong:
            first = wrong.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            error = f"arguments of {step.action!r} are wrong at {where!r}: {first['msg']}"
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

    def replay(self, step: PlanStep, result: StepResult) -> None:
        """Do again, at its time, what a recorded result says was done to a world built anew."""
        self._world.advance(result.started_at)
        self.run(step, result.key)

    def _kubernetes(self, step: PlanStep) -> str:
        wanted = _Kubernetes.validate_python(step.arguments)
        if isinstance(wanted, ScaleStep):
            return controls.scale(self._world, wanted.name, wanted.replicas)
        return _BY_VERB[wanted.verb](self._world, wanted.name)

    def _feature_flag(self, step: PlanStep) -> str:
        wanted = FlagStep.model_validate(step.arguments)
        return controls.set_flag(self._world, wanted.service, wanted.flag, wanted.value)

    def _config(self, step: PlanStep) -> str:
        wanted = SettingStep.model_validate(step.arguments)
        if wanted.key == "rate_limit_rps" and wanted.value is None:
            return controls.unlimit(self._world, wanted.service)
        amount = controls.AMOUNTS.get(wanted.key)
        if amount is not None:
            if not isinstance(wanted.value, float):
                raise ControlError(f"{wanted.key!r} takes a number, not {wanted.value!r}")
            return amount(self._world, wanted.service, wanted.value)
        switch, _, dependency = wanted.key.partition(".")
        turn = controls.SWITCHES.get(switch, {}).get(str(wanted.value))
        if turn is None:
            raise ControlError(f"no setting {wanted.key!r} with value {wanted.value!r}")
        return turn(self._world, wanted.service, dependency)

    def _command(self, step: PlanStep) -> str:
        argv = CommandStep.model_validate(step.arguments).argv
        program, option, service = argv[:3]
        if option != "--service":
            raise ControlError(f"{program!r} wants --service first, not {option!r}")
        if program == "disk-cleanup":
            return controls.clean_disk(self._world, service)
        if program == "cache-flush":
            return controls.flush_cache(self._world, service)
        raise ControlError(f"program {program!r} is not installed in a simulated world")

    def _wait(self, step: PlanStep) -> str:
        seconds = WaitStep.model_validate(step.arguments).seconds
        self._world.advance(self._world.now + seconds)
        return f"waited {seconds:g} s"

    def _check(self, step: PlanStep) -> str:
        wanted = CheckStep.model_validate(step.arguments)
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

    def _manual(self, step: PlanStep) -> str:
        return f"left to a person: {ManualStep.model_validate(step.arguments).instruction}"
