"""The closed vocabulary of steps: the exact shape of each action's arguments.

Names are single tokens, so that no argument can carry a second command, a path or an address.
"""

import json
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, TypeAdapter, ValidationError, model_validator

from tools.types import FrozenModel, MetricCheck, PlanStep, Scalar, StepAction

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,118}[A-Za-z0-9])?")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:>-]{0,240}")
_CONFIG_KEY = re.compile(r"[a-z][a-z0-9_]{0,60}")
_BINARY = re.compile(r"[a-z][a-z0-9-]{0,60}")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?|/")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def name(text: str) -> str:
    """A name of a service, node or flag: one token of letters, digits, `.`, `_` and `-`.

    >>> name("cart-v2")
    'cart-v2'
    """
    if not _NAME.fullmatch(text) or ".." in text:
        raise ValueError(f"{text[:80]!r} is not a name: letters, digits, '.', '_', '-' only")
    return text


def owner(text: str) -> str:
    """The owner of a series, or a component as a ranking names it: see `tools.types.Owner`."""
    if not _OWNER.fullmatch(text) or ".." in text:
        raise ValueError(f"{text[:80]!r} is not the owner of a series")
    return text


def _config_key(text: str) -> str:
    head, dot, dependency = text.partition(".")
    if not _CONFIG_KEY.fullmatch(head):
        raise ValueError(f"{text[:80]!r} is not a configuration key")
    if dot:
        name(dependency)
    return text


def binary(text: str) -> str:
    """The name of an allowed program, as steps and the allow-list have it."""
    if not _BINARY.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not the name of an allowed command")
    return text


def _argument(text: str) -> str:
    if len(text) > 200 or _CONTROL.search(text):
        raise ValueError(f"argument {text[:80]!r} is longer than 200 or has control characters")
    return text


def _path(text: str) -> str:
    segments = text.split("/")
    if len(text) > 300 or not _PATH.fullmatch(text) or "." in segments or ".." in segments:
        raise ValueError(f"{text[:80]!r} is not a plain absolute path of an allowed address")
    return text


ResourceName = Annotated[str, AfterValidator(name)]
OwnerName = Annotated[str, AfterValidator(owner)]
CommandArgument = Annotated[str, AfterValidator(_argument)]


class ScaleArguments(FrozenModel):
    """Set the number of replicas of a deployment."""

    verb: Literal["scale"]
    kind: Literal["deployment"]
    name: ResourceName
    replicas: int = Field(ge=1, le=1000)


class RolloutArguments(FrozenModel):
    """Go back to the previous revision of a deployment, or restart it instance by instance."""

    verb: Literal["rollout_undo", "rollout_restart"]
    kind: Literal["deployment"]
    name: ResourceName


class NodeArguments(FrozenModel):
    """Take a node out of service (`drain` also evicts, `cordon` only stops new work) or back in."""

    verb: Literal["drain", "cordon", "uncordon"]
    kind: Literal["node"]
    name: ResourceName


class GetArguments(FrozenModel):
    """Read one object; changes nothing."""

    verb: Literal["get"]
    kind: Literal["deployment", "node"]
    name: ResourceName


KubernetesArguments = Annotated[
    ScaleArguments | RolloutArguments | NodeArguments | GetArguments, Field(discriminator="verb")
]


class FeatureFlagArguments(FrozenModel):
    """Turn a feature of a service on or off."""

    service: ResourceName
    flag: ResourceName
    value: bool


class ConfigArguments(FrozenModel):
    """Set one configuration value of a service; null takes the value away."""

    service: ResourceName
    key: Annotated[str, AfterValidator(_config_key)]
    value: Scalar | None


class ShareArguments(FrozenModel):
    """Give servers of a proxy's pool this share, in per cent, of their configured weight."""

    verb: Literal["weigh"]
    proxy: ResourceName
    pool: ResourceName
    server: ResourceName
    share: int = Field(ge=1, le=100)


class ServingArguments(FrozenModel):
    """Send servers no new work (`drain`; what they began goes on), or their whole share again."""

    verb: Literal["drain", "ready"]
    proxy: ResourceName
    pool: ResourceName
    server: ResourceName


class PoolCheckArguments(FrozenModel):
    """Read how servers of the pool serve for `over_s` seconds; a failure stops the plan.

    At most `failed_share` of the answers may be failures: those of all but `server`, which traffic
    leaves, or those of `server` itself, to which it comes back.
    """

    verb: Literal["look"]
    proxy: ResourceName
    pool: ResourceName
    server: ResourceName
    at: Literal["others", "itself"] = "others"
    over_s: float = Field(ge=1, le=60)
    failed_share: float = Field(gt=0, le=0.5)


TrafficArguments = Annotated[
    ShareArguments | ServingArguments | PoolCheckArguments, Field(discriminator="verb")
]


class SessionArguments(FrozenModel):
    """End one session of a database, or cancel the query it runs, if it is still that session.

    `session` is its process, its start in microseconds and the first twelve digits of its query's
    MD5. At least `blocks` others wait for it, and it has run for `for_s` seconds, or it is left.
    """

    verb: Literal["end_session", "cancel_query"]
    database: ResourceName
    session: ResourceName
    blocks: int = Field(ge=0, le=10_000)
    for_s: float = Field(ge=1, le=86_400)


