"""Signs that only one kind of fault leaves: a lapsed certificate, a clock gone wrong, nobody up.

Each sign names the component it speaks of, the kind of fault and how sure it is, in [0, 1].

Why these numbers: docs/decisions/telltale-signs.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tools.topology_walker.accusations import Accusation, accusations, handing_on
from tools.topology_walker.scene import Figures, Scene, keep
from tools.topology_walker.signals import read, seconds_per, stated
from tools.types import Evidence, FaultKind, Owner, Topology


class SignatureMatch(NamedTuple):
    """What one piece of evidence says about one component, and how much it votes for the kind."""

    component: str
    kind: FaultKind
    sure: float
    vote: float
    evidence: str
    peer: str = ""
    """A host that is accused and that nothing here watches: a provider, for one."""


_MEASURED, _NAMED, _AMPLIFIED, _CALLED, _SLOW = 2.0, 1.3, 1.7, 1.2, 1.7
"""Votes of a reading that is wrong by itself, of a line, of a ratio, and of how calls end.

Slow calls out of the system fill the pool of whoever waits for them, which votes up to 1.
"""

_OFF_S, _FAR_OFF_S = 0.1, 1.0
"""A clock this far off is doubtful (0) and surely wrong (1): NTP holds it within a few ms."""

_AGAIN, _STORM = 2.0, 4.0
"""Repeats per first call: a callee that fails is tried again once or twice; a storm is more."""

_MISSES, _STAMPEDE = 1.5, 3.0
"""Times the usual misses, beyond what more requests explain."""

_FAILING, _GONE = 0.5, 0.01
_TIMES_SLOWER, _FAR_SLOWER = 3.0, 3.0
_OUTSIDE_SURE = 0.7
_STATED: dict[FaultKind, tuple[float, float]] = {
    "certificate_expired": (1.0, _MEASURED),
    "clock_skew": (1.0, _MEASURED),
    "dns_failure": (0.8, _NAMED),
    "disk_full": (0.8, _NAMED),
    "process_down": (0.6, _CALLED),
}
"""How sure an alert is that states its fault, and its vote; what spreads to callers is no sign."""

_SURGE_FROM, _SURGE_SURE = 1.3, 2.3
_MOST_TRIES = 3.0
"""Who asks again after an error gives up after the second time, or so."""

_STATED_SINCE_S = 300.0
"""An alert that fired long before the onset tells of something else."""
_UNSEEN_SURE = 0.6


def signs(evidence: Sequence[Evidence], topology: Topology) -> tuple[SignatureMatch, ...]:
    """Return every fault signature that an item of the evidence matches, with how sure it is."""
    calls = _Calls(evidence)
    told = accusations(evidence, topology, calls.failing())
    outside = [sign for item in evidence for sign in _outside(item, calls)]
    late = {one.component: one.sure for one in outside if one.kind == "slow_dependency"}
    # New requests or repeated ones: an empty pool behind such a door proves nothing by itself.
    surge = max((sure for sure, _ in surges(evidence, topology, repeats=1.0)), default=0.0)
    matches = (
        *(_in_words(one, max(late.get(one.component, 0.0), surge)) for one in told),
        *_measured(evidence, calls, handing_on(told)),
        *outside,
    )
    return tuple(one for one in matches if one.sure > 0)


def surges(
    evidence: Sequence[Evidence], topology: Topology, repeats: float
) -> Iterator[tuple[float, str]]:
    """How surely more requests come in at the front door, in [0, 1], and the item that shows it.

    Times the usual rate, from 1.3 (nothing) to 2.3 (a surge, surely); `repeats` are the requests
    per first request (`asked_again`).
    """
    for item in evidence:
        owner = Owner.parse(item.subject)
        at_door = owner.kind == "entry" or owner.service == topology.entry
        if item.kind == "metric" and at_door and read(item.name).family == "traffic":
            sure = _between(item.figures["ratio"] / repeats, _SURGE_FROM, _SURGE_SURE)
            yield sure * item.figures["fresh"] * item.figures["steady"], item.id


def asked_again(evidence: Sequence[Evidence], topology: Topology) -> float:
    """Requests per first request at the front door, if each that failed below it is repeated."""
    failing = [
        item.figures["delta"]
        for item in evidence
        if item.kind == "edge"
        and item.name == "caller_errors"
        and item.direction == "up"
        and Owner.parse(item.subject).caller == topology.entry
    ]
    answered = 1.0 - max(failing, default=0.0)
    return min(1.0 / max(answered, 1.0 / _MOST_TRIES), _MOST_TRIES)


def _in_words(one: Accusation, explained: float) -> SignatureMatch:
    """Of whom it is said may be a guess; what is said is none, so it votes in full.

    A pool is empty where each of its holders waits for an outside that is measured to answer late,
    or where more requests come in than it was made for: `explained` is how surely, in [0, 1].
    """
    vote = _NAMED * one.told / one.sure if one.sure else 0.0
    sure = (1.0 - explained if one.kind == "pool_exhaustion" else 1.0) * one.sure
    return SignatureMatch(one.component, one.kind, sure, vote, one.evidence, one.peer)


def _measured(
    evidence: Sequence[Evidence], calls: "_Calls", alive: Mapping[str, float]
) -> Iterator[SignatureMatch]:
    return (
        sign
        for item in evidence
        for sign in (
            *_readings(item),
            *_stated(item, alive),
            *_instances(item, calls),
            *_misses(item, evidence),
            *_repeats(item),
        )
    )


def telltale(scene: Scene) -> Figures:
    """Score each component by its surest fault signature, in [0, 1]."""
    found: Figures = {}
    for sign in signs(scene.evidence, scene.topology):
        keep(found, sign.component, "telltale sign", sign.sure, sign.evidence)
    return found


def measured(evidence: Sequence[Evidence]) -> dict[str, float]:
    """Map components to how sure it is, in [0, 1], that one of their own readings is wrong."""
    found: dict[str, float] = {}
    for item in evidence:
        for sign in _readings(item):
            if sign.vote >= _MEASURED and sign.sure > found.get(sign.component, 0.0):
                found[sign.component] = sign.sure
    return found


class _Calls:
    """What the evidence says of the calls between components."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self.errors: dict[tuple[str, str], float] = {}
        self.slower: dict[tuple[str, str], float] = {}
        for item in evidence:
            owner = Owner.parse(item.subject)
            if item.kind != "edge":
                continue
            edge = owner.caller, owner.service
            if item.name == "no_calls":
                self.errors.setdefault(edge, 0.0)
            elif item.name == "caller_errors" and item.direction == "up":
                self.errors[edge] = max(self.errors.get(edge, 0.0), item.figures["delta"])
            elif item.name == "caller_latency" and item.direction == "up":
                self.slower[edge] = max(self.slower.get(edge, 0.0), item.figures["delta"])

    def into(self, name: str) -> list[float]:
        """How much of the calls to a component fail, per caller."""
        return [share for (_, callee), share in self.errors.items() if callee == name]

    def failing(self) -> dict[str, list[str]]:
        """Map callers to the callees whose calls fail, most first."""
        found: dict[str, list[str]] = {}
        for (caller, callee), share in sorted(self.errors.items(), key=lambda call: -call[1]):
            if share > 0:
                found.setdefault(caller, []).append(callee)
        return found


