"""Typed readings: each item of evidence is parsed once into what it says, and of which component.

Evidence is stored and shown with `figures` by name; this is the one place that reads those names.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, get_args

from tools.topology_walker.signals import MetricSemantics, read, resource, seconds_per, stated
from tools.types import Evidence, EvidenceKind, FaultKind, Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedReading:
    """What items of evidence, by their numbers, say of `service`; of a call, of the one called.

    `topic` is what it is about among the readings of its type, as `signatures.py` asks for it.
    """

    ids: tuple[str, ...]
    service: str
    topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMoved(TypedReading):
    """A metric of the component itself left its past; `usual` is what it was before.

    `z` is in robust standard deviations, `worse` the same in the direction that is bad. `share` is
    the component's part of the change among all that have the metric, `fresh` the part that came
    with the onset, `steady` the part of the time since. `rate` is requests per second, if known.
    `kind` is the fault that a rise of this resource is; None where it is no resource.
    """

    name: str
    signal: MetricSemantics
    kind: FaultKind | None
    unit: str
    up: bool
    value: float
    usual: float
    at_entry: bool
    z: float = 0.0
    worse: float = 0.0
    share: float = 0.0
    ratio: float = 1.0
    steady: float = 1.0
    fresh: float = 1.0
    rate: float | None = None

    @property
    def rise(self) -> float:
        """By how much it rose; a time in seconds."""
        return (self.value - self.usual) * seconds_per(self.unit)

    @property
    def is_own_latency(self) -> bool:
        """Whether it is the time that the component itself takes to answer."""
        own = self.signal.family == "latency" and self.signal.side == "own"
        return own and not self.at_entry


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionApart(TypedReading):
    """A new version is `z` standard deviations from the old one, or reports nothing."""

    z: float


CallSide = Literal[
    "caller_latency",
    "callee_latency",
    "wire_latency",
    "wire_time",
    "caller_errors",
    "callee_errors",
    "calls",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeMoved(TypedReading):
    """Calls from `caller` got slower, fail, or lose time on the wire.

    `delta` is seconds, or a share of the calls. `outside`: the callee is no part of the system.
    `caller_edges` and `callee_edges` count the measured edges of either.
    """

    caller: str
    what: CallSide
    up: bool
    value: float
    usual: float
    z: float
    delta: float
    fresh: float = 1.0
    outside: float = 0.0
    caller_edges: float = 1.0
    callee_edges: float = 1.0

    @property
    def edge(self) -> tuple[str, str]:
        """Who calls whom."""
        return self.caller, self.service

    @property
    def peer(self) -> str:
        """The one called, where it is no part of the system; else nobody."""
        return self.service if self.outside else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsStopped(TypedReading):
    """`caller` no longer calls the component."""

    caller: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsRepeated(TypedReading):
    """The component repeats each of its calls `per_call` times."""

    per_call: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTime(TypedReading):
    """The component's own code takes `per_trace` seconds more of each trace."""

    z: float
    per_trace: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMissed(TypedReading):
    """The component's code no longer reaches a step that it always reached."""

    z: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNew(TypedReading):
    """The component's code takes a step that it never took; an `error` by the step's name."""

    z: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LineNew(TypedReading):
    """A log template became more or less, by lines per minute: `news`, or mere `information`."""

    text: str
    excerpt: str
    up: bool
    value: float
    usual: float
    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMade(TypedReading):
    """The component was changed `ago_s` seconds before the onset; `topic` says how."""

    ago_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFired(TypedReading):
    """An alert fired `first_s` seconds after the onset; `kind` is the fault its rule states."""

    family: str
    kind: FaultKind | None
    first_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyAlert(TypedReading):
    """Recorded anomaly events about a `metric`, calls from others (`trace`), own `spans` or `log`.

    `score` is the loudest of `count`, `total` their sum; `signals` are the strange metrics of one
    instance, `apart` how much one instance exceeds its siblings.
    """

    kind: FaultKind | None
    instance: str
    score: float
    count: float
    total: float
    signals: float
    apart: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectBroken(TypedReading):
    """An object of the cluster is at fault; `service` is its name there."""

    kind: FaultKind | None
    strength: float


