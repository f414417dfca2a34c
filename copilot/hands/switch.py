"""Put a declared thing from one of its declared states to another, and only from there.

A DNS name, a flag, a stored value, a field of a Kubernetes object: it is read, left alone where it
is not as the approved step says, changed on the condition that it is as it was read, read again.
"""

import hashlib
import ipaddress
import json
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, Protocol, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from copilot.hands.credentials import WithPassword
from copilot.hands.report import TRIES, Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock
from tools.playbook_executor.vocabulary import ResourceName, SwitchArguments
from tools.types import FrozenModel, PlanStep, StepResult

SHOWN = 160
"""Characters of a state that a person reads before its hash stands for the rest: two lines."""


class SwitchConflictError(StepFailedError):
    """Somebody else changed it between our look and our change."""


class SwitchPosition(NamedTuple):
    """What a thing holds, in the shape of its states; `version` is what a change is bound to."""

    value: JsonValue
    version: JsonValue = None
    notice: str = ""


class Switchable(Protocol):
    """What has states; a failure is a `StepFailedError`."""

    def position(self) -> SwitchPosition:
        """What it holds now."""
        ...

    def holds(self, value: JsonValue, state: JsonValue) -> bool:
        """Whether what was read is that state."""
        ...

    def move(self, at: SwitchPosition, state: JsonValue) -> None:
        """Change it, if it is as it was read; else `SwitchConflictError`."""
        ...

    def forbidden(self, at: SwitchPosition, state: JsonValue) -> str:
        """Why it may not be changed, as far as that can be asked; nothing is changed."""
        ...


class DnsRecord(FrozenModel):
    """The records of one type at a name; a state is the list of their values.

    `server` is the address of the zone's primary. Resolvers keep what was found for its TTL: one
    above `most_ttl_s` is refused, because the way back would take as long.
    """

    server: str
    port: int = Field(default=53, ge=1, le=65_535)
    zone: str = Field(min_length=1, max_length=253)
    name: str = Field(min_length=1, max_length=253)
    type: Literal["A", "AAAA", "CNAME", "SRV"] = "A"
    key: str = Field(min_length=1, max_length=253)
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    most_ttl_s: int = Field(default=300, ge=1, le=86_400)

    @field_validator("server")
    @classmethod
    def _address(cls, given: str) -> str:
        return str(ipaddress.ip_address(given))

    @property
    def told(self) -> str:
        """For a person."""
        return f"{self.type} of {self.name} in {self.zone} at {self.server}:{self.port}"


class ApiAddress(FrozenModel):
    """A thing behind an API that `switch_apis.toml` describes, and what fills its holes.

    `base` names the entry of [http] with its address and its token.
    """

    of: str
    base: ResourceName
    values: dict[str, str] = Field(default_factory=dict, max_length=12)

    @property
    def told(self) -> str:
        """For a person."""
        named = ", ".join(f"{key} {value}" for key, value in self.values.items())
        return f"{self.of} by the http base {self.base}: {named}"


class ObjectFields(FrozenModel):
    """Fields of an object of the declared namespace; a state is what they hold, as a mapping."""

    kind: ResourceName
    name: ResourceName

    @property
    def told(self) -> str:
        """For a person."""
        return f"{self.kind} {self.name}"


class SwitchTarget(WithPassword):
    """A thing of the runners file: what it is, and the states it may be put to."""

    states: dict[ResourceName, JsonValue] = Field(min_length=2, max_length=20)
    dns: DnsRecord | None = None
    api: ApiAddress | None = None
    kubernetes: ObjectFields | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if [self.dns, self.api, self.kubernetes].count(None) != 2:
            raise ValueError("needs one of dns, api and kubernetes")
        places = (self.password_env, self.password_file, self.password_vault)
        if self.dns is not None and not any(places):
            raise ValueError("needs password_env: the variable with the secret of its TSIG key")
        if self.kubernetes is not None and (odd := _unlike(self.states)):
            problem = "names other fields than another one; write null for one that is not there"
            raise ValueError(f"state {odd!r} {problem}, else no way back restores it")
        if self.dns is not None and not all(
            isinstance(state, list) and state for state in self.states.values()
        ):
            raise ValueError("each state of a DNS name is a list of one value or more")
        return self

    @property
    def base(self) -> str:
        """The http base it is behind, if it is."""
        return self.api.base if self.api is not None else ""

    @property
    def told(self) -> str:
        """For a person; what is secret is not among its fields."""
        what = self.dns or self.api or self.kubernetes
        return f"{what.told if what else ''}; states {', '.join(self.states)}"

    def meaning(self, step: PlanStep) -> str:
        """What is changed, and what both states of the step stand for."""
        names = [str(step.arguments.get(key)) for key in ("before", "after")]
        states = [f"{name} = {_short(self.states.get(name))}" for name in names]
        return f"{self.told}: {' -> '.join(states)}"


