"""What others have reported: new log lines, changes, alerts, findings in the cluster.

Why these numbers: docs/decisions/telltale-signs.md.
"""

import numpy as np

from tools.topology_walker.inherited import errors
from tools.topology_walker.scene import Feature, Figures, Scene, keep, level
from tools.types import Owner


def log_lines(scene: Scene) -> Figures:
    """Score components by the strength of their new log templates, relative to the strongest.

    More lines that the program itself calls information are no sign of an error.
    """
    new = [
        item
        for item in scene.evidence
        if item.kind == "log"
        and item.name not in ("missing_step", "new_step")
        and not (item.direction == "up" and item.figures.get("calm"))
    ]
    most = max((item.strength for item in new), default=0.0)
    found: Figures = {}
    for item in new:
        service = Owner.parse(item.subject).service
        keep(found, service, "new log template", item.strength / most if most else 0.0, item.id)
    return found


def changes_made(scene: Scene) -> Figures:
    """Score components by how shortly before the onset they were changed, and by how far a canary
    departs from the stable version.

    A component that errs without an erring callee may have been fed wrong values: what was changed
    among its callees is then suspect, but for those it no longer calls at all.
    """
    found: Figures = {}
    starved = _starved(scene)
    changed = [item for item in scene.evidence if item.kind == "change"]
    for item in changed:
        service = Owner.parse(item.subject).service
        later, ago = item.figures["later_changes"], item.figures["ago_s"]
        fresh = 1.0 / (1.0 + max(ago, 0.0) / 1800.0) * (0.3 if service in starved else 1.0)
        keep(found, service, "recent change", fresh / (1.0 + 0.5 * later), item.id)
    for item in scene.evidence:
        if "canary" in item.figures:
            service = Owner.parse(item.subject).service
            value = level(item.figures["z"]) * (0.3 if service in starved else 1.0)
            keep(found, service, "canary differs", value, item.id)
    changes = {Owner.parse(item.subject).service: item.id for item in changed}
    for (name, _), figure in errors(scene).items():
        for service in scene.callees.get(name, ()):
            if service in changes and service not in starved and name not in changes:
                ids = (changes[service], *figure.evidence)
                keep(found, service, "change below errors", figure.value / 0.7, *ids)
    return found


def _starved(scene: Scene) -> frozenset[str]:
    """Components that nobody calls any more."""
    stopped = {item.subject for item in scene.evidence if item.name == "no_calls"}
    callees = {edge.partition("->")[2] for edge in stopped}
    calling = {f"{e.caller}->{e.callee}" for e in scene.topology.edges} - stopped
    return frozenset(callees - {edge.partition("->")[2] for edge in calling})


_BESIDE_LOUDEST: dict[str, tuple[tuple[Feature, str], ...]] = {
    "trace": (("alerts on calls", "score"), ("alerts on one instance", "apart")),
    "spans": (("alerts on own spans", "score"),),
    "log": (("alerts in logs", "count"),),
}


def scored_alerts(scene: Scene) -> Figures:
    """Score components by alerts that carry a score: on their metrics, their calls, in their logs.

    A score of 3 on a metric is common in a storm, one of 7 is not, nor are five strange metrics of
    one instance. The others count beside the loudest of their kind.
    """
    found: Figures = {}
    alerts = [item for item in scene.evidence if item.kind == "alert"]
    for item in alerts:
        if "metric" in item.figures:
            loud = float(np.clip((item.figures["score"] - 2.5) / 4.0, 0.0, 1.0))
            many = min(item.figures["signals"] / 5.0, 1.0)
            value = (2.0 * loud + many) / 3.0
            keep(found, item.subject, "alerts on resources", value, item.id)
    for kind, features in _BESIDE_LOUDEST.items():
        members = [item for item in alerts if kind in item.figures]
        for feature, figure in features:
            most = max((item.figures[figure] for item in members), default=0.0)
            for item in members:
                value = item.figures[figure] / most if most > 0 else 0.0
                keep(found, item.subject, feature, value, item.id)
    return found


def cluster_findings(scene: Scene) -> Figures:
    """Score components by the cluster inspector's findings, relative to the strongest."""
    found: Figures = {}
    objects = [item for item in scene.evidence if item.kind == "cluster"]
    most = max((item.strength for item in objects), default=0.0)
    for item in objects:
        name = next((n for n in scene.names if n and n in item.subject), "")
        keep(found, name, "cluster finding", item.strength / most if most else 0.0, item.id)
    return found
