"""BARO (Pham, Ha and Zhang, FSE 2024) by its authors' package, where it is installed."""

import importlib
import importlib.util
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools.types import FloatArray, Owner, Series, Telemetry, Timestamp

BaroMask = NDArray[np.bool_]
BaroColumn = tuple[str, FloatArray, FloatArray]
LEAST_BEFORE = 3


def installed() -> bool:
    """Whether `fse-baro` is there (extra `bench`)."""
    return importlib.util.find_spec("baro") is not None


def baro(seen: Telemetry, onset: Timestamp) -> dict[str, float]:
    """Minus the place of a component's first metric in the ranking of the robust scorer.

    The onset takes the place of its change point detection, as the authors do where it is known.
    """
    columns = _columns(seen, onset)
    found: dict[str, float] = {}
    for rank, name in enumerate(_ranked(columns) if columns else ()):
        owner = Owner.parse(name.partition("|")[0])
        found.setdefault(owner.service, -float(rank))
    return found


def _columns(seen: Telemetry, onset: Timestamp) -> list[BaroColumn]:
    """Own metrics of services: name, values before the onset (or the baseline's), values after."""
    past = {one.name: one for one in seen.baseline}
    columns = []
    for one in seen.series:
        if Owner.parse(one.owner).kind not in ("service", "version"):
            continue
        before = past.get(one.name)
        earlier = _finite(one, one.times < onset) if before is None else _finite(before)
        later = _finite(one, one.times >= onset)
        if len(earlier) >= LEAST_BEFORE and len(later):
            columns.append((one.name, earlier, later))
    return columns


def _finite(one: Series, where: BaroMask | None = None) -> FloatArray:
    known = np.isfinite(one.values)
    return one.values[known if where is None else known & where]


def _ranked(columns: Sequence[BaroColumn]) -> list[str]:
    """Names of the columns, worst first.

    Shorter ones repeat themselves before the onset and their last value after it: quartiles and
    the largest departure, all that the scorer looks at, stay as they were.
    """
    frames = importlib.import_module("pandas")
    scorer = importlib.import_module("baro.root_cause_analysis").robust_scorer
    before = max(len(earlier) for _, earlier, _ in columns)
    after = max(len(later) for _, _, later in columns)
    table = {"time": np.arange(float(before + after))}
    for name, earlier, later in columns:
        tail = np.pad(later, (0, after - len(later)), mode="edge")
        table[name] = np.concatenate((np.resize(earlier, before), tail))
    ranks: list[str] = scorer(frames.DataFrame(table), inject_time=float(before))["ranks"]
    return ranks
