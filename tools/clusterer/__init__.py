"""Alert clusterer: deduplicate, inhibit, silence, cluster; each decision carries its reason."""

from tools.clusterer.cluster import Clusterer
from tools.clusterer.config import ClustererConfig
from tools.clusterer.decision import SUPPRESSED, Action, Decision
from tools.clusterer.fingerprint import fingerprint
from tools.clusterer.mute import Inhibition, MaintenanceWindow, Matcher, Silence
from tools.clusterer.noise import NoiseModel
from tools.clusterer.tie_break import PairDecision, TieBreaker, UncertainPair

__all__ = [
    "SUPPRESSED",
    "Action",
    "Clusterer",
    "ClustererConfig",
    "Decision",
    "UncertainPair",
    "Inhibition",
    "MaintenanceWindow",
    "Matcher",
    "NoiseModel",
    "TieBreaker",
    "Silence",
    "PairDecision",
    "fingerprint",
]
