"""What an alert is about, who told it, and why: one decision for live and recorded alerts.

The order of the labels and its reasons: `docs/decisions/subjects.md`.
"""

from copilot.alerts.subjects.reading import SubjectReading, component, read

__all__ = ["SubjectReading", "component", "read"]
