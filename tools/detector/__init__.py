"""Statistical detector: series in, anomalies with onset, direction, score and reason out."""

from tools.detector.clean import gauges, rates
from tools.detector.joint import JointModel, JointScores, detect_joint
from tools.detector.model import (
    WATCH,
    DetectorArm,
    DetectorConfig,
    JointAnomaly,
    Onset,
    PointScores,
)
from tools.detector.onset import onset
from tools.detector.scan import detect, scores
from tools.detector.stream import Stream

__all__ = [
    "WATCH",
    "DetectorArm",
    "DetectorConfig",
    "JointModel",
    "JointAnomaly",
    "JointScores",
    "Onset",
    "PointScores",
    "Stream",
    "detect",
    "detect_joint",
    "gauges",
    "onset",
    "rates",
    "scores",
]
