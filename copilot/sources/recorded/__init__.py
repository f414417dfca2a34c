"""Recorded incidents in the folder format `incident-bundle/1`, replayed as live sources."""

from copilot.sources.recorded.bundle import RecordedBundle, series_in
from copilot.sources.recorded.incident_replay import IncidentReplay, ReplayPosition
from copilot.sources.recorded.tables import BundleError

__all__ = ["BundleError", "RecordedBundle", "IncidentReplay", "ReplayPosition", "series_in"]
