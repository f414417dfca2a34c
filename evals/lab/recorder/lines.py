"""Lines: the log files of the instances, read back as log lines of their services."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from random import Random

from evals.lab.blueprint import OURS, SERVICES
from evals.lab.places import LabFolder
from tools.types import LogLine, Window

_PLAIN = re.compile(r"(?P<ts>\S+) (?P<level>[A-Z]+) +(?P<msg>.*?)(?: trace=(?P<trace>[0-9a-f]+))?")


def lines(places: LabFolder, window: Window, most: int, rng: Random) -> list[LogLine]:
    """Lines of the window in order of time; of too many the rarer levels are kept sooner."""
    found = [
        line
        for service in OURS
        for path in sorted((places.root / "logs").glob(f"{service}-*.log"))
        for line in _read(path, service)
        if line.at in window
    ]
    return sorted(_thinned(found, most, rng), key=lambda line: (line.at, line.service))


def _read(path: Path, service: str) -> Iterator[LogLine]:
    json_rows = SERVICES[service].logs == "json"
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        row = _json(text) if json_rows else _PLAIN.fullmatch(text)
        if row is not None:
            at = datetime.fromisoformat(row["ts"]).timestamp()
            yield LogLine(at, service, row["level"], row["msg"], row["trace"] or "")


def _json(text: str) -> dict[str, str] | None:
    try:
        row = json.loads(text)
        return {
            "ts": row["ts"],
            "level": row["level"],
            "msg": row["msg"],
            "trace": row.get("trace_id", ""),
        }
    except (ValueError, KeyError, TypeError):
        return None  # the last line of a killed process may be torn


def _thinned(found: Sequence[LogLine], most: int, rng: Random) -> list[LogLine]:
    """Each service and level gets the same room; who needs less leaves it to the others."""
    if len(found) <= most:
        return list(found)
    counts = Counter((line.service, line.level) for line in found)
    room, left = {}, most
    for rank, (key, count) in enumerate(sorted(counts.items(), key=lambda item: item[1])):
        room[key] = min(count, left // (len(counts) - rank))
        left -= room[key]
    shares = {key: room[key] / counts[key] for key in counts}
    return [line for line in found if rng.random() < shares[line.service, line.level]]