ReadingT = TypeVar("ReadingT", bound=TypedReading)


def readings(evidence: Iterable[Evidence]) -> tuple[TypedReading, ...]:
    """Parse every item that the ranking can read."""
    found = (_PARSE[item.kind](item) for item in evidence if item.kind in _PARSE)
    return tuple(one for one in found if one is not None)


def _filled(reads: type[ReadingT], item: Evidence, **known: Any) -> ReadingT:
    """Build a reading of what is `known`, and else of the figures named like its fields."""
    given: Mapping[str, Any] = {
        "service": Owner.parse(item.subject).service,
        "up": item.direction == "up",
        "value": item.value or 0.0,
        "usual": item.baseline or 0.0,
        "unit": item.unit,
        "strength": item.strength,
        **item.figures,
        **known,
    }
    names = {field.name for field in fields(reads)}
    return reads(ids=(item.id,), **{name: value for name, value in given.items() if name in names})


def _metric(item: Evidence) -> TypedReading | None:
    owner = Owner.parse(item.subject)
    if "canary" in item.figures:
        return _filled(VersionApart, item)
    if "per_call" in item.figures:
        return _filled(CallsRepeated, item)
    if owner.kind not in ("service", "entry") or item.value is None:
        return None
    signal, kind, at_entry = read(item.name), resource(item.name), owner.kind == "entry"
    whose = "entry " if at_entry else "node " if signal.per_node else ""
    told = {"name": item.name, "signal": signal, "kind": kind, "at_entry": at_entry}
    topic = f"{whose}{signal.family} {'up' if item.direction == 'up' else 'down'}"
    return _filled(MetricMoved, item, topic=topic, **told)


def _edge(item: Evidence) -> TypedReading | None:
    owner = Owner.parse(item.subject)
    if item.name == "no_calls":
        return _filled(CallsStopped, item, caller=owner.caller)
    if "per_call" in item.figures:
        return _filled(CallsRepeated, item, service=owner.caller)
    if item.name not in _SIDES:
        return None
    topic = f"outside {item.name}" if item.figures.get("outside") else item.name
    return _filled(EdgeMoved, item, topic=topic, caller=owner.caller, what=item.name)


def _trace(item: Evidence) -> TypedReading | None:
    return _filled(OwnTime, item) if item.name == "self_time" else _step(item) or _edge(item)


def _step(item: Evidence) -> TypedReading | None:
    if item.name == "missing_step":
        return _filled(StepMissed, item)
    return _filled(StepNew, item) if item.name == "new_step" else None


def _line(item: Evidence) -> TypedReading:
    text, calm = f"{item.excerpt} {item.statement}", item.figures.get("calm")
    topic = "information" if calm and item.direction == "up" else "news"
    return _step(item) or _filled(LineNew, item, topic=topic, text=text, excerpt=item.excerpt)


def _change(item: Evidence) -> TypedReading:
    return _filled(ChangeMade, item, topic=item.name)


def _alert(item: Evidence) -> TypedReading | None:
    figures = item.figures
    if "page" in figures:
        kind = stated(item.name) if "rule" in figures else None
        family = read(item.name).family
        return _filled(AlertFired, item, topic=kind or "", family=family, kind=kind)
    on = next((one for one in ("metric", "trace", "spans", "log") if one in figures), None)
    kind = resource(item.name) if on == "metric" else None
    return _filled(AnomalyAlert, item, topic=on, kind=kind, instance=item.excerpt) if on else None


def _object(item: Evidence) -> TypedReading:
    kind = item.name if item.name in _FAULTS else None
    return _filled(ObjectBroken, item, service=item.subject, kind=kind)


_SIDES, _FAULTS = frozenset(get_args(CallSide)), frozenset(get_args(FaultKind))
_PARSE: dict[EvidenceKind, Callable[[Evidence], TypedReading | None]] = {
    "metric": _metric,
    "edge": _edge,
    "trace": _trace,
    "log": _line,
    "change": _change,
    "alert": _alert,
    "cluster": _object,
}
