"""Readers of labelled metric series: NAB files, KPI curves, multivariate machines."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.types import FloatArray

LabelArray = NDArray[np.bool_]


class MetricDataError(Exception):
    """The folder given does not hold what the suite needs."""


@dataclass(frozen=True)
class NabFile:
    """One file of the corpus; windows are inclusive index pairs."""

    name: str
    times: FloatArray
    values: FloatArray
    windows: tuple[tuple[int, int], ...]
    reference: dict[str, FloatArray]


@dataclass(frozen=True)
class KpiCurve:
    """One curve with a label for each point."""

    name: str
    times: FloatArray
    values: FloatArray
    labels: LabelArray


@dataclass(frozen=True)
class Machine:
    """A fault-free stretch to learn from and a labelled one; rows x dimensions."""

    name: str
    train: FloatArray
    test: FloatArray
    labels: LabelArray
    interpretation: str


def folder(data: Path | None, kind: str) -> Path:
    """The folder `metrics/<kind>` of a data set; says what is missing."""
    if data is None:
        raise MetricDataError(f"needs --data DIR with metrics/{kind}/ in it")
    place = data / "metrics" / kind
    if not place.is_dir():
        raise MetricDataError(f"{str(place)!r} does not exist; --data is the folder above metrics/")
    return place


def _rows(path: Path) -> list[list[str]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    return list(csv.reader(io.StringIO(text)))[1:]


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def nab(place: Path, limit: int | None) -> Iterator[NabFile]:
    """The files of the corpus that have an entry in `combined_windows.json`."""
    listing = place / "combined_windows.json"
    if not listing.is_file():
        raise MetricDataError(f"{str(listing)!r} is missing: without it there is no truth to score")
    windows: dict[str, list[list[str]]] = json.loads(listing.read_text(encoding="utf-8"))
    present = [(name, path) for name in sorted(windows) if (path := _path(place, name))]
    for name, path in present[:limit]:
        rows = _rows(path)
        times = np.array([_moment(row[0]) for row in rows])
        values = np.array([float(row[1]) for row in rows])
        spans = tuple(
            (_index(times, _moment(first)), _index(times, _moment(last)))
            for first, last in windows[name]
        )
        yield NabFile(name, times, values, spans, _reference(place, name))


def _path(place: Path, name: str) -> Path | None:
    """The file, packed or not."""
    return next((p for p in (place / f"{name}.gz", place / name) if p.is_file()), None)


def _index(times: FloatArray, moment: float) -> int:
    """The row a window's end names (the first with that time, or the next one)."""
    exact = np.flatnonzero(times == moment)
    return int(exact[0]) if len(exact) else int(np.searchsorted(times, moment))


def _reference(place: Path, name: str) -> dict[str, FloatArray]:
    """Per-point scores of published detectors, where they are supplied."""
    found = {}
    for detector in sorted((place / "reference_scores").glob("*/")):
        path = _path(detector, name)
        if path is not None:
            found[detector.name] = np.array([float(row[1]) for row in _rows(path)])
    return found


def kpi(place: Path, limit: int | None) -> Iterator[KpiCurve]:
    """Every `<id>.csv[.gz]` with timestamp, value and label."""
    for path in sorted(place.glob("*.csv*"))[:limit]:
        table = np.array(_rows(path), dtype=np.float64)
        table = table[np.argsort(table[:, 0], kind="stable")]
        name = path.name.split(".csv")[0]
        yield KpiCurve(name, table[:, 0], table[:, 1], table[:, 2] > 0)


def machines(place: Path, limit: int | None) -> Iterator[Machine]:
    """Every `<id>.npz` with train, test and test_label."""
    for path in sorted(place.glob("*.npz"))[:limit]:
        with np.load(path, allow_pickle=False) as held:
            yield Machine(
                path.stem,
                held["train"].astype(np.float64),
                held["test"].astype(np.float64),
                held["test_label"] > 0,
                str(held["interpretation"]) if "interpretation" in held else "",
            )
