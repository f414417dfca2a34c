"""A target of HTTP steps on the loopback: it takes a step once, however often it is asked."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class TargetRequest:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]


class EchoServer:
    """Answers 202 to everything and repeats the request's headers, as a careless target would.

    `done` holds each idempotency key once: what a target that heeds them really does. While
    `hold` is in force nothing is answered.
    """

    def __init__(self) -> None:
        self.calls: list[TargetRequest] = []
        self.done: list[str] = []
        self._open = threading.Event()
        self._open.set()
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                target._take(TargetRequest("POST", self.path, dict(self.headers)))
                answer = str(self.headers).encode()
                self.send_response(202)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *arguments: object) -> None:
                """Silent."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that was killed does not read its answer."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def hold(self) -> None:
        """Take calls and let them wait."""
        self._open.clear()

    def release(self) -> None:
        """Answer again."""
        self._open.set()

    def _take(self, call: TargetRequest) -> None:
        self.calls.append(call)
        key = call.headers.get("Idempotency-Key", "")
        if key not in self.done:
            self.done.append(key)
        self._open.wait(30)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
