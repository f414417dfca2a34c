"""Changes: what was deployed, configured and scaled, kept and told to a webhook."""

import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from typing import Literal

LabChangeKind = Literal["deploy", "config", "scale", "flag", "infrastructure", "other"]
_KEPT = 500


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """One change, in the words of the copilot's own `Change`."""

    at: float
    service: str
    kind: LabChangeKind
    from_version: str = ""
    to_version: str = ""
    summary: str = ""


class ChangeLog:
    """Remembers changes; each is also posted where somebody wants to hear of it."""

    def __init__(self, webhook: str) -> None:
        self._webhook = webhook
        self._events: list[ChangeEvent] = []

    def add(
        self, service: str, kind: LabChangeKind, before: object, after: object, summary: str
    ) -> None:
        """Something was changed just now."""
        event = ChangeEvent(time.time(), service, kind, str(before), str(after), summary)
        self._events = [*self._events, event][-_KEPT:]
        if self._webhook:
            # A listener that is slow or away must not hold the change up.
            threading.Thread(target=self._post, args=(event,), daemon=True).start()

    def since(self, moment: float) -> list[dict[str, object]]:
        """The changes after a moment, in order."""
        return [asdict(event) for event in self._events if event.at >= moment]

    def _post(self, event: ChangeEvent) -> None:
        request = urllib.request.Request(
            self._webhook, json.dumps(asdict(event)).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=3.0):
                pass
        except (urllib.error.URLError, OSError):
            # Who asks later finds it under GET /changes.
            return
