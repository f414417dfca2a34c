"""What traces and call edges say: whose time, time between, and steps not taken."""

from collections import defaultdict

import numpy as np

from tools.topology_walker.graph import downstream
from tools.topology_walker.scene import Feature, Figures, Scene, keep, level
from tools.types import Evidence, Owner


def own_time(scene: Scene) -> Figures:
    """Seconds per trace that a component's own code takes longer, beside the most of any."""
    own = [item for item in scene.evidence if item.kind == "trace" and item.name == "self_time"]
    most = max((item.figures["per_trace"] for item in own), default=0.0)
    found: Figures = {}
    for item in own:
        share = item.figures["per_trace"] / most if most > 0 else 0.0
        value = level(item.figures["z"]) * share**0.5
        keep(found, Owner.parse(item.subject).service, "own time in traces", value, item.id)
    return found


def wire(scene: Scene) -> Figures:
    """Who stands at the end of all edges that lose time on the wire, and of few others.

    cover = share of all such edges' weight that touches the component; purity = share of its
    measured edges that are such; a single edge counts for its callee first.
    """
    weight: dict[str, float] = {}
    ids: dict[str, list[str]] = defaultdict(list)
    degree: dict[str, float] = defaultdict(float)
    lost = [i for i in scene.evidence if i.name in ("wire_latency", "wire_time")]
    most = max((item.figures["delta"] for item in lost), default=0.0)
    for item in lost:
        value = level(item.figures["z"]) * (max(item.figures["delta"], 0.0) / most) ** 0.5
        weight[item.subject] = max(weight.get(item.subject, 0.0), value)
        ids[item.subject].append(item.id)
        caller, _, callee = item.subject.partition("->")
        degree[caller] = max(degree[caller], item.figures["caller_edges"])
        degree[callee] = max(degree[callee], item.figures["callee_edges"])
    total = sum(weight.values())
    found: Figures = {}
    for name in degree:
        touching = [edge for edge in weight if name in edge.split("->")]
        hit = sum(weight[edge] * (1.0 if edge.endswith(f"->{name}") else 0.8) for edge in touching)
        strongest = max(weight[edge] for edge in touching)
        purity = min(hit / max(degree[name] * strongest, 1e-9), 1.0)
        value = strongest * (hit / total) * (0.4 + 0.6 * purity) if total > 0 else 0.0
        keep(found, name, "time on the wire", value, *(i for e in touching for i in ids[e][:2]))
    return found


_FAILING = 0.3


def steps(scene: Scene) -> Figures:
    """Cut and new steps; who calls a component with a like finding, or that fails, inherits it."""
    failed = {
        Owner.parse(item.subject).caller
        for item in scene.evidence
        if item.name == "caller_errors" and item.figures["delta"] >= _FAILING
    }
    names: dict[str, Feature] = {"missing_step": "missing step", "new_step": "new error path"}
    found: Figures = {}
    for name, feature in names.items():
        raw = {
            Owner.parse(item.subject).service: (_telling(item), item.id)
            for item in scene.evidence
            if item.name == name and item.kind in ("log", "trace")
        }
        for service, (value, id_) in raw.items():
            below = max(
                (raw[c][0] for c in downstream(scene.topology, service) if c in raw), default=0.0
            )
            explained = below >= 0.75 * value or service in failed
            inherited = 0.5 * value if explained else 0.0
            keep(found, service, feature, value - inherited, id_)
    return found


def _telling(item: Evidence) -> float:
    """z of a step from 2 (nothing) to 6 (certain); a new step that is no error counts half."""
    certain = float(np.clip((item.figures["z"] - 1.5) / 3.5, 0.0, 1.0))
    return certain * (0.5 if item.name == "new_step" and not item.figures["error"] else 1.0)
