"""Lines: connections that we hold open to platforms which cannot reach us."""

import logging
import socket
import threading
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from copilot.ports import NoticeError
from copilot.surfaces.notify.channel_http import MOST_BYTES, TIMEOUT_S, trusted
from copilot.surfaces.notify.doors import AnsweringDesk, ChannelLine, ForgedError

log = logging.getLogger(__name__)

LISTEN_S = 1.0
"""How long it is listened at once; a service that stops waits for no longer."""

PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Before a line is opened again: doubled each time up to the longest."""


class LineHolder:
    """Holds one target's line open, and has answered what comes over it."""

    def __init__(self, target: str, line: ChannelLine, desk: AnsweringDesk) -> None:
        self._target, self._line, self._desk = target, line, desk
        self._open: ClientConnection | None = None
        self._closing = ExitStack()
        self._pause_s, self._rests_until = PAUSE_S, 0.0

    def work(self) -> None:
        """Connect where it is not connected, and answer what comes within a moment."""
        if time.monotonic() < self._rests_until:
            time.sleep(LISTEN_S)
            return
        try:
            if self._open is None:
                self._open = _connected(self._line.address(), self._closing)
            if (beat := self._line.beat()) is not None:
                self._open.send(beat)
            if not self._took(self._open, self._open.recv(timeout=LISTEN_S)):
                self.close()
            self._pause_s = PAUSE_S
        except TimeoutError:
            if self._open is not None:  # it was quiet
                self._pause_s = PAUSE_S
                return
            self._rest("it does not answer")
        except NoticeError as error:
            self._rest(error.problem)
        except (WebSocketException, OSError, ValueError) as error:
            self._rest(type(error).__name__)  # its text may hold the address, which opens the line

    def _rest(self, problem: str) -> None:
        self.close()
        log.warning(
            "the line of target %r is down (%s); again in %.0f s",
            self._target, problem, self._pause_s,
        )  # fmt: skip
        self._rests_until = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _took(self, connection: ClientConnection, frame: str | bytes) -> bool:
        """Whether more is to come over this connection."""
        try:
            message = self._line.heard(frame)
        except ForgedError as error:
            self._passed_over(error)
            return True
        try:
            answer, later = self._desk.answered(message.arrival)
        except ForgedError as error:  # what came before is received all the same, or comes again
            self._passed_over(error)
            answer, later = self._desk.door.empty, None
        if message.receipt is not None:
            connection.send(message.receipt(answer))
        if later is not None:
            threading.Thread(target=later, daemon=True).start()
        return not message.last

    def _passed_over(self, error: ForgedError) -> None:
        log.warning("target %r: a frame of its line is passed over: %s", self._target, error)

    def close(self) -> None:
        """End the connection."""
        self._open = None
        self._closing.close()


def _connected(address: str, closing: ExitStack) -> ClientConnection:
    parts = urlsplit(address)
    secure = parts.scheme == "wss"
    place = (parts.hostname or "", parts.port or (443 if secure else 80))
    # Over a socket of ours it follows no redirect, which may lead to a host nobody declared.
    ours = closing.enter_context(socket.create_connection(place, TIMEOUT_S))
    line = connect(
        address,
        sock=ours,
        ssl=trusted() if secure else None,
        proxy=None,
        open_timeout=TIMEOUT_S,
        close_timeout=1.0,
        max_size=MOST_BYTES,
    )
    return closing.enter_context(line)
