"""Which incidents are shown with picture and brief, and the picture of one from its recording."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from copilot.sources.recorded import BundleError, RecordedBundle
from copilot.types.errors import install
from evals.localization.calibration import CalibrationScore, calibration
from evals.localization.cases import RECORDINGS
from evals.page import drawing
from evals.page.outcomes import CaseRow, figure, text
from evals.report import Result
from tools.log_retriever import sanitize
from tools.types import FloatArray, Timestamp, Window

SUITES = ("incidents", "demo", "reasoning")
"""Whose cases are incidents with a recording."""

WRONG, RIGHT = 60, 24
"""At most so many incidents with their pictures: the wrong ones first."""

BEFORE_S, AFTER_S = 2400.0, 1500.0
TRACKS = 6
"""Series in one file."""

LARGEST = 40_000
"""Characters of one picture; in a larger one fewer series are drawn."""


def selected(result: Result) -> tuple[list[CaseRow], int]:
    """The incidents to show, and how many are left out."""
    rows = list(result.cases)
    wrong = [row for row in rows if (figure(row.get("ac1")) or 0.0) < 1.0]
    right = [row for row in rows if (figure(row.get("ac1")) or 0.0) >= 1.0]
    shown = [*wrong[:WRONG], *_spread(right, RIGHT)]
    return shown, len(rows) - len(shown)


def _spread(rows: Sequence[CaseRow], count: int) -> list[CaseRow]:
    """Evenly over the list, so that every system is there."""
    if len(rows) <= count:
        return list(rows)
    return [rows[int(at)] for at in np.linspace(0, len(rows) - 1, count)]


def bundle_of(result: Result, row: CaseRow) -> RecordedBundle | None:
    """The recording of a case, where it can still be read."""
    data = RECORDINGS if result.data == "shipped" else Path(result.data)
    try:
        return RecordedBundle(data / "incidents" / text(row.get("id")))
    except (BundleError, OSError):
        return None


def picture(result: Result, row: CaseRow, name: str) -> str:
    """The series the located cause rests on, around the onset; empty where none is recorded."""
    bundle, onset = bundle_of(result, row), figure(row.get("onset"))
    if bundle is None or onset is None:
        return ""
    try:
        series = _series(bundle, row, onset)
        alerts = [one.starts_at for one in bundle.alerts(bundle.window)]
    except BundleError:
        return ""
    if not series:
        return ""
    injected = figure(row.get("injected"))
    title = f"Incident {text(row.get('id'))}: series around the onset"
    for count in range(len(series), 0, -1):
        drawn = drawing.incident(series[:count], onset, injected, alerts, name, title)
        if len(drawn) <= LARGEST:
            return drawn
    return ""


def _role(row: CaseRow, owner: str) -> str:
    """Whether a series belongs to the located component or to the true cause."""
    candidates = row.get("candidates")
    first = candidates[0] if isinstance(candidates, list | tuple) and candidates else None
    located = text(first.get("component")) if isinstance(first, dict) else ""
    cause = text(row.get("root_cause"))
    if owner == located:
        return " ◀ located"
    return " ◀ true cause" if owner == cause else ""


def _series(
    bundle: RecordedBundle, row: CaseRow, onset: Timestamp
) -> list[tuple[str, FloatArray, FloatArray]]:
    drawn = row.get("drawn")
    wanted = [text(one) for one in drawn] if isinstance(drawn, list | tuple) else []
    window = Window(start=onset - BEFORE_S, end=onset + AFTER_S)
    recorded = {one.name: one for one in bundle.series(window)}
    found = []
    for name in wanted:
        one = recorded.get(name)
        if one is not None and np.isfinite(one.values).sum() > 1:
            label = f"{one.owner} {one.metric}" + (f" [{one.unit}]" if one.unit else "")
            shown = sanitize(label, 44) + _role(row, one.owner)
            found.append((shown, one.times, one.values))
    return found


def save(result: Result, folder: Path) -> None:
    """The picture of every incident worth a look as a file of its own, in the light colours."""
    _needs_matplotlib()
    with drawing.styled():
        for number, row in enumerate(selected(result)[0]):
            drawn = picture(result, row, f"one-{number}")
            if drawn:
                _write(drawn, folder, f"{result.suite}_{text(row.get('id'))}")


def save_tracks(
    suite: str, shown: Sequence[drawing.Track], label: str, folder: Path, title: str
) -> None:
    """These series, a few to a file."""
    _needs_matplotlib()
    with drawing.styled():
        for number, first in enumerate(range(0, len(shown), TRACKS), start=1):
            page = shown[first : first + TRACKS]
            drawn = drawing.tracks(page, label, f"{suite}-{number}", title)
            _write(drawn, folder, f"{suite}-{number}")


def save_bars(
    suite: str, figures: Mapping[str, Mapping[str, float]], label: str, folder: Path, title: str
) -> None:
    """A bar for each row and method, in one file."""
    _needs_matplotlib()
    with drawing.styled():
        _write(drawing.bars(figures, label, suite, title), folder, suite)


def save_reliability(result: Result, folder: Path) -> None:
    """What was said against what came true, in one file."""
    _needs_matplotlib()
    with drawing.styled():
        drawn = drawing.reliability([(result.arm, stated(result))], f"reliability-{result.suite}")
        _write(drawn, folder, f"reliability-{result.suite}")


def stated(result: Result) -> CalibrationScore:
    """The probability of the first candidate of each case, held against the truth."""
    pairs = []
    for row in result.cases:
        ranked = row.get("candidates")
        first = ranked[0] if isinstance(ranked, list | tuple) and ranked else None
        said = figure(first.get("probability")) if isinstance(first, dict) else None
        true = figure(row.get("ac1"))
        if said is not None and true is not None:
            pairs.append((min(max(said, 0.0), 1.0), true))
    return calibration(pairs)


def _needs_matplotlib() -> None:
    if not drawing.available():
        raise SystemExit(f"--plot needs matplotlib: {install('plots')}")


@contextmanager
def drawn_into(folder: Path) -> Iterator[Callable[[str, str], None]]:
    """Inside it a suite draws a picture of its own, and writes it by name."""
    _needs_matplotlib()
    with drawing.styled():
        yield lambda name, drawn: _write(drawn, folder, name)


def _write(drawn: str, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:100]}.svg"
    target.write_text(drawing.alone(drawn), encoding="utf-8")
