"""Moments as people write them, in English and Chinese: `14:02`, `10 minutes ago`, `昨天 9:30`."""

import re
from datetime import UTC, datetime, timedelta

from tools.types import Timestamp

_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:Z|\+00:00)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"(?<![\d:.-])([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?(?![\d:])\s*(am|pm)?")
_HOUR = re.compile(r"(上午|下午|晚上|凌晨)?\s*(\d{1,2})\s*点(?:(半)|(\d{1,2})分?)?")
_AGO = re.compile(
    r"(\d+(?:\.\d+)?|an?|half an|one|two|three|five|ten|半|一|两|三|五|十)\s*(?:个)?\s*"
    r"(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?|秒钟?|分钟?|小时|天)\s*(?:ago|前|之前|以前)"
)
_LAST = re.compile(
    r"(?:last|past|in the last|最近|过去)\s*(\d+(?:\.\d+)?|an?|one|half an|半|一|两|三|五|十)?"
    r"\s*(?:个)?\s*"
    r"(sec|seconds?|min|minutes?|hours?|days?|秒钟?|分钟?|小时|天)"
)
_NUMBER = {
    "a": 1.0, "an": 1.0, "one": 1.0, "two": 2.0, "three": 3.0, "five": 5.0, "ten": 10.0,
    "half an": 0.5, "半": 0.5, "一": 1.0, "两": 2.0, "三": 3.0, "五": 5.0, "十": 10.0,
}  # fmt: skip
_UNIT = {
    "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0,
    "秒": 1.0, "分": 60.0, "小": 3600.0, "天": 86_400.0,
}  # fmt: skip
_AFTERNOON = ("pm", "下午", "晚上")


def moment(text: str, now: Timestamp, near: Timestamp | None = None) -> Timestamp | None:
    """The moment a text names, UTC; a clock time without a date is on the day of `near`.

    Without `near` it is the last such time before `now`.

    >>> moment("what changed before 1970-01-01 00:01?", now=1000.0)
    60.0
    >>> moment("10 minutes ago", now=1000.0)
    400.0
    >>> moment("what is wrong?", now=1000.0) is None
    True
    """
    words = text.lower()
    if found := _ISO.search(text):
        return _read(found[0])
    if found := _AGO.search(words):
        return now - _seconds(found[1], found[2])
    day = _day(text, words, now, near)
    clock = _clock(words)
    if clock is None:
        named = day is not None and (_DATE.search(text) or _yesterday(words))
        return day.timestamp() if named and day is not None else None
    stands_on = day or datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0)
    at = stands_on.replace(microsecond=0) + clock
    if day is None and at.timestamp() > now:
        at -= timedelta(days=1)
    return at.timestamp()


def span(text: str) -> float | None:
    """The seconds of `the last 2 hours`, `最近十分钟`; None where the text names none."""
    found = _LAST.search(text.lower())
    return None if found is None else _seconds(found[1] or "one", found[2])


def _read(text: str) -> Timestamp | None:
    try:
        read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return read.replace(tzinfo=UTC).timestamp()


def _day(text: str, words: str, now: Timestamp, near: Timestamp | None) -> datetime | None:
    """Midnight of the day that is meant; None where nothing says."""
    if found := _DATE.search(text):
        at = _read(found[0])
        return None if at is None else datetime.fromtimestamp(at, UTC)
    meant = now - 86_400 if _yesterday(words) else near
    if meant is None:
        return None
    return datetime.fromtimestamp(meant, UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _yesterday(words: str) -> bool:
    return "yesterday" in words or "昨天" in words or "昨日" in words


def _clock(words: str) -> timedelta | None:
    if found := _CLOCK.search(words):
        hour = int(found[1]) % 12 + 12 if found[4] == "pm" else int(found[1])
        return timedelta(hours=hour, minutes=int(found[2]), seconds=int(found[3] or 0))
    if found := _HOUR.search(words):
        hour = int(found[2])
        if hour > 24:
            return None
        late = found[1] in _AFTERNOON and hour < 12
        minutes = 30 if found[3] else int(found[4] or 0)
        return timedelta(hours=hour + 12 * late, minutes=minutes)
    return None


def _seconds(number: str, unit: str) -> float:
    count = _NUMBER.get(number)
    return (float(number) if count is None else count) * _UNIT[unit[0]]
