"""With which strength, in [0, 1], a fault signature holds for one reading of an incident.

What each is worth stands in `signatures.py`; why these limits, in
docs/decisions/fault-signatures.md.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from tools.topology_walker.accusations import Accusation, accusations, handing_on
from tools.topology_walker.inherited import OwnSymptom, unexplained
from tools.topology_walker.readings import (
    AlertFired,
    AnomalyAlert,
    CallsRepeated,
    ChangeMade,
    EdgeMoved,
    LineNew,
    MetricMoved,
    ObjectBroken,
    TypedReading,
    VersionApart,
)
from tools.topology_walker.scene import Scene, between, level
from tools.topology_walker.signals import SECONDS, seconds_per
from tools.types import FaultKind


class Inquiry(Scene):
    """A scene with what follows from several readings: accusations, and what is unexplained."""

    @cached_property
    def accusations(self) -> tuple[Accusation, ...]:
        """What log lines say of causes."""
        return accusations(self)

    @cached_property
    def handing_on(self) -> dict[str, float]:
        """How surely, in [0, 1], each writer of lines accuses somebody else."""
        return handing_on(self.accusations)

    @cached_property
    def all_readings(self) -> tuple[TypedReading, ...]:
        """Readings of the evidence, and those that follow from several of them."""
        return (*self.readings, *self.accusations, *unexplained(self))

    @cached_property
    def surge(self) -> float:
        """How surely more requests come in than people who ask again explain, in [0, 1]."""
        return max((surge(one, self) for one in self.of(MetricMoved)), default=0.0)

    @cached_property
    def crowd(self) -> float:
        """How surely a surge reaches all that stands behind the front door, in [0, 1]."""
        return self.surge if self.asked_for_all >= ROSE else 0.0


Strength = Callable[[Any, Inquiry], float]
NEAR_LIMIT, AT_LIMIT, ROSE = 80.0, 90.0, 1.1
"""Percent of a resource at which waiting for it begins to grow without bounds (a queue at 80 % is
five times as slow, Kleinrock (1975)), at which it is used up, and the least rise that is news.
"""

LONG_WAIT, EXPLAINS, HELD_LONGER = 10.0, 0.5, 0.5
"""A wait ten times as long is a resource at its limit; it counts fully where it is half of what the
latency rose by. What is held for the length of slow calls counts half, by Little's law (1961).
"""

FILLED, FILLED_Z, GREW = 2.5, 20.0, 5.0
"""Memory whose limit nobody recorded counts as full at 2.5 times its steady level, or at 5 times
any. Source: docs/decisions/fault-signatures.md.
"""

POOLED = "pool", "connection", "thread", "handle", "descriptor"


def pressure(one: MetricMoved, scene: Scene) -> float:
    """Return the share, in [0, 1], of a rise that counts against the component itself.

    A wait counts by its part of the component's own rise in latency, a pool by how full it is, and
    half where the component's calls are slow: what waits for the cause fills up, too.
    """
    family, counts = one.signal.family, 1.0
    if family not in ("saturation", "disk"):
        return counts
    if one.unit in SECONDS:
        slower_by = scene.own_latency.get(one.service, 0.0)
        counts = between(one.rise, 0.0, max(EXPLAINS * slower_by, 1e-9))
    elif one.unit == "%" and family == "saturation":
        counts = between(one.value, 0.0, NEAR_LIMIT)
    held = one.service in scene.waits_for_callees
    pooled = any(word in one.name.lower() for word in POOLED)
    return counts * (HELD_LONGER if held and pooled else 1.0)


def more(one: MetricMoved, scene: Inquiry) -> float:
    """More of the resource is used since the onset, most of it here."""
    lasting = between(one.steady, 0.0, LASTING) if one.signal.family == "cpu" else 1.0
    return level(one.z) * one.share * one.fresh * lasting * pressure(one, scene)


LASTING = 0.7
"""A processor that is busy for less of the time than this does what its requests ask for.
Source: docs/decisions/fault-signatures.md.
"""


def used_up(one: MetricMoved, scene: Inquiry) -> float:
    """The resource is at its limit, by percent or by how memory grew."""
    family = one.signal.family
    full = NEAR_LIMIT if family == "cpu" else AT_LIMIT
    if one.unit == "%" and one.value >= full and one.ratio >= ROSE:
        return pressure(one, scene)
    if family != "memory" or (one.unit == "%" and one.value < NEAR_LIMIT):
        return 0.0
    steady = one.ratio >= FILLED and one.z >= FILLED_Z
    return one.fresh if steady or one.ratio >= GREW else 0.0


def waited_for(one: MetricMoved, scene: Inquiry) -> float:
    """It is waited for ten times as long, and the wait is what the component is slower by."""
    long = one.unit in SECONDS and one.ratio >= LONG_WAIT
    return one.fresh if long and pressure(one, scene) >= 1 else 0.0


def lost_packets(one: MetricMoved, scene: Inquiry) -> float:
    """Three times as many packets are lost."""
    return one.fresh if one.kind == "network_loss" and one.ratio >= 3 else 0.0


def fewer(one: MetricMoved, scene: Inquiry) -> float:
    """Fewer instances run."""
    return level(-one.z)


SURGE, CERTAIN_SURGE, MOST_TRIES = 1.3, 2.3, 3.0
"""Times the usual requests at which a surge is doubtful (0) and sure (1); who asks again after an
error gives up after the second time, or so. Source: docs/decisions/fault-signatures.md.
"""


def surge(one: MetricMoved, scene: Inquiry) -> float:
    """More requests come in at the front door than people who ask again explain."""
    at_door = one.at_entry or one.service == scene.topology.entry
    if not at_door or one.signal.family != "traffic":
        return 0.0
    answered = max(1.0 - scene.door_errors, 1.0 / MOST_TRIES)
    new = one.ratio * (1.0 if scene.asked_for_all >= ROSE else answered)
    return between(new, SURGE, CERTAIN_SURGE) * one.fresh * one.steady


def left(one: OwnSymptom, scene: Inquiry) -> float:
    """What of the symptom the callees do not explain."""
    return one.left


def new_line(one: LineNew, scene: Inquiry) -> float:
    """New lines that the program itself does not call information, beside the strongest."""
    most = max(line.strength for line in scene.of(LineNew) if line.topic == one.topic)
    return one.strength / most if most > 0 else 0.0


CHANGE_S = 900.0
"""A change this many seconds before the onset counts half.
Source: docs/decisions/fault-signatures.md.
"""


def changed(one: ChangeMade, scene: Inquiry) -> float:
    """It was changed shortly before the onset."""
    return 1.0 / (1.0 + max(one.ago_s, 0.0) / CHANGE_S)


def version_apart(one: VersionApart, scene: Inquiry) -> float:
    """The new version does otherwise than the old one at the same time, or nothing at all."""
    return level(one.z)


COMMON_SCORE, RARE_SCORE, MANY = 3.0, 7.0, 5.0
"""A score of 3 on a metric is common in a storm, one of 7 is not, nor are five strange metrics of
one instance. Source: docs/decisions/fault-signatures.md.
"""


def loud(one: AnomalyAlert, scene: Inquiry) -> float:
    """A metric, or several of one instance, is far out of its band."""
    score = between(one.score, COMMON_SCORE, RARE_SCORE)
    return (2.0 * score + min(one.signals / MANY, 1.0)) / 3.0


def louder(one: AnomalyAlert, scene: Inquiry) -> float:
    """Of the component's strange metrics, that of this resource is the loudest."""
    same = (o for o in scene.of(AnomalyAlert) if (o.service, o.topic) == (one.service, one.topic))
    most = max(other.total for other in same)
    return abs(one.total) / max(most, 1e-9)


