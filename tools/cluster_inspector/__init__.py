"""The cluster inspector: which Kubernetes object is misconfigured or broken, and how.

Three verbs. `survey` asks a cluster what is worth knowing, general listings first; `inspect` runs
every analyzer over the state; `diagnose` ranks what they found.
"""

from tools.cluster_inspector.diagnosis import diagnose, inspect
from tools.cluster_inspector.findings import ClusterDiagnosis, ClusterFinding, InspectorRule, Stage
from tools.cluster_inspector.survey import next_queries, survey

__all__ = [
    "ClusterFinding",
    "ClusterDiagnosis",
    "InspectorRule",
    "Stage",
    "diagnose",
    "inspect",
    "next_queries",
    "survey",
]