def _between(value: float, nothing: float, certain: float) -> float:
    return float(np.clip((value - nothing) / (certain - nothing), 0.0, 1.0))


def _readings(item: Evidence) -> Iterator[SignatureMatch]:
    """A certificate with no time left; a clock that is off by more than a clock may be."""
    owner, family = Owner.parse(item.subject), read(item.name).family
    if item.kind != "metric" or owner.kind != "service" or item.value is None:
        return
    usual = item.baseline or 0.0
    if family == "certificate" and item.value <= 0.0 < usual:
        yield SignatureMatch(owner.service, "certificate_expired", 1.0, _MEASURED, item.id)
    elif family == "clock" and abs(item.value) > 2.0 * abs(usual):
        off = abs(item.value) * seconds_per(item.unit)
        yield SignatureMatch(
            owner.service, "clock_skew", _between(off, _OFF_S, _FAR_OFF_S), _MEASURED, item.id
        )
    elif family == "errors" and "dns" in item.name.lower() and item.direction == "up":
        yield SignatureMatch(
            owner.service, "dns_failure", item.figures.get("fresh", 1.0), _NAMED, item.id
        )


def stated_by(item: Evidence) -> FaultKind | None:
    """Return the fault kind that an alert rule names, if it began to fire about the onset."""
    if item.kind != "alert" or "rule" not in item.figures:
        return None
    return stated(item.name) if item.figures["first_s"] >= -_STATED_SINCE_S else None


