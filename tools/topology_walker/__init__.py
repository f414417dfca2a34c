"""Topology walker: measure components around an onset, rank the likely causes, draw the way.

`observe` turns telemetry into findings, `rank` turns numbered evidence into candidates with
reasons, `explain_tree` draws the way from the symptom to the causes; `upstream`, `downstream` and
`blast_radius` answer questions about the service graph alone.
"""

from tools.topology_walker.certainty import EvidenceScope, is_forecast, is_little
from tools.topology_walker.config import WalkerConfig
from tools.topology_walker.graph import WalkNode, blast_radius, downstream, explain_tree, upstream
from tools.topology_walker.observe import observe
from tools.topology_walker.ranking import rank

__all__ = [
    "EvidenceScope",
    "WalkNode",
    "WalkerConfig",
    "blast_radius",
    "downstream",
    "explain_tree",
    "is_forecast",
    "is_little",
    "observe",
    "rank",
    "upstream",
]
