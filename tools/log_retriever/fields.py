"""What headers write: times, by one pattern and one reader, and severities, in one spelling."""

import calendar
import re
from typing import Literal

from tools.types import Timestamp

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MONTH_NUMBER = {name: number for number, name in enumerate(_MONTHS.split("|"), start=1)}
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_CLOCK = r"[0-2]\d[:.][0-5]\d[:.][0-6]\d"
_FRACTION = r"(?:[.,:]\d{1,9})?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d)(?![\w:]))?"

FULL = "|".join(
    (
        rf"\d{{4}}[-/.][01]\d[-/.][0-3]\d(?:[T _-]{_CLOCK}{_FRACTION}{_ZONE})?",
        rf"{_DAY},? (?:{_MONTHS}) +\d{{1,2}} {_CLOCK}{_FRACTION}(?: [A-Z]{{3,4}})? \d{{4}}",
        rf"(?:{_MONTHS}) +\d{{1,2}}(?: \d{{4}})? {_CLOCK}{_FRACTION}",
        rf"\d{{1,2}}[/ -](?:{_MONTHS})[/ -]\d{{4}}[: ]{_CLOCK}{_FRACTION}{_ZONE}",
        rf"\d{{8}}[-T ]?[0-2]\d:?[0-5]\d:?[0-6]\d{_FRACTION}{_ZONE}(?!\w)",
        r"\d\d[01]\d[0-3]\d [0-2]\d[0-5]\d[0-6]\d(?= )",
        rf"\d{{1,2}}/\d{{1,2}}/\d{{2,4}},? {_CLOCK}{_FRACTION}(?: [AP]M)?",
        rf"[01]\d[-./][0-3]\d {_CLOCK}{_FRACTION}",
    )
)
"""Stamps that name a day and cannot be taken for anything else."""

EPOCH = r"1\d{9}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9})?(?![\w.])"
"""Seconds, milliseconds, microseconds or nanoseconds since 1970."""

CLOCK = rf"{_CLOCK}{_FRACTION}(?=[\s\]|])"
"""The time of an unnamed day."""

_NUMBERS = re.compile(r"\d+")
_NAMED = re.compile(_MONTHS)
_TIME = re.compile(r"(?<!\d)([0-2]\d)[:.]([0-5]\d)[:.]([0-6]\d)(?:[.,:](\d{1,9}))?")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)$")
_PACKED = re.compile(r"(\d{2}|\d{4})(\d\d)(\d\d)[-T ]?(\d\d):?(\d\d):?(\d\d)(?:[.,:](\d{1,9}))?")
_EPOCH = re.compile(EPOCH)


def read_stamp(stamp: str, year: int) -> Timestamp | None:
    """Unix seconds of a stamp, in UTC unless it has an offset; None where it names no day.

    `year` is used where the stamp has none. Slashed dates are read `yy/mm/dd` if the first number
    cannot be a month or the last cannot be a year, else `mm/dd/yyyy`.

    >>> read_stamp("2024-05-01T10:00:00+02:00", 1970)
    1714550400.0
    """
    if _EPOCH.fullmatch(stamp):
        whole, _, rest = stamp.partition(".")
        return float(f"{whole[:10]}.{whole[10:]}{rest}") if len(whole) > 10 else float(stamp)
    packed = _PACKED.match(stamp)
    if packed:
        year, month, day, hour, minute, second = (int(packed[i]) for i in range(1, 7))
        return _seconds((_four_digits(year), month, day), (hour, minute, second), packed[7], stamp)
    time = _TIME.search(stamp)
    date = _date(stamp[: time.start()] + stamp[time.end() :] if time else stamp, year)
    if date is None or time is None:
        return None if date is None else _seconds(date, (0, 0, 0), None, "")
    hour = int(time[1]) + (12 if stamp.endswith("PM") and int(time[1]) < 12 else 0)
    return _seconds(date, (hour, int(time[2]), int(time[3])), time[4], stamp)


def _date(text: str, year: int) -> tuple[int, int, int] | None:
    text = _OFFSET.sub("", text)
    numbers = [int(n) for n in _NUMBERS.findall(text)]
    named = _NAMED.search(text)
    if named and numbers:
        year = next((n for n in numbers[1:] if n > 31), year)
        return year, _MONTH_NUMBER[named[0]], numbers[0]
    if len(numbers) == 2:
        return year, numbers[0], numbers[1]
    if len(numbers) != 3:
        return None
    first, second, third = numbers
    if first > 31 or (first > 12 and third <= 31):
        return _four_digits(first), second, third
    if first > 12:
        return _four_digits(third), second, first
    if third > 31:
        return _four_digits(third), first, second
    return _four_digits(first), second, third


def _four_digits(year: int) -> int:
    return year if year > 99 else year + (2000 if year < 70 else 1900)


def _seconds(
    date: tuple[int, int, int], time: tuple[int, int, int], fraction: str | None, stamp: str
) -> Timestamp | None:
    year, month, day = date
    if not (1 <= month <= 12 and 1 <= day <= 31 and time[0] < 24 and 1 <= year <= 9999):
        return None
    whole = calendar.timegm((year, month, day, *time))
    offset = _OFFSET.search(stamp)
    shift = 0
    if offset:
        shift = (int(offset[2]) * 60 + int(offset[3])) * 60 * (-1 if offset[1] == "-" else 1)
    return whole - shift + (float(f"0.{fraction}") if fraction else 0.0)


