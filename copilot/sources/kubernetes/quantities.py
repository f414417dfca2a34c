"""Kubernetes' written amounts, ages and times as numbers."""

import re
from datetime import UTC, datetime

from tools.types import Timestamp

_SUFFIX = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "P": 1e15, "E": 1e18, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
    "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_AMOUNT = re.compile(r"(?P<number>[+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?)(?P<suffix>[A-Za-z]{0,2})")
_SPAN = re.compile(r"(\d+)([dhmsy])")
_SECONDS = {"y": 31_536_000.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def amount(text: object) -> float | None:
    """A resource quantity in cores, bytes or pieces; None where it is not one.

    >>> amount("200m"), amount("1Gi"), amount("many")
    (0.2, 1073741824.0, None)
    """
    written = _AMOUNT.fullmatch(str(text).strip())
    if written is None or written["suffix"] not in _SUFFIX:
        return None
    return float(written["number"]) * _SUFFIX[written["suffix"]]


def age(text: str) -> float | None:
    """An age as kubectl prints it, in seconds.

    >>> age("5m6s"), age("<unknown>")
    (306.0, None)
    """
    parts = _SPAN.findall(text)
    return sum(int(count) * _SECONDS[unit] for count, unit in parts) if parts else None


def amounts(written: object) -> dict[str, float]:
    """A mapping of resource to quantity; entries that are no quantity are left out."""
    if not isinstance(written, dict):
        return {}
    found = {str(name): amount(value) for name, value in written.items()}
    return {name: value for name, value in found.items() if value is not None}


def since(written: object, now: Timestamp | None) -> float | None:
    """Seconds from an RFC 3339 time to now; None without one of them."""
    if isinstance(written, datetime):  # YAML reads times by itself
        moment = written
    else:
        try:
            moment = datetime.fromisoformat(str(written))
        except ValueError:
            return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None if now is None else max(now - zoned.timestamp(), 0.0)
