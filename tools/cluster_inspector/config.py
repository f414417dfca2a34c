"""Thresholds of the inspector."""

from pydantic import Field

from tools.types import Frozen


class Config(Frozen):
    """What counts as suspicious. Times in seconds."""

    predictions: int = Field(default=3, ge=1)
