"""Moments and durations as a person reads them, in UTC."""

from datetime import UTC, date, datetime


def clock_time(moment: float) -> str:
    """`14:02:10 UTC`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S UTC")


def date_of(moment: float) -> date:
    """The day of a moment."""
    return datetime.fromtimestamp(moment, UTC).date()


def date_time(moment: float) -> str:
    """`2026-11-22 14:02:10 UTC`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(moment: float | None) -> str | None:
    """RFC 3339 with seconds, or None."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def iso_millis(moment: float) -> str:
    """RFC 3339 with milliseconds, as Alertmanager writes it: `2026-11-22T14:02:10.250Z`."""
    read = datetime.fromtimestamp(moment, UTC)
    return read.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(abs(seconds))
    sign = "-" if seconds < -0.5 else ""
    if whole < 60:
        return f"{sign}{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{sign}{minutes} min {rest} s" if rest else f"{sign}{minutes} min"
    hours, rest = divmod(whole, 3600)
    return f"{sign}{hours} h {rest // 60} min" if rest >= 60 else f"{sign}{hours} h"