def _stated(item: Evidence, alive: Mapping[str, float]) -> Iterator[SignatureMatch]:
    """A rule that somebody wrote for one kind of fault, and named after it, holds.

    But whoever writes that a peer fails (`alive`, how surely) is not down itself.
    """
    kind, service = stated_by(item), Owner.parse(item.subject).service
    if kind in _STATED:
        sure, vote = _STATED[kind]
        left = 1.0 - alive.get(service, 0.0) if kind == "process_down" else 1.0
        yield SignatureMatch(service, kind, left * sure, vote, item.id)


def _instances(item: Evidence, calls: _Calls) -> Iterator[SignatureMatch]:
    """Nobody of a component is up and its callers find it failing: what waits for it is result."""
    owner = Owner.parse(item.subject)
    if item.kind != "metric" or owner.kind != "service" or item.value is None:
        return
    family = read(item.name).family
    if family == "restarts" and item.direction == "up":
        yield SignatureMatch(
            owner.service, "process_down", 0.5 * item.figures["fresh"], 0.6, item.id
        )
    if family != "instances" or item.value > _GONE or (item.baseline or 0.0) < 0.5:
        return
    seen = calls.into(owner.service)
    failing = not seen or max(seen) >= _FAILING
    sure = (1.0 if seen else _UNSEEN_SURE) if failing else 0.0
    yield SignatureMatch(owner.service, "process_down", sure, _CALLED, item.id)


def _misses(item: Evidence, evidence: Sequence[Evidence]) -> Iterator[SignatureMatch]:
    """A cache misses more than its requests explain, and what stands behind it is loaded."""
    owner = Owner.parse(item.subject)
    if read(item.name).family != "cache" or item.direction != "up" or owner.kind != "service":
        return
    more = [
        one.figures["ratio"]
        for one in evidence
        if one.kind == "metric"
        and one.subject == item.subject
        and read(one.name).family == "traffic"
    ]
    times = item.figures["ratio"] / (1.0 if item.unit == "%" else max((1.0, *more)))
    loaded = any(
        one.direction == "up"
        and one.kind == "edge"
        and one.subject.startswith(f"{owner.service}->")
        for one in evidence
    )
    sure = _between(times, _MISSES, _STAMPEDE) * item.figures["fresh"]
    yield SignatureMatch(
        owner.service, "cache_stampede", sure if loaded else 0.0, _AMPLIFIED, item.id
    )


def _repeats(item: Evidence) -> Iterator[SignatureMatch]:
    """Whoever repeats each call many times keeps down what could not answer once."""
    if "per_call" in item.figures:
        owner = Owner.parse(item.subject)
        sure = _between(item.figures["per_call"], _AGAIN, _STORM)
        yield SignatureMatch(
            owner.caller or owner.service, "retry_storm", sure, _AMPLIFIED, item.id
        )


def _outside(item: Evidence, calls: _Calls) -> Iterator[SignatureMatch]:
    """A call out of the system fails or takes several times as long, and no other call does.

    Errors that callers further up inherit from it weigh less than this.
    """
    if item.kind != "edge" or not item.figures.get("outside") or item.direction != "up":
        return
    owner = Owner.parse(item.subject)
    edge = owner.caller, owner.service
    if item.name == "caller_errors" and item.figures["delta"] >= _FAILING:
        sure = _OUTSIDE_SURE * item.figures["delta"] * item.figures["fresh"]
        yield SignatureMatch(owner.caller, "dependency_down", min(sure, 1.0), _CALLED, item.id)
    elif item.name == "caller_latency" and calls.errors.get(edge, 0.0) < _FAILING:
        usual = max(item.baseline or 0.0, 1e-9)
        others = [s for one, s in calls.slower.items() if one[0] == owner.caller and one != edge]
        slower = (item.value or 0.0) / usual >= _TIMES_SLOWER
        if slower and item.figures["delta"] >= _FAR_SLOWER * max(others, default=0.0):
            sure = _OUTSIDE_SURE * item.figures["fresh"]
            yield SignatureMatch(owner.caller, "slow_dependency", sure, _SLOW, item.id)
