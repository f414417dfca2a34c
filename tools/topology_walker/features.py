"""From evidence to one row of figures per component; each figure knows its evidence.

Every figure lies in [0, 1]. `level(z)` maps robust standard deviations so that 100 of them are 1.
What a component inherits from what it calls is taken off before anything is weighed.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tools.topology_walker.graph import callees_of, components, upstream
from tools.topology_walker.inherited import errors, latency
from tools.topology_walker.paths import own_time, steps, wire
from tools.topology_walker.pressure import Pressure
from tools.topology_walker.reported import (
    changes_made,
    cluster_findings,
    log_lines,
    scored_alerts,
)
from tools.topology_walker.scene import Feature, FeatureRow, Figure, Figures, Scene, keep, level
from tools.topology_walker.signals import read
from tools.topology_walker.signatures import measured, telltale
from tools.types import Evidence, Owner, Timestamp, Topology


def rows(
    evidence: Sequence[Evidence], topology: Topology, onset: Timestamp
) -> dict[str, FeatureRow]:
    """All figures of all components that the topology or the evidence names."""
    scene = Scene(
        evidence,
        topology,
        _names(evidence, topology),
        callees_of(topology),
        onset,
        any(item.name in ("self_time", "wire_time") for item in evidence),
        _pages(evidence, topology),
    )
    found: dict[str, FeatureRow] = {name: {} for name in scene.names}
    for compute in _FIGURES:
        for (name, feature), figure in compute(scene).items():
            row = found.get(name)
            if row is None or figure.value <= 0:
                continue
            known = row.get(feature)
            if known is None or figure.value > known.value:
                row[feature] = figure
    _explain_callers(found, scene)
    return {name: _corroborated(row) for name, row in found.items()}


_SUFFERED: tuple[Feature, ...] = (
    "own errors",
    "missing step",
    "new error path",
    "new log template",
    "own latency",
)


def _explain_callers(found: dict[str, FeatureRow], scene: Scene) -> None:
    """Take off what callers suffer from a component of which a reading is wrong by itself.

    A clock or a certificate is nobody's consequence, and the calls it spoils end at its callers.
    """
    for wrong, sure in measured(scene.evidence).items():
        for caller in upstream(scene.topology, wrong):
            row = found.get(caller, {})
            for feature in _SUFFERED:
                suffered = row.pop(feature, None)
                if suffered is not None and sure < 1.0:
                    row[feature] = Figure((1.0 - sure) * suffered.value, suffered.evidence)


_ALONE = 0.4


def _corroborated(row: FeatureRow) -> FeatureRow:
    """A change of a component that shows nothing else counts less: most changes are harmless."""
    if "recent change" not in row or len(row) > 1:
        return row
    change = row["recent change"]
    return {"recent change": Figure(_ALONE * change.value, change.evidence)}


def _pages(evidence: Iterable[Evidence], topology: Topology) -> dict[str, frozenset[str]]:
    """The paged components the topology knows, and the families of what they were paged for."""
    known = components(topology)
    found: dict[str, frozenset[str]] = {}
    for item in evidence:
        if item.kind == "alert" and "page" in item.figures and item.subject in known:
            family = read(item.name).family
            about = {"errors" if family == "success" else family}
            found[item.subject] = found.get(item.subject, frozenset()) | about
    return found


def _names(evidence: Iterable[Evidence], topology: Topology) -> tuple[str, ...]:
    found = dict.fromkeys(components(topology))
    for item in evidence:
        owner = Owner.parse(item.subject)
        if owner.kind in ("service", "version", "edge"):
            found |= dict.fromkeys(name for name in (owner.service, owner.caller) if name)
    return tuple(found)


_RESOURCES: dict[str, Feature] = {
    "cpu": "own cpu",
    "memory": "own memory",
    "disk": "own disk",
    "saturation": "own saturation",
}


def _resources(scene: Scene) -> Figures:
    """level(z) weighed by the component's share of the change among all that have the metric.

    What is used more, but is neither near its limit nor what the component waits for, counts less.
    """
    found: Figures = {}
    pressure = Pressure(scene.evidence)
    for item in scene.evidence:
        signal, owner = read(item.name), Owner.parse(item.subject)
        feature = _RESOURCES.get(signal.family)
        if item.kind != "metric" or "canary" in item.figures or signal.per_node:
            continue
        if owner.kind == "service" and feature and item.direction == "up":
            share = 0.25 + 0.75 * item.figures["share"]
            value = level(item.figures["z"]) * share * item.figures["fresh"] * pressure.of(item)
            keep(found, owner.service, feature, value, item.id)
        if owner.kind == "service" and signal.family == "instances" and item.direction == "down":
            keep(found, owner.service, "fewer instances", level(-item.figures["z"]), item.id)
    return found


_SURGE_FROM, _SURGE_SURE = 1.3, 2.3
_MOST_TRIES = 3.0
"""Who asks again after an error gives up after the second time, or so."""


def _traffic(scene: Scene) -> Figures:
    """Times the usual rate at the front door: from 1.3 (nothing) to 2.3 (a surge, surely).

    Behind the door more calls are a consequence; only there do they come from outside. Where calls
    from the door fail, 1 / (1 - share of errors) times the rate may be those who ask again.
    """
    found: Figures = {}
    again = _asked_again(scene)
    for item in scene.evidence:
        owner = Owner.parse(item.subject)
        at_door = owner.kind == "entry" or owner.service == scene.topology.entry
        if item.kind != "metric" or not at_door or read(item.name).family != "traffic":
            continue
        sure = (item.figures["ratio"] / again - _SURGE_FROM) / (_SURGE_SURE - _SURGE_FROM)
        value = float(np.clip(sure, 0.0, 1.0)) * item.figures["fresh"] * item.figures["steady"]
        keep(found, scene.topology.entry, "more traffic", value, item.id)
    return found


def _asked_again(scene: Scene) -> float:
    """Requests per first request at the front door, if each that failed below it is repeated."""
    failing = [
        item.figures["delta"]
        for item in scene.evidence
        if item.kind == "edge"
        and item.name == "caller_errors"
        and item.direction == "up"
        and Owner.parse(item.subject).caller == scene.topology.entry
    ]
    answered = 1.0 - max(failing, default=0.0)
    return min(1.0 / max(answered, 1.0 / _MOST_TRIES), _MOST_TRIES)


_FIGURES: tuple[Callable[[Scene], Figures], ...] = (
    telltale,
    _resources,
    _traffic,
    latency,
    errors,
    own_time,
    wire,
    steps,
    log_lines,
    changes_made,
    scored_alerts,
    cluster_findings,
)
