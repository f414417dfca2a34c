"""Thresholds of the inspector."""

from pydantic import Field

from tools.types import FrozenModel, Subject


class InspectorConfig(FrozenModel):
    """How much to ask and to answer."""

    predictions: int = Field(default=3, ge=1)
    """Causes in a diagnosis."""
    enough: float = Field(default=0.9, gt=0, le=1)
    """A survey asks no further once a finding is that sure."""
    per_kind: int = Field(default=3, ge=1)
    """Objects of one symptom that are looked at more closely."""
    hint: float = Field(default=0.45, gt=0, le=1)
    """With a finding that sure, not every application is asked for its errors."""
    subjects: int = Field(default=6, ge=1)
    """Alerted subjects that are looked for before all others; of a storm the first."""
    first: tuple[Subject, ...] = ()
    """Whom the alerts are about: looked at before all others."""
