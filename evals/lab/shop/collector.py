"""Collector: hands spans and log lines to an OTLP/HTTP receiver, where one is configured."""

import asyncio
import json
import urllib.error
import urllib.request

from evals.lab.shop.journal import InstanceLog
from evals.lab.shop.traces import Tracer

_TIMEOUT_S = 2.0


class Collector:
    """Sends what is pending; what the receiver does not take is dropped, as a real agent does."""

    def __init__(self, url: str, tracer: Tracer, journal: InstanceLog) -> None:
        self._url = url.rstrip("/")
        self._tracer = tracer
        self._journal = journal

    async def send(self) -> None:
        """Hand over what is pending."""
        export, records = self._tracer.taken(), self._journal.taken()
        if not self._url:
            return
        if export is not None:
            await asyncio.to_thread(self._post, "/v1/traces", export)
        if records:
            scope = {"scope": {"name": "shop"}, "logRecords": records}
            logs = {"resourceLogs": [{"resource": self._tracer.resource, "scopeLogs": [scope]}]}
            await asyncio.to_thread(self._post, "/v1/logs", logs)

    def _post(self, path: str, content: object) -> None:
        request = urllib.request.Request(
            self._url + path,
            json.dumps(content).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
                pass
        except (urllib.error.URLError, OSError):
            # A receiver that is away must not slow the shop down.
            return