def beside(figure: Callable[[AnomalyAlert], float]) -> Strength:
    def strength(one: AnomalyAlert, scene: Inquiry) -> float:
        """Loud beside the loudest of its kind."""
        most = max(figure(other) for other in scene.of(AnomalyAlert) if other.topic == one.topic)
        return figure(one) / most if most > 0 else 0.0

    return strength


def lapsed(one: MetricMoved, scene: Inquiry) -> float:
    """A certificate's time left is at or below zero, before above."""
    return float(one.value <= 0.0 < one.usual)


OFF_S, FAR_OFF_S = 0.1, 1.0
"""A clock this far off is doubtful (0) and surely wrong (1): NTP holds it within milliseconds.
Source: RFC 5905.
"""


def skewed(one: MetricMoved, scene: Inquiry) -> float:
    """A clock is off by 0.1 s (doubtful) to 1 s (sure), and twice as far as usual."""
    off = abs(one.value) * seconds_per(one.unit)
    return between(off, OFF_S, FAR_OFF_S) if abs(one.value) > 2.0 * abs(one.usual) else 0.0


GONE, UNSEEN = 0.01, 0.6
"""Instances up that count as none; how sure it is where nobody measures the calls to it.
Source: docs/decisions/fault-signatures.md.
"""


def nobody_up(one: MetricMoved, scene: Inquiry) -> float:
    """No instance is up, and half of some caller's calls fail; less sure where none is measured."""
    if one.value > GONE or one.usual < 0.5:
        return 0.0
    seen = [share for (_, callee), share in scene.failing.items() if callee == one.service]
    return float(max(seen) >= 0.5) if seen else UNSEEN


