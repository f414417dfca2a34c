"""Recorder: a stretch of the lab's life as an incident bundle, `incident-bundle/1`."""

from evals.lab.recorder.bundle import (
    BUNDLE_LIMIT,
    AppliedFix,
    RecordingTake,
    bundle_of,
    record,
    record_history,
    shipped_step,
)

__all__ = [
    "BUNDLE_LIMIT",
    "AppliedFix",
    "RecordingTake",
    "bundle_of",
    "record",
    "record_history",
    "shipped_step",
]
