"""The CSV tables of a bundle, read column by column into series; what is wrong with a bundle."""

import csv
import gzip
import io
import os
import stat
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from copilot.ports import SourceError
from tools.types import FloatArray, Series, Span


class BundleError(SourceError):
    """A bundle's file is missing or malformed: which file, what was wrong, what to do."""

    def __init__(self, path: Path, problem: str, advice: str) -> None:
        super().__init__(str(path), f"{problem}; {advice}", recoverable=False)
        self.path = path
        self.advice = advice


_UNITS = {"ms": "ms", "s": "s", "us": "us", "pct": "%", "bytes": "bytes"}
_EDGE_KEY = ["ts", "caller", "callee"]
_SPAN_COLUMNS = ["ts", "trace", "span", "parent", "service", "op", "dur_us"]


MOST_PACKED = 64 * 2**20
MOST_UNPACKED = 256 * 2**20
MOST_ROWS = 2_000_000
"""Bytes and lines of one file of a bundle: a day of 500 series every 15 s is 60 MiB of them."""


def text_of(path: Path) -> str:
    """The whole file, unpacked if its name ends in `.gz`; raises `BundleError`.

    It has to be a file, in its folder and of bounded size: whoever made a bundle may have put a
    link, a device or a bomb into it.
    """
    try:
        if not path.resolve().is_relative_to(path.parent.resolve()):
            raise BundleError(path, "is a link out of the bundle", "put the file itself there")
        # Not waiting for a writer, as opening a FIFO would.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BundleError(path, "is no file", "put a regular file there")
            packed = _bounded(path, file, MOST_PACKED)
        if path.suffix == ".gz":
            packed = _bounded(path, gzip.GzipFile(fileobj=io.BytesIO(packed)), MOST_UNPACKED)
        text = packed.decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BundleError(path, f"cannot be read: {error}", "fetch the bundle again") from error
    if text.count("\n") > MOST_ROWS:
        raise BundleError(path, f"has more than {MOST_ROWS:,} lines", "cut the recording shorter")
    return text


def _bounded(path: Path, file: IO[bytes] | gzip.GzipFile, most: int) -> bytes:
    content = file.read(most + 1)
    if len(content) > most:
        raise BundleError(path, f"holds more than {most >> 20} MiB", "cut the recording shorter")
    return content


def unit_of(metric: str) -> str:
    """The unit a metric's name ends in, empty where it says none."""
    return _UNITS.get(metric.rpartition("_")[2], "")


def wide_series(path: Path) -> tuple[Series, ...]:
    """Column `ts` and one column per `owner|metric`."""
    header, rows = _rows(path)
    if header[0] != "ts":
        raise BundleError(path, f"first column is {header[0]!r}", "name it 'ts' (Unix seconds)")
    for column in header[1:]:
        if "|" not in column:
            raise BundleError(path, f"column {column!r} has no owner", "name it 'owner|metric'")
    if not rows:
        return ()
    table = _sorted(path, _numbers(path, rows, len(header)))
    columns = np.ascontiguousarray(table.T)
    return tuple(
        _series(column, columns[0], values)
        for column, values in zip(header[1:], columns[1:], strict=True)
    )


def _series(column: str, times: FloatArray, values: FloatArray) -> Series:
    owner, _, metric = column.rpartition("|")
    return Series(owner, metric, times, values, unit_of(metric))


def edge_series(path: Path) -> tuple[Series, ...]:
    """Columns `ts, caller, callee` and one per measure; the owner becomes `caller->callee`."""
    header, rows = _rows(path)
    if header[:3] != _EDGE_KEY:
        raise BundleError(path, f"columns begin {header[:3]!r}", f"begin with {_EDGE_KEY!r}")
    by_edge: dict[str, list[list[str]]] = defaultdict(list)
    for row in rows:
        if len(row) != len(header):
            raise BundleError(path, f"row {row!r} has {len(row)} cells", f"give {len(header)}")
        by_edge[f"{row[1]}->{row[2]}"].append([row[0], *row[3:]])
    found: list[Series] = []
    for owner, cells in by_edge.items():
        columns = np.ascontiguousarray(_sorted(path, _numbers(path, cells, len(header) - 2)).T)
        found.extend(
            Series(owner, metric, columns[0], values, unit_of(metric))
            for metric, values in zip(header[3:], columns[1:], strict=True)
        )
    return tuple(found)


def spans(path: Path) -> tuple[Span, ...]:
    """One span a row, duration in microseconds; parent 0 or empty is the root; ascending."""
    header, rows = _rows(path)
    if header[:7] != _SPAN_COLUMNS:
        raise BundleError(path, f"columns are {header!r}", f"begin with {_SPAN_COLUMNS!r}")
    status = header.index("error") if "error" in header else None
    try:
        found = [
            Span(
                at=float(row[0]),
                trace=row[1],
                span=row[2],
                parent="" if row[3] == "0" else row[3],
                service=row[4],
                operation=row[5],
                seconds=float(row[6]) / 1e6,
                error=None
                if status is None or not row[status]
                else row[status] in ("1", "true", "True"),
            )
            for row in rows
        ]
    except (ValueError, IndexError) as error:
        raise BundleError(path, f"a span row: {error}", f"give {_SPAN_COLUMNS!r}") from error
    found.sort(key=lambda span: span.at)
    return tuple(found)


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    text = text_of(path)
    if '"' in text:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    else:
        rows = [line.split(",") for line in text.splitlines() if line]
    if not rows:
        raise BundleError(path, "is empty", "a table needs at least its header line")
    return rows[0], rows[1:]


def _numbers(path: Path, rows: Sequence[Sequence[str]], width: int) -> FloatArray:
    try:
        flat = [float(cell) if cell else np.nan for row in rows for cell in row]
    except ValueError as error:
        raise BundleError(path, str(error), "write numbers; leave a missing cell empty") from error
    if any(len(row) != width for row in rows):
        raise BundleError(path, "rows of different length", f"give every row {width} cells")
    return np.asarray(flat, dtype=np.float64).reshape(len(rows), width)


def _sorted(path: Path, table: FloatArray) -> FloatArray:
    if not np.isfinite(table[:, 0]).all():
        raise BundleError(path, "a row has no time", "fill column ts with Unix seconds")
    return table[np.argsort(table[:, 0], kind="stable")]
