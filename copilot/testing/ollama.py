"""A small server that speaks the part of Ollama's HTTP protocol that embedding needs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from copilot.testing.retrieval import WordEmbedder

Failure = Literal["none", "broken", "short"]


class _EmbedRequest(BaseModel):
    """What `/api/embed` takes; anything else is a client's mistake, and said so."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    input: str | list[str]
    truncate: bool = True
    keep_alive: str = ""
    dimensions: int = 0


class EmbedServer(ThreadingHTTPServer):
    """Serves `/api/tags` and `/api/embed` on the loopback; keeps the texts it was sent.

    `failure` makes the next answers bad: `broken` is status 500, `short` leaves a vector out.
    """

    daemon_threads = True

    def __init__(self, model: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model
        self.failure: Failure = "none"
        self.texts: list[str] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: EmbedServer

    def do_GET(self) -> None:  # the name http.server calls
        if self.path == "/api/tags":
            self._answer(200, {"models": [{"name": self.server.model, "model": self.server.model}]})
        else:
            self._answer(404, {"error": "not found"})

    def do_POST(self) -> None:  # the name http.server calls
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            asked = _EmbedRequest.model_validate_json(body)
        except ValidationError as error:
            self._answer(400, {"error": str(error)})
            return
        if self.path != "/api/embed":
            self._answer(404, {"error": "not found"})
        elif asked.model != self.server.model:
            missing = f'model "{asked.model}" not found, try pulling it first'
            self._answer(404, {"error": missing})
        elif self.server.failure == "broken":
            self._answer(500, {"error": "llama runner process has terminated"})
        else:
            self._embed(asked)

    def _embed(self, asked: _EmbedRequest) -> None:
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        self.server.texts += texts
        # Not of unit length, as a server need not promise it.
        rows = [(3 * WordEmbedder().question(text)).tolist() for text in texts]
        kept = rows[:-1] if self.server.failure == "short" else rows
        self._answer(200, {"model": asked.model, "embeddings": kept, "total_duration": 1})

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def embed_server(model: str = "qwen3-embedding:0.6b") -> Iterator[EmbedServer]:
    """A running server, stopped at the end."""
    with EmbedServer(model) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
