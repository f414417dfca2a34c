"""The picture of an incident's deciding series, drawn beside what sends: no message waits for it
longer than a moment, and what comes too late stands in the next one.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from copilot.ports import NoticeError
from tools.log_retriever.sanitize import plain

log = logging.getLogger(__name__)

WAIT_S = 2.0
"""How long a message waits for its picture."""

KEPT_S, MOST_KEPT = 60.0, 32
"""How old a picture may be, and of how many incidents one is kept."""

DrawnOf = Callable[[str], bytes]
"""The PNG of an incident; empty where there is nothing to draw."""


def no_picture(incident_id: str) -> bytes:
    """What is shown where nothing can be drawn."""
    return b""


@contextmanager
def unshown(target: str) -> Iterator[None]:
    """Inside, a picture that is not taken is said in the log; the message itself has arrived."""
    try:
        yield
    except NoticeError as error:
        log.warning("%s takes no picture: %s", target, plain(error.problem, 200))


class PictureShelf:
    """Draws one picture at a time, for all targets."""

    def __init__(self, drawn: DrawnOf, wait_s: float = WAIT_S) -> None:
        self._drawn, self._wait_s = drawn, wait_s
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._lock, self._free = threading.Lock(), threading.Lock()

    def take(self, incident_id: str) -> bytes:
        """The picture, an older one where it takes long; empty where there is none."""
        at, known = self._kept.get(incident_id, (float("-inf"), b""))
        if time.monotonic() - at <= KEPT_S:
            return known
        done = threading.Event()
        threading.Thread(target=self._draw, args=(incident_id, done), daemon=True).start()
        done.wait(self._wait_s)
        return self._kept.get(incident_id, (at, known))[1]

    def _draw(self, incident_id: str, done: threading.Event) -> None:
        if not self._free.acquire(blocking=False):
            return  # another one is drawn; its source may hang
        try:
            picture = self._drawn(incident_id)
            with self._lock:
                others = [one for one in self._kept.items() if one[0] != incident_id]
                kept = {incident_id: (time.monotonic(), picture)}
                self._kept = {**dict(others[1 - MOST_KEPT :]), **kept}
        except Exception as error:  # noqa: BLE001 - a message goes out without its picture
            log.warning("no picture of incident %s: %s", incident_id, type(error).__name__)
        finally:
            self._free.release()
            done.set()
