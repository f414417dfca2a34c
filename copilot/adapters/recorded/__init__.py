"""Recorded incidents in the folder format `incident-bundle/1`, replayed as live sources."""

from copilot.adapters.recorded.bundle import RecordedBundle, series_in
from copilot.adapters.recorded.errors import BundleError
from copilot.adapters.recorded.reenactment import Reenactment

__all__ = ["BundleError", "RecordedBundle", "Reenactment", "series_in"]
