"""Statistical detector: series in, anomalies with onset, direction, score and reason out."""

from tools.detector.model import DetectorConfig, Forecast, Onset
from tools.detector.onset import onset
from tools.detector.scan import detect
from tools.detector.stream import Stream
from tools.detector.trend import forecast

__all__ = ["DetectorConfig", "Forecast", "Onset", "Stream", "detect", "forecast", "onset"]