MISSES, STAMPEDE = 1.5, 3.0
"""Times the usual misses, beyond what more requests explain, that are doubtful and sure.
Source: docs/decisions/fault-signatures.md.
"""


def cache_missed(one: MetricMoved, scene: Inquiry) -> float:
    """The cache misses more than its requests explain, and what stands behind it is loaded."""
    if not any(edge.caller == one.service and edge.up for edge in scene.of(EdgeMoved)):
        return 0.0
    same = (other for other in scene.of(MetricMoved) if other.service == one.service)
    asked = max((o.ratio for o in same if o.signal.family == "traffic"), default=1.0)
    times = one.ratio / (1.0 if one.unit == "%" else max(1.0, asked))
    return between(times, MISSES, STAMPEDE) * one.fresh


def repeated(one: CallsRepeated, scene: Inquiry) -> float:
    """Each call is repeated twice (doubtful) to four times (sure): a failing callee is tried
    again once or twice.
    """
    return between(one.per_call, 2.0, 4.0)


TIMES_SLOWER = 3.0


def failing_outside(one: EdgeMoved, scene: Inquiry) -> float:
    """Half or more of the calls out of the system fail."""
    return min(one.delta * one.fresh, 1.0) if one.delta >= 0.5 else 0.0


def slow_outside(one: EdgeMoved, scene: Inquiry) -> float:
    """Calls out of the system are three times as slow, no other call of the caller nearly so."""
    if scene.failing.get(one.edge, 0.0) >= 0.5 or one.value < TIMES_SLOWER * one.usual:
        return 0.0
    others = (
        late for edge, late in scene.slower.items() if edge[0] == one.caller and edge != one.edge
    )
    return one.fresh if one.delta >= TIMES_SLOWER * max(others, default=0.0) else 0.0


STATED_SINCE_S = 300.0
"""An alert that fired long before the onset tells of something else.
Source: the longest `for:` of usual rules, five minutes.
"""


def states(one: AlertFired, scene: Inquiry) -> float:
    """A rule named after its fault began to fire about the onset."""
    if one.first_s < -STATED_SINCE_S:
        return 0.0
    if one.kind == "process_down":
        # Whoever writes that a peer fails is not down itself.
        return 1.0 - scene.handing_on.get(one.service, 0.0)
    held = one.kind == "pool_exhaustion" and one.service in scene.waits_for_callees
    return HELD_LONGER if held else 1.0


WAITED_FOR: frozenset[FaultKind] = frozenset(
    {"pool_exhaustion", "slow_dependency", "queue_backlog"}
)
"""Kinds of which a line tells no more than that something is waited for (Kleinrock, 1975)."""


def _own_wait(one: Accusation, scene: Inquiry) -> float:
    """More requests make everything wait; holders of a pool wait for a late outside, too."""
    if one.kind not in WAITED_FOR:
        return 1.0
    late = 0.0
    if one.kind == "pool_exhaustion":
        calls = (edge for edge in scene.rose("caller_latency") if edge.outside)
        slow = (slow_outside(edge, scene) for edge in calls if edge.caller == one.service)
        late = max(slow, default=0.0)
    return 1.0 - max(late, scene.surge)


def accuses(one: Accusation, scene: Inquiry) -> float:
    """A log line that names a cause accuses its writer, the peer it names, or its client."""
    return one.sure * _own_wait(one, scene)


def tells(one: Accusation, scene: Inquiry) -> float:
    """What the line says is no guess, though whom it means may be one."""
    return one.told * _own_wait(one, scene)


def broken(one: ObjectBroken, scene: Inquiry) -> float:
    """An object of the cluster is at fault, beside the strongest finding."""
    return one.strength / max((other.strength for other in scene.of(ObjectBroken)), default=1.0)
