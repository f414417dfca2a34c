"""A connection of the service: half a request is not waited for, nor read without end."""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 64 * 1024
"""Bytes of a request's line and headers. Source: as nginx (4 times 8 KiB) and more; h11 has 64."""

HEAD_S = 10.0
"""Seconds from the first byte of a connection or request to the end of its headers. Source: nginx
waits 60 s (`client_header_timeout`), Apache's mod_reqtimeout 20 s; our senders are machines."""


TAKE_S = 30.0
"""Seconds in which a reader takes what waits for it, 48 KiB, or is dropped. Source: nginx waits
60 s between two reads (`send_timeout`); a live page comes back by itself."""


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's protocol, which itself waits for ever for the end of a request's headers, and for
    a reader that takes nothing of its answer.

    Bodies have their limits behind it, in `body`.
    """

    head_s, take_s = HEAD_S, TAKE_S
    _waiting: TimerHandle | None = None
    _untaken: TimerHandle | None = None
    _read = 0
    _in_head = True

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        self._stop_untaken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before the headers have ended."""
        if self._in_head:
            self._read += len(data)
            if self._waiting is None:
                self._expect_head()
        super().data_received(data)
        if self._in_head and self._read > MOST_HEAD:
            self._refuse(431, "the request's headers are too large")

    def on_message_begin(self) -> None:
        """A request begins; of what came with it no more is counted than the rest of its head."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head is whole: from here on others wait."""
        self._in_head, self._read = False, 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next request of the connection begins with a head again."""
        super().on_message_complete()
        self._in_head = True

    def pause_writing(self) -> None:
        """The reader is behind: wait for it, but not for ever."""
        super().pause_writing()
        self._untaken = self.loop.call_later(self.take_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The reader goes on."""
        self._stop_untaken()
        super().resume_writing()

    def _stop_untaken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def _expect_head(self) -> None:
        self._waiting = self.loop.call_later(self.head_s, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_slow(self) -> None:
        self._waiting = None
        self._refuse(408, "the request did not come in time")

    def _refuse(self, status: int, problem: str) -> None:
        """Say so, where nothing else is being said, and close."""
        answering = bool(self.cycle) and not self.cycle.response_complete
        if self.transport.is_closing() or answering or not self._read:
            self.transport.close()
            return
        said = problem.encode()
        head = f"HTTP/1.1 {status} \r\nconnection: close\r\ncontent-length: {len(said)}\r\n\r\n"
        self.transport.write(head.encode() + said)
        self.transport.close()
