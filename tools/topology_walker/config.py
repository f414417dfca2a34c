"""What an operator may tune in looking and ranking."""

from pydantic import Field

from tools.types import FrozenModel


class WalkerConfig(FrozenModel):
    """Limits of `observe`; every default is meant to hold for any system."""

    min_strength: float = Field(default=3.0, gt=0)
    """A deviation below this many robust standard deviations is not worth a finding."""
    change_horizon_s: float = Field(default=3600.0, gt=0)
    """Changes older than this before the onset are not looked at."""
    max_findings: int = Field(default=400, ge=1)
    """The strongest this many findings are kept."""
