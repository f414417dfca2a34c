"""What `copilot doctor` looked at, and whose settings it looked with."""

from typing import Literal

from pydantic.dataclasses import dataclass

from tools.types import FrozenModel


@dataclass(frozen=True, slots=True)
class Check:
    """What was found; `advice` says what to do about it, or what would be better."""

    name: str
    state: Literal["ok", "missing", "broken"]
    found: str
    advice: str = ""


class CheckReport(FrozenModel):
    """Every check of one process; `pid` 0: of a command, with the settings it was given."""

    pid: int
    data_folder: str
    checks: tuple[Check, ...]