class LimitArguments(FrozenModel):
    """Let a database take more connections, or as many as before; `before` is what it must be now.

    At most three times as many: more of a database's memory than that is no quick remedy.
    """

    verb: Literal["set_limit"]
    database: ResourceName
    limit: Literal["connections"]
    before: int = Field(ge=1, le=100_000)
    value: int = Field(ge=1, le=100_000)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        low, high = sorted((self.before, self.value))
        if high > 3 * low:
            raise ValueError(f"{self.value} is not within a third and three times {self.before}")
        return self


DatabaseArguments = Annotated[SessionArguments | LimitArguments, Field(discriminator="verb")]


class FlushArguments(FrozenModel):
    """Delete the keys that a name of the runners file stands for, if there are at most so many."""

    verb: Literal["flush"]
    cache: ResourceName
    keys: ResourceName
    most: int = Field(ge=1, le=1_000_000)


class QueueArguments(FrozenModel):
    """Stop the consumers of a queue for at most `for_s` seconds, or let them go on."""

    verb: Literal["pause", "resume"]
    cache: ResourceName
    queue: ResourceName
    for_s: int = Field(default=900, ge=1, le=7200)


CacheArguments = Annotated[FlushArguments | QueueArguments, Field(discriminator="verb")]


class JobArguments(FrozenModel):
    """Start a job that the runners file names with these parameters, and follow it to its end."""

    job: ResourceName
    parameters: dict[ResourceName, Scalar] = Field(default_factory=dict, max_length=20)


class SwitchArguments(FrozenModel):
    """Put what a name of the runners file stands for from one of its declared states to another.

    It is left alone where it is in neither of both by then.
    """

    switch: ResourceName
    before: ResourceName
    after: ResourceName


class CommandArguments(FrozenModel):
    """Run one allowed binary with these arguments; there is no shell."""

    argv: tuple[CommandArgument, ...] = Field(min_length=1, max_length=32)

    @property
    def binary(self) -> str:
        """The name the runner's allow-list must know."""
        return binary(self.argv[0])


class HttpArguments(FrozenModel):
    """Call an address: `base` is a name of the runner's allow-list, `path` is plain."""

    base: ResourceName
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Annotated[str, AfterValidator(_path)]
    query: dict[ResourceName, Scalar] = Field(default_factory=dict, max_length=16)
    body: JsonValue = None
    expect: tuple[Annotated[int, Field(ge=100, le=599)], ...] = Field(default=(200,), min_length=1)


class WaitArguments(FrozenModel):
    """Let time pass."""

    seconds: float = Field(ge=0, le=600)


class CheckArguments(MetricCheck):
    """Read one series and compare its latest value; a step that fails stops the plan."""

    owner: OwnerName
    metric: ResourceName


class ManualArguments(FrozenModel):
    """A person does this and confirms it."""

    instruction: str = Field(min_length=1, max_length=600)


StepArguments = (
    ScaleArguments
    | RolloutArguments
    | NodeArguments
    | GetArguments
    | FeatureFlagArguments
    | ConfigArguments
    | ShareArguments
    | ServingArguments
    | PoolCheckArguments
    | SessionArguments
    | LimitArguments
    | FlushArguments
    | QueueArguments
    | JobArguments
    | SwitchArguments
    | CommandArguments
    | HttpArguments
    | WaitArguments
    | CheckArguments
    | ManualArguments
)

_SHAPES: dict[StepAction, TypeAdapter[StepArguments]] = {
    "kubernetes": TypeAdapter(KubernetesArguments),
    "feature_flag": TypeAdapter(FeatureFlagArguments),
    "config": TypeAdapter(ConfigArguments),
    "traffic": TypeAdapter(TrafficArguments),
    "database": TypeAdapter(DatabaseArguments),
    "cache": TypeAdapter(CacheArguments),
    "job": TypeAdapter(JobArguments),
    "switch": TypeAdapter(SwitchArguments),
    "command": TypeAdapter(CommandArguments),
    "http": TypeAdapter(HttpArguments),
    "wait": TypeAdapter(WaitArguments),
    "check": TypeAdapter(CheckArguments),
    "manual": TypeAdapter(ManualArguments),
}


class ArgumentsError(ValueError):
    """A step's arguments do not have the shape of its action."""


def arguments(step: PlanStep) -> StepArguments:
    """Read a step's arguments as its action's type, or raise `ArgumentsError`.

    >>> arguments(PlanStep(index=0, title="t", action="wait", arguments={"seconds": 5}))
    Wait(seconds=5.0)
    """
    try:
        text = json.dumps(step.arguments, allow_nan=False)
        found = _SHAPES[step.action].validate_json(text, strict=True)
        if isinstance(found, CommandArguments):
            binary(found.argv[0])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "arguments"
        raise ArgumentsError(f"{step.action} step: {place}: {first['msg']}") from error
    except ValueError as error:
        raise ArgumentsError(f"{step.action} step: {error}") from error
    return found


def reads(step: PlanStep) -> bool:
    """Whether a step changes nothing. A GET is safe by RFC 9110, section 9.2.1."""
    looks = step.action in ("wait", "check") or step.arguments.get("verb") in ("get", "look")
    return looks or step.arguments.get("method") == "GET"


def repeatable(step: PlanStep) -> bool:
    """Whether a step that began may be run again: it only reads, or its playbook says so.

    That a PUT is idempotent (RFC 9110, section 9.2.2), its target has to keep.
    """
    return reads(step) or step.idempotent


def pause_s(step: PlanStep) -> float:
    """Seconds that a `wait` step lets pass before it is done; 0 for every other step."""
    found = arguments(step) if step.action == "wait" else None
    return found.seconds if isinstance(found, WaitArguments) else 0.0
