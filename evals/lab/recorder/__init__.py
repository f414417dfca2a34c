"""Recorder: a stretch of the lab's life as an incident bundle, `incident-bundle/1`."""

from evals.lab.recorder.bundle import (
    BUNDLE_LIMIT,
    Mended,
    Take,
    bundle_of,
    record,
    record_history,
    shipped_step,
)

__all__ = [
    "BUNDLE_LIMIT",
    "Mended",
    "Take",
    "bundle_of",
    "record",
    "record_history",
    "shipped_step",
]
