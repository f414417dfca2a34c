"""The cluster inspector: which Kubernetes object is misconfigured or broken, and how.

Three verbs. `survey` asks a cluster what is worth knowing, general listings first; `inspect` runs
every analyzer over the state; `diagnose` ranks what they found.
"""

from tools.cluster_inspector.diagnosis import diagnose, inspect
from tools.cluster_inspector.findings import ClusterFinding, Diagnosis, Rule, Stage
from tools.cluster_inspector.survey import next_looks, survey

__all__ = [
    "ClusterFinding",
    "Diagnosis",
    "Rule",
    "Stage",
    "diagnose",
    "inspect",
    "next_looks",
    "survey",
]
