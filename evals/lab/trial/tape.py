"""Tape: every alert that Alertmanager held during a scenario, with its beginning and end."""

import threading
from datetime import UTC, datetime
from typing import Any

import httpx

from evals.lab.monitoring import Monitoring

_EVERY_S = 2.0


class AlertTape:
    """Asks Alertmanager every two seconds, in a thread of its own, until `stop`."""

    def __init__(self, monitoring: Monitoring) -> None:
        self._monitoring = monitoring
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._open: set[tuple[str, str]] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def rows(self, start: float, end: float) -> list[dict[str, Any]]:
        """Alerts that began between two moments, as Alertmanager posts them."""
        found = [row for row in tuple(self._rows.values()) if start <= began(row) <= end]
        return sorted(found, key=lambda row: str(row["startsAt"]))

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_S):
            try:
                held = self._monitoring.notified()
            except httpx.HTTPError:
                continue
            self._note(held)

    def _note(self, held: list[dict[str, Any]]) -> None:
        now = set()
        for alert in held:
            key = (alert["fingerprint"], alert["startsAt"])
            now.add(key)
            row = {name: alert[name] for name in _KEPT if name in alert}
            self._rows.setdefault(key, row | {"status": "firing", "endsAt": _NEVER})
        moment = datetime.now(UTC).isoformat()
        for key in self._open - now:
            self._rows[key] |= {"status": "resolved", "endsAt": moment}
        self._open = now


_KEPT = ("labels", "annotations", "startsAt", "fingerprint", "generatorURL")
_NEVER = "0001-01-01T00:00:00Z"


def began(row: dict[str, Any]) -> float:
    """When an alert began, Unix seconds."""
    return datetime.fromisoformat(row["startsAt"]).timestamp()
