"""What every value type of the instruments shares."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

type_config = ConfigDict(frozen=True, extra="forbid")

Timestamp = float
"""Seconds since the Unix epoch, UTC. The one representation of time inside; text at the doors."""


class FrozenModel(BaseModel):
    """A value: immutable, compared by content, refusing fields it does not know."""

    model_config = type_config


class Text(FrozenModel):
    """One sentence in the two languages of every surface."""

    en: str = Field(min_length=1, max_length=300)
    zh: str = Field(min_length=1, max_length=300)


class Window(FrozenModel):
    """A closed interval of time, `start <= t <= end`, in Unix seconds."""

    start: Timestamp
    end: Timestamp

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"window ends before it starts: {self.start!r} > {self.end!r}")
        return self

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.end - self.start

    def __contains__(self, moment: object) -> bool:
        return isinstance(moment, int | float) and self.start <= moment <= self.end
