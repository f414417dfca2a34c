"""Traces: W3C trace context in, spans out as OTLP in JSON."""

import json
import secrets
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

_KEPT = 4000
SAMPLED = 0.25
"""Share of the traces that are recorded; the front door decides."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where a request stands in its trace."""

    trace: str
    parent: str
    sampled: bool
    span: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def read(cls, header: str, chance: float) -> "Context":
        """From a `traceparent` header; a new trace where there is none."""
        parts = header.split("-")
        if len(parts) == 4 and len(parts[1]) == 32 and len(parts[2]) == 16:
            return cls(parts[1], parts[2], parts[3] == "01")
        return cls(secrets.token_hex(16), "", chance < SAMPLED)

    def header(self) -> str:
        """The `traceparent` of a call made from here."""
        return f"00-{self.trace}-{self.span}-{'01' if self.sampled else '00'}"

    def child(self) -> "Context":
        """The span of a call made from here."""
        return Context(self.trace, self.span, self.sampled)


class Tracer:
    """Keeps finished spans until they are written."""

    def __init__(self, path: Path, service: str, instance: str, version: str) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._pending: deque[dict[str, object]] = deque(maxlen=_KEPT)
        named = {
            "service.name": service,
            "service.instance.id": instance,
            "service.version": version,
        }
        self.resource = {"attributes": [_attribute(k, v) for k, v in named.items()]}

    def add(
        self,
        context: Context,
        name: str,
        kind: int,
        started: float,
        seconds: float,
        *,
        status: str,
        peer: str = "",
    ) -> None:
        """A span that is over; `kind` is OTLP's: 2 server, 3 client."""
        if not context.sampled:
            return
        failed = not status.isdigit() or int(status) >= 500
        attributes = [_attribute("http.response.status_code", status)]
        if peer:
            attributes.append(_attribute("peer.service", peer))
        self._pending.append(
            {
                "traceId": context.trace,
                "spanId": context.span,
                "parentSpanId": context.parent,
                "name": name,
                "kind": kind,
                "startTimeUnixNano": str(int(started * 1e9)),
                "endTimeUnixNano": str(int((started + seconds) * 1e9)),
                "attributes": attributes,
                "status": {"code": 2 if failed else 1},
            }
        )

    def taken(self) -> dict[str, object] | None:
        """What is pending as one export, also written to the file; None where nothing is."""
        if not self._pending:
            return None
        scope = {"scope": {"name": "shop"}, "spans": list(self._pending)}
        self._pending.clear()
        export: dict[str, object] = {
            "resourceSpans": [{"resource": self.resource, "scopeSpans": [scope]}]
        }
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", buffering=1, encoding="utf-8")
        self._file.write(json.dumps(export) + "\n")
        return export


def _attribute(name: str, value: str) -> dict[str, object]:
    return {"key": name, "value": {"stringValue": value}}
