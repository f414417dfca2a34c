"""Telemetry that was sent to us: a cache in memory, bounded in time and bytes, and no store.

What was taken is told until it is older than `keep_s`, or until the sender that fills most of the
room has to make place. A restart forgets all of it; what must outlive one belongs to a store.
"""

from copilot.sources.received.cache import ReceivedTelemetry
from copilot.sources.received.measures import REQUEST_RATE, DataPoint, Measures
from copilot.sources.received.rings import Rings, RingUsage

__all__ = ["REQUEST_RATE", "RingUsage", "Measures", "DataPoint", "ReceivedTelemetry", "Rings"]
