"""HTTP servers on the loopback that answer as documented, and fail so when they are told to.

A server of ours is strict: what its protocol does not know it refuses, as the real one would.
"""

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

ServerFailure = Literal[
    "busy",  # 429 with Retry-After
    "broken",  # 500 with a text
    "unavailable",  # 503
    "forbidden",  # 403
    "partial",  # 200, and JSON that ends in the middle
    "page",  # 200, and the HTML of somebody's login page
    "redirect",  # 302 to another place
    "silent",  # no answer until the client goes away
    "hung up",  # the connection ends before an answer
]


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def one(self, name: str) -> str:
        """A parameter that is there exactly once, in the address or the form; or ''."""
        form = parse_qs(self.body.decode("utf-8", "replace")) if self.is_form else {}
        found = [*self.query.get(name, []), *form.get(name, [])]
        return found[0] if len(found) == 1 else ""

    @property
    def file(self) -> bytes:
        """The one file of a form of several parts; empty where none came."""
        kind = self.headers.get("content-type", "").encode()
        if not kind.startswith(b"multipart/form-data; boundary="):
            return b""
        parts = message_from_bytes(b"content-type: " + kind + b"\r\n\r\n" + self.body)
        found = [one for one in parts.walk() if one.get_filename()]
        return bytes(found[0].get_payload(decode=True) or b"") if len(found) == 1 else b""

    @property
    def is_form(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What a server answers: a document as JSON, bytes as they are."""

    status: int
    document: object
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """What goes over the wire."""
        if isinstance(self.document, bytes):
            return self.document
        return json.dumps(self.document).encode()


class StrictServer(ThreadingHTTPServer):
    """Keeps what it was asked, and meets the next requests with the failures put in `failures`."""

    daemon_threads = True
    name = "server"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[ReceivedRequest] = []
        self.failures: deque[ServerFailure] = deque()
        self.closing = threading.Event()
        self.sent: list[int] = []  # bytes of each body

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """What the protocol says; the tests of a protocol override it."""
        return HttpReply(200, {"path": asked.path})


ServerT = TypeVar("ServerT", bound=StrictServer)


@contextmanager
def serving(server: ServerT) -> Iterator[ServerT]:
    """The server, running, and stopped at the end."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: StrictServer
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: without this the second waits 40 ms for the first's ACK.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # the name http.server calls
        self._serve()

    def do_POST(self) -> None:  # the name http.server calls
        self._serve()

    def do_PATCH(self) -> None:  # the name http.server calls
        self._serve()

    def do_PUT(self) -> None:  # the name http.server calls
        self._serve()

    def do_DELETE(self) -> None:  # the name http.server calls
        self._serve()

    def _serve(self) -> None:
        split = urlsplit(self.path)
        asked = ReceivedRequest(
            method=self.command,
            path=split.path,
            query=parse_qs(split.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length", 0))),
        )
        self.server.asked.append(asked)
        if self.server.failures:
            self._fail(self.server.failures.popleft(), asked)
        else:
            reply = self.server.reply(asked)
            self._send(reply.status, reply.body, reply.headers)

    def _fail(self, failure: ServerFailure, asked: ReceivedRequest) -> None:
        if failure == "silent":
            self.server.closing.wait(30)
            self.close_connection = True
        elif failure == "hung up":
            self.close_connection = True
        elif failure == "partial":
            whole = self.server.reply(asked).body
            self._send(200, whole[: len(whole) // 2])
        else:
            self._send(*_FAILED[failure])

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.server.sent.append(len(body))
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


_FAILED: Mapping[str, tuple[int, bytes, dict[str, str]]] = {
    "busy": (429, b"too many outstanding requests", {"Retry-After": "1"}),
    "broken": (500, b"something went wrong", {}),
    "unavailable": (503, b"query timed out in query execution", {}),
    "forbidden": (403, b"no access", {}),
    "page": (200, b"<html>Please log in</html>", {}),
    "redirect": (302, b"", {"Location": "http://elsewhere.example/api"}),
}
