"""Business metrics by attribute: rows of a moment, attributes, a value and perhaps a count."""

import csv
import gzip
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from copilot.ports import SourceError
from tools.slice_finder import MetricCube, SliceError
from tools.types import FrozenModel, Timestamp

MOST_ROWS, MOST_BYTES = 2_000_000, 512 * 1024 * 1024
"""Of one table, unpacked: 700 leaves of two days by the minute."""

GZIP = b"\x1f\x8b"
TIMES = ("time", "timestamp", "minute", "min", "ts", "at", "date", "datetime")
VALUES = ("value",)
COUNTS = ("count", "cnt", "total")
MILLISECONDS_FROM = 1e11
"""Numbers from here on are milliseconds: as seconds they lie past the year 5000."""

_LONGEST = 200
"""Characters of one attribute."""


class MetricColumns(FrozenModel):
    """Which columns of a table mean what; empty: known by their usual names, the rest dimensions.

    Without a count the value adds up over leaves, with one the metric is value / count.
    """

    time: str = ""
    value: str = ""
    count: str = ""
    dimensions: tuple[str, ...] = ()


def read_csv(path: Path, columns: MetricColumns | None = None) -> MetricCube:
    """Read a CSV file with a header, packed by gzip or not; raises SourceError."""
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == GZIP
            unpacked = gzip.GzipFile(fileobj=raw) if packed else raw
            text = io.TextIOWrapper(
                io.BufferedReader(_Bounded(unpacked)), encoding="utf-8-sig", newline=""
            )
            rows = csv.reader(text)
            header = next(rows, [])
            return cube(str(path), header, rows, columns)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise _wrong(str(path), f"cannot be read as CSV in UTF-8: {error}") from error


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where it is longer than a table may be."""

    def __init__(self, raw: IO[bytes] | gzip.GzipFile) -> None:
        self._raw, self._left = raw, MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        read = self._raw.read(len(buffer))
        self._left -= len(read)
        if self._left < 0:
            raise OSError(f"more than {MOST_BYTES // 2**20} MB; take fewer rows or dimensions")
        buffer[: len(read)] = read
        return len(read)


def cube(
    source: str,
    header: Sequence[str],
    rows: Iterator[Sequence[object]],
    columns: MetricColumns | None = None,
) -> MetricCube:
    """Lay out rows under a header; raises SourceError naming `source` and the row."""
    places = _Places.of(source, header, columns or MetricColumns())
    try:
        return MetricCube.of_rows(places.dimensions, places.read(rows))
    except SliceError as error:
        raise _wrong(source, str(error)) from error


class _Places:
    """Where in a row each part stands."""

    def __init__(self, source: str, header: Sequence[str], found: Mapping[str, str]) -> None:
        self._source = source
        self._at = {name: place for place, name in enumerate(header)}
        self._time, self._value = self._at[found["time"]], self._at[found["value"]]
        self._count = self._at.get(found["count"])
        self.dimensions: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: str, header: Sequence[str], columns: MetricColumns) -> "_Places":
        known = [name.strip() for name in header]
        if len(set(known)) != len(known):
            raise _wrong(source, f"columns {known} are not all of another name")
        found = {
            "time": _column(source, known, columns.time, "time", TIMES),
            "value": _column(source, known, columns.value, "value", VALUES),
            "count": columns.count or next((n for n in known if n.lower() in COUNTS), ""),
        }
        missing = [n for n in (found["count"], *columns.dimensions) if n and n not in known]
        if missing:
            raise _wrong(source, f"has no column {missing[0]!r}; it has {', '.join(known)}")
        places = cls(source, known, found)
        rest = tuple(name for name in known if name not in found.values())
        places.dimensions = columns.dimensions or rest
        if not places.dimensions:
            raise _wrong(source, "has no column of an attribute beside time, value and count")
        return places

    def read(
        self, rows: Iterator[Sequence[object]]
    ) -> Iterator[tuple[Timestamp, tuple[str, ...], float, float | None]]:
        attributes = [self._at[name] for name in self.dimensions]
        for number, row in enumerate(rows, start=2):
            if not row:
                continue
            if number > MOST_ROWS:
                raise _wrong(self._source, f"has more than {MOST_ROWS} rows; take fewer minutes")
            try:
                count = None if self._count is None else _figure(row[self._count])
                leaf = tuple(
                    "" if row[at] is None else str(row[at])[:_LONGEST] for at in attributes
                )
                yield moment(row[self._time]), leaf, _figure(row[self._value]), count
            except (IndexError, ValueError, OverflowError) as error:
                raise _wrong(self._source, f"row {number}: {error}") from error


def _column(source: str, known: Sequence[str], given: str, what: str, usual: Sequence[str]) -> str:
    if given in known:
        return given
    found = next((name for name in known if name.lower() in usual), "") if not given else ""
    if not found:
        wanted = repr(given) if given else f"of {what} ({', '.join(usual)})"
        raise _wrong(
            source,
            f"has no column {wanted}; it has {', '.join(known) or 'none'}: say which by --{what}",
        )
    return found


def moment(given: object) -> Timestamp:
    """A moment as seconds: Unix seconds or milliseconds, a datetime, or ISO 8601 (UTC if bare)."""
    if isinstance(given, datetime):
        found = given
    else:
        text = str(given).strip()
        try:
            number = float(text)
        except ValueError:
            found = datetime.fromisoformat(text)
        else:
            if not math.isfinite(number):
                raise ValueError(f"{text!r} is no moment")
            return number / 1000.0 if abs(number) >= MILLISECONDS_FROM else number
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _figure(given: object) -> float:
    number = 0.0 if given in ("", None) else float(str(given))
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{given!r} is no amount: it must be finite and not negative")
    return number


def _wrong(source: str, problem: str) -> SourceError:
    return SourceError(source, problem, recoverable=False)
