"""Open alerts fetched now and then: a webhook lost, or sent while we were down, is no loss.

What was delivered already is recognised by its identity and counts once. The silences come with
them: what people asked not to be told of, our own watch must not tell them either.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from copilot.ports import AlertSource, SilenceSource, SourceError
from copilot.sources.alertmanager import SUPPRESSED_BY
from copilot.store import StoreError
from copilot.surfaces.service.ports import ServiceEngine
from tools.types import Window

log = logging.getLogger(__name__)

LOOKBACK_S = 86_400.0
"""What has been firing for longer is no incident of today."""

STOP_S = 10.0


class Pager(AlertSource, SilenceSource, Protocol):
    """Who knows what fires, and what nobody wants to hear of."""


@contextmanager
def pulled(engine: ServiceEngine, source: Pager | None, every_s: float) -> Iterator[None]:
    """While inside, what `source` holds open is accepted every so often; None: nothing happens."""
    if source is None:
        yield
        return
    stopping = threading.Event()

    def loop() -> None:
        complaint = ""
        while not stopping.is_set():
            complaint = _once(engine, source, complaint)
            stopping.wait(every_s)

    thread = threading.Thread(target=loop, name="pull alerts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(STOP_S)


def _once(engine: ServiceEngine, source: Pager, complaint: str) -> str:
    """Fetch and accept; returns what went wrong, which is logged once and not every minute."""
    now = engine.now()
    try:
        engine.silence(source.silences())
        held = source.alerts(Window(start=now - LOOKBACK_S, end=now))
        alerts = [alert for alert in held if SUPPRESSED_BY not in alert.annotations]
        if alerts:
            engine.accept(alerts, now)
    except (SourceError, StoreError) as error:
        if str(error) != complaint:
            log.warning("open alerts could not be fetched: %s", error)
        return str(error)
    return ""