class SwitchRunner:
    """Runs `switch` steps on the things of the runners file; one that is there already is left."""

    def __init__(
        self, targets: Mapping[str, tuple[SwitchTarget, Switchable]], clock: Clock
    ) -> None:
        self._targets, self._clock = dict(targets), clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Put it from the one state to the other."""
        return reported(self._clock, key, lambda: self._act(step))

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Read where it is, and ask whether it may be changed."""
        wanted = of_type(step, SwitchArguments)
        target, thing = self._found(wanted)
        at = thing.position()
        after = target.states[wanted.after]
        if thing.holds(at.value, after):
            return Rehearsal(f"{wanted.switch} is {wanted.after} already")
        _refuse_elsewhere(target, thing, wanted, at)
        return Rehearsal(f"{wanted.switch} is {wanted.before}", thing.forbidden(at, after))

    def touches(self, step: PlanStep) -> bool:
        """It is really changed."""
        return True

    def _found(self, wanted: SwitchArguments) -> tuple[SwitchTarget, Switchable]:
        if wanted.switch not in self._targets:
            raise StepFailedError(f"switch {wanted.switch!r} is not declared")
        target, thing = self._targets[wanted.switch]
        for name in (wanted.before, wanted.after):
            if name not in target.states:
                has = ", ".join(target.states)
                raise StepFailedError(f"{wanted.switch} has no state {name!r}; it has {has}")
        return target, thing

    def _act(self, step: PlanStep) -> str:
        wanted = of_type(step, SwitchArguments)
        target, thing = self._found(wanted)
        after = target.states[wanted.after]
        for attempt in range(1, TRIES + 1):
            at = thing.position()
            if thing.holds(at.value, after):
                return f"{wanted.switch} is {wanted.after} already"
            _refuse_elsewhere(target, thing, wanted, at)
            try:
                thing.move(at, after)
                break
            except SwitchConflictError:
                if attempt == TRIES:
                    raise
            except StepFailedError as error:
                _raise_unless_done(thing, after, error)
                break
        done = f"{wanted.switch}: {wanted.before} -> {wanted.after}"
        now = thing.position()
        if not thing.holds(now.value, after):
            problem = f"{done} was taken, and it holds {_short(now.value)}"
            raise StepFailedError(problem, done)
        return f"{done}; {at.notice}" if at.notice else done


def _raise_unless_done(thing: Switchable, after: JsonValue, error: StepFailedError) -> None:
    """A change whose answer was lost may have been done: what it holds now tells."""
    try:
        now = thing.position()
    except StepFailedError:
        problem = f"{error}; nor can it be read whether it was changed, so look there"
        raise StepFailedError(problem, error.output) from error
    if not thing.holds(now.value, after):
        raise error


def _refuse_elsewhere(
    target: SwitchTarget, thing: Switchable, wanted: SwitchArguments, at: SwitchPosition
) -> None:
    if not thing.holds(at.value, target.states[wanted.before]):
        known = [name for name, state in target.states.items() if thing.holds(at.value, state)]
        where = " and ".join(known) or f"at none of its states: {_short(at.value)}"
        raise StepFailedError(f"{wanted.switch} is not {wanted.before}, but {where}")


def _unlike(states: Mapping[str, JsonValue]) -> str:
    """A state with a field that another one leaves as it is; empty where there is none."""
    fields = {name: set(_fields(state)) for name, state in states.items()}
    for name, ours in fields.items():
        for theirs in fields.values():
            for one in ours:
                if not any(one[: len(two)] == two[: len(one)] for two in theirs):
                    return name
    return ""


def _fields(state: JsonValue) -> Iterator[tuple[str, ...]]:
    if isinstance(state, dict) and state:
        for key, one in state.items():
            yield from ((key, *inner) for inner in _fields(one))
    else:
        yield ()


def _written(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def same(value: JsonValue, state: JsonValue) -> bool:
    """Equal as JSON: true is not 1.

    >>> same(True, 1), same({"a": [1]}, {"a": [1]})
    (False, True)
    """
    return _written(value) == _written(state)


def _short(value: JsonValue) -> str:
    text = _written(value)
    if len(text) <= SHOWN:
        return text
    return f"{text[:SHOWN]}… sha256:{hashlib.sha256(text.encode()).hexdigest()}"
