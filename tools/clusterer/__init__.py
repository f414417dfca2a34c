"""Alert clusterer: deduplicate, inhibit, silence, cluster; each decision carries its reason."""

from tools.clusterer.cluster import Clusterer
from tools.clusterer.config import ClustererConfig
from tools.clusterer.decision import SUPPRESSED, Action, Decision
from tools.clusterer.doubt import Doubt, PairJudge, Verdict
from tools.clusterer.fingerprint import fingerprint
from tools.clusterer.mute import Inhibition, MaintenanceWindow, Matcher, Silence
from tools.clusterer.noise import NoiseModel

__all__ = [
    "SUPPRESSED",
    "Action",
    "Clusterer",
    "ClustererConfig",
    "Decision",
    "Doubt",
    "Inhibition",
    "MaintenanceWindow",
    "Matcher",
    "NoiseModel",
    "PairJudge",
    "Silence",
    "Verdict",
    "fingerprint",
]
