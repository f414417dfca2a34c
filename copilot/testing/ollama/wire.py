"""Writing answers: whole ones, and streams in chunks that may break on purpose."""

import json
import select
import socket
import struct
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler

from copilot.testing.ollama.script import (
    ConnectionDrop,
    ErrorResponse,
    RawBytes,
    ScriptedAction,
    ScriptedPause,
)

PEEK_S = 0.02


class GoneError(Exception):
    """The client closed the connection before its answer was whole."""


class Wire(BaseHTTPRequestHandler):
    """A connection to one client."""

    protocol_version = "HTTP/1.1"
    stream_type = "application/x-ndjson"

    def stopping(self) -> bool:
        """Whether the server is about to end."""
        raise NotImplementedError

    def play(self, actions: Iterable[ScriptedAction], stream: bool) -> None:
        """Write a reply out, line by line or as one object."""
        if stream:
            self._stream(actions)
        else:
            self._whole(actions)

    def _stream(self, actions: Iterable[ScriptedAction]) -> None:
        begun = False
        for action in actions:
            match action:
                case ErrorResponse():
                    self._refuse(action)
                    return
                case ScriptedPause():
                    self._pass(action.seconds)
                case RawBytes():
                    if not begun:
                        self._begin()
                        begun = True
                    self._chunk(action.raw)
                case ConnectionDrop(reset=True):
                    self._reset()
                    return
                case ConnectionDrop():
                    break
        if not begun:
            self._begin()
        self._chunk(b"")

    def _whole(self, actions: Iterable[ScriptedAction]) -> None:
        """`stream: false`: one object, its message put together from all lines."""
        raw = b""
        for action in actions:
            match action:
                case ErrorResponse():
                    self._refuse(action)
                    return
                case ScriptedPause():
                    self._pass(action.seconds)
                case RawBytes():
                    raw += action.raw
        lines = [json.loads(line) for line in raw.splitlines() if line.startswith(b"{")]
        if failed := next((line for line in lines if "error" in line), None):
            self.json(500, failed)
            return
        said = [line["message"] for line in lines]
        message: dict[str, object] = {"role": "assistant"}
        message["content"] = "".join(one["content"] for one in said)
        if thoughts := "".join(one.get("thinking", "") for one in said):
            message["thinking"] = thoughts
        if calls := [call for one in said for call in one.get("tool_calls", [])]:
            message["tool_calls"] = calls
        self.json(200, {**lines[-1], "message": message})

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.stream_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, raw: bytes) -> None:
        if raw:
            self.still_there()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(raw), raw))
        self.wfile.flush()

    def _pass(self, seconds: float | None) -> None:
        """Let time pass, with an eye on whether the client is still there."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self.stopping():
            left = PEEK_S if until is None else min(PEEK_S, until - time.monotonic())
            if left <= 0:
                return
            self.still_there(left)
        raise GoneError

    def still_there(self, within_s: float = 0.0) -> None:
        """Raise `GoneError` where the client closed its end."""
        readable, _, _ = select.select([self.connection], [], [], within_s)
        if readable and not self.connection.recv(1, socket.MSG_PEEK):
            raise GoneError

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _refuse(self, refusal: ErrorResponse) -> None:
        self._send(refusal.status, refusal.body.encode(), refusal.content_type, refusal.location)

    def json(self, status: int, document: object) -> None:
        """A JSON answer."""
        self._send(status, json.dumps(document).encode(), "application/json; charset=utf-8")

    def plain(self, status: int, text: str) -> None:
        """An answer in plain text."""
        self._send(status, text.encode(), "text/plain; charset=utf-8")

    def _send(self, status: int, body: bytes, content_type: str, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""
