"""What `copilot doctor` looked at, and whose settings it looked with."""

from collections.abc import Set
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


NAMED = 8
"""Names in one line; more are counted."""

_ADVICE = (
    "without rate, errors and latency a fault is seen late: measure requests by a histogram "
    "(OpenTelemetry, Micrometer, a mesh, an ingress), or name yours in COPILOT_PROMETHEUS_QUERIES"
)


def requests_of(served: Set[str], others: Set[str]) -> Check:
    """Whether requests are measured of anybody, and who else has metrics."""
    silent = _named(others - served)
    if not served:
        known = f" (other metrics are there of: {silent})" if silent else ""
        return Check("requests", "missing", f"measured of no service{known}", _ADVICE)
    plural = "" if len(served) == 1 else "s"
    found = f"measured of {len(served)} service{plural}: {_named(served)}"
    return Check("requests", "ok", found, f"not measured of: {silent}" if silent else "")


def _named(names: Set[str]) -> str:
    more = len(names) - NAMED
    shown = ", ".join(sorted(names)[:NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