LEVELS = ("TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "FATAL")
"""From the least to the most severe; every level a line names is told as one of these."""
SYNONYMS = {
    "V": "TRACE", "VERBOSE": "TRACE", "FINE": "DEBUG", "FINER": "TRACE", "FINEST": "TRACE",
    "D": "DEBUG", "DBG": "DEBUG", "I": "INFO", "INF": "INFO", "INFORMATION": "INFO",
    "INFORMATIONAL": "INFO", "CONFIG": "INFO", "W": "WARN", "WRN": "WARN", "WARNING": "WARN",
    "E": "ERROR", "ERR": "ERROR", "SEVERE": "ERROR", "FAILURE": "ERROR", "F": "FATAL",
    "C": "FATAL", "CRIT": "FATAL", "CRITICAL": "FATAL", "ALERT": "FATAL", "EMERG": "FATAL",
    "EMERGENCY": "FATAL", "PANIC": "FATAL", "NOTE": "INFO",
}  # fmt: skip
TERSE = {
    "TRCE": "TRACE", "TRAC": "TRACE", "DBUG": "DEBUG", "DEBU": "DEBUG", "EROR": "ERROR",
    "ERRO": "ERROR", "FATA": "FATAL", "PANI": "FATAL", "DPANIC": "FATAL",
}  # fmt: skip
"""Of .NET's console, logrus on a terminal, log15 and zap: words of no other logger's lines."""
ABROAD = {
    **dict.fromkeys(("跟踪", "追踪"), "TRACE"),
    **dict.fromkeys(("详细", "调试", "除錯"), "DEBUG"),
    **dict.fromkeys(("信息", "資訊", "提示", "日志", "情報", "정보"), "INFO"),
    **dict.fromkeys(("通知", "注意"), "NOTICE"),
    **dict.fromkeys(("警告", "告警", "경고", "WARNUNG", "AVERTISSEMENT", "ADVERTENCIA"), "WARN"),
    **dict.fromkeys(("错误", "錯誤", "异常", "異常", "严重", "嚴重", "エラー", "오류"), "ERROR"),
    **dict.fromkeys(("FEHLER", "SCHWERWIEGEND", "ERREUR", "GRAVE"), "ERROR"),
    **dict.fromkeys(("致命", "致命错误", "严重错误", "紧急", "致命的"), "FATAL"),
}
"""What Chinese loggers, and the catalogues of the JDK and of PostgreSQL, write instead."""

_BY_NAME = SYNONYMS | TERSE | ABROAD | {name: name for name in LEVELS}

NumberScale = Literal["level", "syslog", "cloud", "otel", "python", "dotnet", "azure"]
_SCALES: dict[NumberScale, tuple[tuple[int, str], ...]] = {
    "level": (
        (10, "TRACE"), (20, "DEBUG"), (30, "INFO"), (40, "WARN"), (50, "ERROR"), (60, "FATAL"),
        (100, "DEBUG"), (200, "INFO"), (250, "NOTICE"), (300, "WARN"), (400, "ERROR"),
        (500, "FATAL"), (700, "INFO"), (900, "WARN"), (1000, "ERROR"), (5000, "TRACE"),
        (10_000, "DEBUG"), (20_000, "INFO"), (30_000, "WARN"), (40_000, "ERROR"), (50_000, "FATAL"),
    ),
    "syslog": (
        (0, "FATAL"), (3, "ERROR"), (4, "WARN"), (5, "NOTICE"), (6, "INFO"), (7, "DEBUG")
    ),
    "cloud": (
        (100, "DEBUG"), (200, "INFO"), (300, "NOTICE"), (400, "WARN"), (500, "ERROR"),
        (600, "FATAL"),
    ),
    "otel": (
        (1, "TRACE"), (5, "DEBUG"), (9, "INFO"), (13, "WARN"), (17, "ERROR"), (21, "FATAL")
    ),
    "python": (
        (10, "DEBUG"), (20, "INFO"), (30, "WARN"), (40, "ERROR"), (50, "FATAL")
    ),
    "dotnet": (
        (0, "TRACE"), (1, "DEBUG"), (2, "INFO"), (3, "WARN"), (4, "ERROR"), (5, "FATAL")
    ),
    "azure": ((0, "DEBUG"), (1, "INFO"), (2, "WARN"), (3, "ERROR"), (4, "FATAL")),
}  # fmt: skip
"""The least number of each level. Source: the constants of pino and bunyan (tens), Monolog
(hundreds), java.util.logging (to 1000) and log4j (beyond); RFC 5424, table 2; LogSeverity of Google
Cloud; the logs data model of OpenTelemetry; Python's logging; .NET's LogLevel; Azure's
SeverityLevel."""
ALARMING = frozenset(("ERROR", "FATAL"))
"""Levels at which a line is a sign of a fault by itself."""

_LEAST_OF_A_LOGGER = 10
_LEVEL_NUMBER = re.compile(r"\d{1,5}(?:\.0)?")
_WORD = re.compile(r"[^\W\d_]{1,16}")


def level_name(text: str) -> str:
    """The level a word stands for, `""` if it is none.

    >>> level_name("warning"), level_name("E"), level_name("hello")
    ('WARN', 'ERROR', '')
    """
    return _BY_NAME.get(text) or _BY_NAME.get(text.strip().upper(), "")


def level_value(text: str, scale: NumberScale = "level") -> str:
    """The level that the value of a field stands for: a word, what begins with one, or a number.

    >>> level_value("WARN+2"), level_value("50"), level_value("17", "otel"), level_value("null")
    ('WARN', 'ERROR', 'ERROR', '')
    """
    if not _LEVEL_NUMBER.fullmatch(text):
        word = _WORD.match(text.strip())
        return level_name(text) or (level_name(word[0]) if word else "")
    number = int(float(text))
    if number < _LEAST_OF_A_LOGGER and scale in ("level", "cloud"):
        scale = "syslog"
    reached = [name for least, name in _SCALES[scale] if number >= least]
    return reached[-1] if reached else ""
