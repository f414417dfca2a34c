"""Topology walker: measure components around an onset, rank the likely causes, draw the walk.

`observe` turns telemetry into findings, `rank` turns numbered evidence into candidates with
reasons, `explain_tree` and `walk` show the way from the symptom to the cause; the others answer
questions about the service graph alone.
"""

from tools.topology_walker.config import WalkerConfig
from tools.topology_walker.explain import WalkEdge, WalkNode, explain_tree, walk
from tools.topology_walker.graph import (
    blast_radius,
    critical_path,
    downstream,
    retries,
    shared_dependencies,
    upstream,
)
from tools.topology_walker.observe import observe
from tools.topology_walker.places import places, shared_places
from tools.topology_walker.ranking import rank

__all__ = [
    "WalkEdge",
    "WalkNode",
    "WalkerConfig",
    "blast_radius",
    "critical_path",
    "downstream",
    "explain_tree",
    "observe",
    "places",
    "rank",
    "retries",
    "shared_dependencies",
    "shared_places",
    "upstream",
    "walk",
]
