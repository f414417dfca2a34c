"""Alert clusterer: deduplicate, inhibit, silence, cluster; each decision carries its reason."""

from tools.clusterer.cluster import Clusterer
from tools.clusterer.config import ClustererConfig
from tools.clusterer.decision import DECLARED_RULE, SUPPRESSED, Action, Decision
from tools.clusterer.fingerprint import fingerprint
from tools.clusterer.inhibition import InhibitionSource, Inhibitor
from tools.clusterer.mute import (
    LABELLED,
    Inhibition,
    MaintenanceWindow,
    Matcher,
    Silence,
    expression_fault,
    matching_labels,
)
from tools.clusterer.noise import NoiseModel
from tools.clusterer.tie_break import PairDecision, TieBreaker, UncertainPair

__all__ = [
    "DECLARED_RULE",
    "LABELLED",
    "SUPPRESSED",
    "Action",
    "Clusterer",
    "ClustererConfig",
    "Decision",
    "UncertainPair",
    "Inhibition",
    "InhibitionSource",
    "Inhibitor",
    "MaintenanceWindow",
    "Matcher",
    "NoiseModel",
    "TieBreaker",
    "Silence",
    "PairDecision",
    "expression_fault",
    "fingerprint",
    "matching_labels",
]
