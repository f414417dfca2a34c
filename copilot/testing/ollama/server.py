"""The server: real HTTP on the loopback, a thread per connection, every request kept."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from copilot.testing.ollama.protocol import (
    ChatOptions,
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    RequestError,
    ShowRequest,
)
from copilot.testing.ollama.reply import ReplyPolicy
from copilot.testing.ollama.runners import (
    EMBEDS,
    PulledModel,
    Runners,
    answered,
    checked,
    fitted,
    listed_model,
    listed_running,
    loading,
    shown_model,
    timestamp,
)
from copilot.testing.ollama.wire import GoneError, Wire
from copilot.testing.retrieval import WordEmbedder

RequestT = TypeVar("RequestT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class OllamaRequest:
    """A request as it came."""

    method: str
    path: str
    body: dict[str, JsonValue]
    headers: dict[str, str]


class OllamaServer(ThreadingHTTPServer):
    """Plays Ollama. `seen` has each chat as far as it fitted; `cancelled` counts those given up.

    Without `obeys_truncate` it is an old one, which cuts what is too long whatever it is told.
    `embed_failure` makes embeddings bad: `broken` is status 500, `short` leaves a vector out.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        policy: ReplyPolicy,
        models: tuple[PulledModel, ...] = (PulledModel(), EMBEDS),
        *,
        port: int = 0,
        version: str = "0.32.14",
        runners: Runners | None = None,
        obeys_truncate: bool = True,
    ) -> None:
        super().__init__(("127.0.0.1", port), self.handler())
        self.policy = policy
        self.version = version
        self.obeys_truncate = obeys_truncate
        self.runners = runners or Runners(models, time.time)
        self.recorded: list[OllamaRequest] = []
        self.seen: list[ChatRequest] = []
        self.texts: list[str] = []
        self.dimension = 256
        self.embed_failure = ""
        self.cancelled = 0
        self.broke: list[BaseException] = []
        self.changed = threading.Condition()
        self.stopping = threading.Event()

    chat_path = "/api/chat"

    def handler(self) -> "type[OllamaHandler]":
        """What answers a connection."""
        return OllamaHandler

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def chats(self) -> list[dict[str, JsonValue]]:
        """The body of every chat, in order."""
        return [one.body for one in list(self.recorded) if one.path == self.chat_path]

    def wait_for(self, holds: Callable[["OllamaServer"], bool], within_s: float = 10.0) -> bool:
        """Wait until something is true of this server; says whether it became so."""
        with self.changed:
            return self.changed.wait_for(lambda: holds(self), within_s)

    def note(self, change: Callable[[], object]) -> None:
        """Change what is kept, and wake whoever waits for that."""
        with self.changed:
            change()
            self.changed.notify_all()

    def gave_up(self) -> None:
        """One more client that did not wait for the end."""
        self.cancelled += 1

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error of the server; anything else is, of its policy."""
        problem = sys.exception()
        if problem is not None and not isinstance(problem, OSError):
            self.note(lambda: self.broke.append(problem))


class OllamaHandler(Wire):
    """Answers one connection in Ollama's words."""

    server: OllamaServer

    def stopping(self) -> bool:
        return self.server.stopping.is_set()

    def do_GET(self) -> None:  # the name http.server calls
        self._route("GET")

    def do_HEAD(self) -> None:  # the name http.server calls
        self._route("HEAD")

    def do_POST(self) -> None:  # the name http.server calls
        self._route("POST")

    def _route(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        recorded = OllamaRequest(method, path, _object(raw), headers)
        self.server.note(lambda: self.server.recorded.append(recorded))
        try:
            self.answer_to(method, path, raw)
        except RequestError as refused:
            self.refuse(refused)
        except (GoneError, ConnectionError):
            self.server.note(self.server.gave_up)
            self.close_connection = True

    def refuse(self, refused: RequestError) -> None:
        """Say what is wrong with a request."""
        self.json(refused.status, {"error": refused.error})

    def answer_to(self, method: str, path: str, raw: bytes) -> None:
        """Serve one request."""
        reads = {"/": self._root, "/api/version": self._version, "/api/tags": self._tags}
        reads["/api/ps"] = self._ps
        writes = {"/api/chat": self._chat, "/api/embed": self._embed, "/api/show": self._show}
        writes["/api/generate"] = self._generate
        if path not in reads and path not in writes:
            self.plain(404, "404 page not found")
        elif method == "POST" and path in writes:
            writes[path](raw)
        elif method != "POST" and path in reads:
            reads[path]()
        else:
            self.plain(405, "405 method not allowed")

    def _root(self) -> None:
        self.plain(200, "Ollama is running")

    def _version(self) -> None:
        self.json(200, {"version": self.server.version})

    def _tags(self) -> None:
        self.json(200, {"models": [listed_model(one) for one in self.server.runners.pulled]})

    def _ps(self) -> None:
        self.json(200, {"models": [listed_running(one) for one in self.server.runners.loaded()]})

    def _show(self, raw: bytes) -> None:
        asked = _parsed(ShowRequest, raw)
        self.json(200, shown_model(self.server.runners.known(asked.model)))

    def _generate(self, raw: bytes) -> None:
        asked = _parsed(GenerateRequest, raw)
        if asked.prompt:
            raise RequestError(400, "this server only loads models by /api/generate")
        runners = self.server.runners
        model = runners.known(asked.model)
        unload = asked.keep_alive in (0, "0")
        if unload:
            runners.unload(model)
        else:
            runners.load(model, asked.options, asked.keep_alive, shift=asked.shift)
        answer = {"model": asked.model, "created_at": timestamp(runners.now())}
        reason = "unload" if unload else "load"
        self.json(200, {**answer, "response": "", "done": True, "done_reason": reason})

    def _chat(self, raw: bytes) -> None:
        asked = _parsed(ChatRequest, raw)
        runners = self.server.runners
        model = checked(asked, runners)
        if not asked.messages:
            self.play(loading(asked, model, runners), asked.stream)
            return
        self.reply_to(asked, model)

    def reply_to(self, asked: ChatRequest, model: PulledModel) -> None:
        """Play what the policy says to a chat, once a slot is free."""
        runners = self.server.runners
        with runners.slot(model):
            # A request whose client left while it stood in line is not begun.
            self.still_there()
            loaded, fresh = runners.load(model, asked.options, asked.keep_alive, shift=asked.shift)
            fit = fitted(asked, loaded, obeys=self.server.obeys_truncate)
            self.server.note(lambda: self.server.seen.append(fit))
            self.play(answered(fit, loaded, fresh, self.server.policy), asked.stream)

    def _embed(self, raw: bytes) -> None:
        asked = _parsed(EmbedRequest, raw)
        runners = self.server.runners
        model = runners.known(asked.model, 'model "{}" not found, try pulling it first')
        if self.server.embed_failure == "broken":
            raise RequestError(500, "llama runner process has terminated")
        loaded, _ = runners.load(model, ChatOptions(), asked.keep_alive, shift=True)
        self.server.texts += asked.texts
        if not asked.truncate and any(len(one) > 4 * loaded.context for one in asked.texts):
            raise RequestError(400, "the input length exceeds the context length")
        embedder = WordEmbedder(dimension=asked.dimensions or self.server.dimension)
        # Not of unit length, as a server need not promise it.
        rows = [(3 * embedder.question(text)).tolist() for text in asked.texts]
        kept = rows[:-1] if self.server.embed_failure == "short" else rows
        counted = sum(map(len, asked.texts)) // 4
        self.json(
            200,
            {"model": asked.model, "embeddings": kept, "total_duration": 1, "load_duration": 1}
            | {"prompt_eval_count": counted},
        )


def _object(raw: bytes) -> dict[str, JsonValue]:
    try:
        found = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _parsed(shape: type[RequestT], raw: bytes) -> RequestT:
    if not raw:
        raise RequestError(400, "missing request body")
    try:
        asked = shape.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RequestError(400, f"json: {where or 'body'}: {first['msg']}") from error
    if not getattr(asked, "model", ""):
        raise RequestError(400, "model is required")
    return asked


@contextmanager
def ollama_server(
    policy: ReplyPolicy,
    models: tuple[PulledModel, ...] = (PulledModel(), EMBEDS),
    *,
    port: int = 0,
    version: str = "0.32.14",
    runners: Runners | None = None,
    obeys_truncate: bool = True,
) -> Iterator[OllamaServer]:
    """A running server, stopped at the end; raises what its policy raised meanwhile."""
    server = OllamaServer(
        policy,
        models,
        port=port,
        version=version,
        runners=runners,
        obeys_truncate=obeys_truncate,
    )
    with running(server):
        yield server


ServerT = TypeVar("ServerT", bound=OllamaServer)


@contextmanager
def running(server: ServerT) -> Iterator[ServerT]:
    """The server, running, and stopped at the end; raises what its policy raised meanwhile."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()
        for problem in server.broke:
            raise problem
