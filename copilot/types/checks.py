"""One thing that `copilot doctor` looked at."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """What was found; `advice` says what to do about it, or what would be better."""

    name: str
    state: Literal["ok", "missing", "broken"]
    found: str
    advice: str = ""
