"""Journal: the log of an instance, as JSON or as plain text, in its file and to a collector."""

import json
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from evals.lab.blueprint import LogFormat

Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]
_SEVERITY = {"DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17}
_KEPT = 2000


class InstanceLog:
    """Writes lines at once; what a collector is to have waits in `pending`."""

    def __init__(self, path: Path, form: LogFormat, service: str, collected: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self._form = form
        self._service = service
        self._collected = collected
        self.pending: deque[dict[str, object]] = deque(maxlen=_KEPT)

    def write(self, at: float, level: Level, message: str, trace: str = "") -> None:
        """One line."""
        moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        if self._form == "json":
            row = {"ts": moment, "level": level, "service": self._service, "msg": message}
            line = json.dumps(row | ({"trace_id": trace} if trace else {}))
        else:
            line = f"{moment} {level:<5} {message}" + (f" trace={trace}" if trace else "")
        self._file.write(line + "\n")
        if self._collected:
            self.pending.append(_record(at, level, message, trace))

    def taken(self) -> list[dict[str, object]]:
        """What waits for the collector, handed over."""
        found = list(self.pending)
        self.pending.clear()
        return found


def _record(at: float, level: Level, message: str, trace: str) -> dict[str, object]:
    record: dict[str, object] = {
        "timeUnixNano": str(int(at * 1e9)),
        "severityNumber": _SEVERITY[level],
        "severityText": level,
        "body": {"stringValue": message},
    }
    return record | ({"traceId": trace} if trace else {})
