"""A set of recorded incidents on disk: bundles are put into it whole, answers kept apart."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from copilot.sources.recorded.tables import BundleError, text_of
from copilot.sources.recorded.writer import RecordedIncident, bundle_files, json_line
from copilot.types.redaction import Redactor

_ENTRIES = frozenset(
    ("incidents", "history", "truth", "mends", "timelines", "alert_streams", "licences")
    + ("manifest.json", "FORMAT.md", "README.md")
)
_BEGUN = ".recording-"
"""How the name of a folder begins that is not whole yet; one that a kill left is removed."""


def put(
    incident: RecordedIncident,
    answer: Mapping[str, JsonValue],
    folder: Path,
    redactor: Redactor,
) -> Path:
    """Put a bundle into the set at `folder` and its answer apart from it; returns its place.

    What was recorded of it before is replaced; the same again gives the same bytes. Killed at any
    instruction, it leaves whole bundles and whole answers. Raises `BundleError` where `folder`
    holds something else or cannot be written.
    """
    check_set(folder)
    place, answers = folder / "incidents" / incident.id, folder / "truth" / "truth.jsonl"
    try:
        for parent in (place.parent, answers.parent):
            parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _held(folder):
            known = _answers(answers)
            files = bundle_files(incident, redactor)
            row: JsonValue = redactor.document(
                {"id": incident.id, "system": incident.system, **answer}
            )
            known[incident.id] = json_line(row)
            _clear(place.parent)
            _placed(place, files)
            _replaced(answers, "".join(known[name] for name in sorted(known)).encode())
    except OSError as error:
        advice = "name a folder that you may write, with room for it"
        raise BundleError(folder, f"cannot be written: {error.strerror}", advice) from error
    return place


def check_set(folder: Path) -> None:
    """Raise `BundleError` unless the folder is missing, empty or a bundle set."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BundleError(folder, "is a file", "name a folder")
    strange = sorted(one.name for one in folder.iterdir() if one.name not in _ENTRIES)
    if strange:
        problem = f"holds {strange[0]!r}, so it is no bundle set"
        raise BundleError(folder, problem, "name an empty folder or a bundle set")


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """One writer at a time: an answer that another adds meanwhile is not lost."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _answers(path: Path) -> dict[str, str]:
    """The lines of the answers by the incident each is of."""
    if not path.exists():
        return {}
    try:
        lines = [line for line in text_of(path).splitlines() if line]
        return {str(json.loads(line)["id"]): f"{line}\n" for line in lines}
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            path, "holds a line that is no answer", "one object with an id"
        ) from error


def _clear(folder: Path) -> None:
    for left in folder.glob(f"{_BEGUN}*"):
        shutil.rmtree(left, ignore_errors=True)


def _placed(place: Path, files: Mapping[str, bytes]) -> None:
    """Write aside, then move into place: a reader sees all of it or none."""
    begun = Path(tempfile.mkdtemp(prefix=_BEGUN, dir=place.parent))
    try:
        new = begun / "new"
        for name, content in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _written(path, content)
        if place.exists():
            place.rename(begun / "old")
        new.rename(place)
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def _replaced(path: Path, content: bytes) -> None:
    begun = path.with_name(f"{_BEGUN}{path.name}")
    _written(begun, content)
    begun.replace(path)


def _written(path: Path, content: bytes) -> None:
    """On disk on return, so that what is moved into place is never empty after a power cut."""
    with path.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
