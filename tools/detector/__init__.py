"""Statistical detector: series in, anomalies with onset, direction, score and reason out."""

from tools.detector.model import DetectorConfig, Forecast, Onset, PointScores
from tools.detector.onset import onset
from tools.detector.scan import detect, scores
from tools.detector.stream import Stream
from tools.detector.trend import forecast

__all__ = [
    "DetectorConfig",
    "Forecast",
    "Onset",
    "PointScores",
    "Stream",
    "detect",
    "forecast",
    "onset",
    "scores",
]
