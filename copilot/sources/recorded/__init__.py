"""Recorded incidents in the folder format `incident-bundle/1`, replayed as live sources."""

from copilot.sources.recorded.bundle import RecordedBundle, series_in
from copilot.sources.recorded.errors import BundleError
from copilot.sources.recorded.incident_replay import IncidentReplay

__all__ = ["BundleError", "RecordedBundle", "IncidentReplay", "series_in"]
