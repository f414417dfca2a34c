"""Read annotated logs: a folder per system with the raw lines and a table of their templates."""

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evals.logs.score import normalise


@dataclass(frozen=True, slots=True)
class AnnotatedLog:
    """The lines of one system: as logged, without their header, and their true templates."""

    system: str
    raw: tuple[str, ...]
    contents: tuple[str, ...]
    truth: tuple[str, ...]


def read_logs(folder: Path) -> Iterator[AnnotatedLog]:
    """Every system under a folder (or under its `logs/`), by name.

    A system is a folder with `*structured*.csv[.gz]` (columns Content, EventTemplate) and the raw
    `*.log[.gz]`.
    """
    root = folder / "logs" if (folder / "logs").is_dir() else folder
    for system in sorted(path for path in root.iterdir() if path.is_dir()):
        table = _only(system, "*structured*.csv*")
        raw = _only(system, "*.log") or _only(system, "*.log.gz")
        if table is not None and raw is not None:
            yield _read(system.name, table, raw)


def _only(folder: Path, pattern: str) -> Path | None:
    return next(iter(sorted(folder.glob(pattern))), None)


def _read(system: str, table: Path, raw: Path) -> AnnotatedLog:
    rows = list(csv.DictReader(io.StringIO(_text(table), newline="")))
    missing = {"Content", "EventTemplate"} - set(rows[0] if rows else ())
    if missing:
        raise SystemExit(f"{str(table)!r} lacks the columns {sorted(missing)!r}")
    lines = _text(raw).replace("\r\n", "\n").removesuffix("\n").split("\n")
    if len(lines) != len(rows):
        raise SystemExit(f"{str(raw)!r} has {len(lines)} lines, {str(table)!r} {len(rows)} rows")
    return AnnotatedLog(
        system=system,
        raw=tuple(lines),
        contents=tuple(row["Content"] for row in rows),
        truth=tuple(normalise(row["EventTemplate"]) for row in rows),
    )


def _text(path: Path) -> str:
    stored = path.read_bytes()
    return (gzip.decompress(stored) if path.suffix == ".gz" else stored).decode("utf-8", "replace")
