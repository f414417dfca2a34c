"""A real model behind the server: llama.cpp in a process of its own, translated line by line.

llama.cpp renders the model's chat template, turns a JSON schema into a grammar and counts tokens;
what comes of it is written in Ollama's protocol. Whoever stops listening stops the model.
"""

import json
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NoReturn
from urllib.parse import urlsplit

from pydantic import JsonValue

from copilot.testing.ollama.protocol import ChatMessage, ChatRequest, RequestError
from copilot.testing.ollama.runners import PulledModel
from copilot.testing.ollama.script import (
    CRASHED,
    ErrorResponse,
    ReplyContext,
    ScriptedAction,
    ScriptedPause,
    error,
    frame,
    last,
)
from copilot.testing.ollama.wire import PEEK_S
from copilot.types.errors import OperatorError

CHAT = "/v1/chat/completions"
FIRST_CONTEXT = 4096
"""What a model is loaded with until somebody asks: Ollama's default on a small machine."""

_PASSED_ON = ("seed", "temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n",
              "repeat_penalty", "presence_penalty", "frequency_penalty", "stop")  # fmt: skip
"""Options that mean the same to llama.cpp, by the same name."""


def sha256(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()


class LlamaError(OperatorError):
    """llama.cpp could not be had or does not load the file; the message says which and why."""


@dataclass(frozen=True, slots=True)
class LlamaAddress:
    """Where a running llama.cpp listens, and the key it wants."""

    host: str
    port: int
    key: str

    def asked(self, method: str, path: str, body: object = None) -> HTTPConnection:
        """A connection on which a question was sent."""
        connection = HTTPConnection(self.host, self.port)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        return connection

    def told(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The whole answer; raises `RequestError` on a refusal."""
        connection = self.asked(method, path, body)
        try:
            answer = connection.getresponse()
            document = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise RequestError(answer.status, _complaint(document))
        return dict(document)


class LlamaEngine:
    """One GGUF file, loaded; stands where a scripted policy does. One reply at a time.

    `transcript` gets each question and the reply to it, a JSON object a line.
    """

    def __init__(
        self,
        file: Path,
        runtime: Path,
        *,
        name: str = "",
        threads: int = 1,
        transcript: Path | None = None,
    ) -> None:
        self._file, self._runtime, self._threads = file, runtime, threads
        self._name, self._transcript = name or file.stem.lower(), transcript
        self._child: subprocess.Popen[str] | None = None
        self._context = 0
        self._lock = threading.Lock()
        self.load(FIRST_CONTEXT)

    def load(self, context: int) -> None:
        """Load it with that context, unless it is."""
        with self._lock:
            alive = self._child is not None and self._child.poll() is None
            if alive and context == self._context:
                return
            self._end()
            self._at = self._started(context)
            self._context = context

    def close(self) -> None:
        """Out of memory."""
        with self._lock:
            self._end()

    @property
    def pulled(self) -> PulledModel:
        """The file as a model on the server's disk, by what llama.cpp reads in it."""
        (shown,) = self._at.told("GET", "/v1/models")["data"]
        told = shown["meta"]
        return PulledModel(
            name=self._name,
            family="llama.cpp",
            capabilities=("completion", *(("thinking",) if self._thinks() else ())),
            context=told["n_ctx_train"],
            parameters=f"{told['n_params'] / 1e6:.0f}M",
            quantization=str(told.get("ftype", "unknown")),
            size=self._file.stat().st_size,
            digest=sha256(self._file),
        )

    def counted(self, messages: Sequence[ChatMessage]) -> int:
        """Tokens of a conversation, in the model's own vocabulary and template."""
        told = self._at.told("POST", f"{CHAT}/input_tokens", {"messages": _plain(messages)})
        return int(told["input_tokens"])

    def answered(
        self, request: ChatRequest, created_at: str
    ) -> Generator[ScriptedAction, None, None]:
        """What is written for a chat, as the model says it; closing it stops the model."""
        lines: SimpleQueue[ScriptedAction | dict[str, Any] | None] = SimpleQueue()
        try:
            connection = self._at.asked("POST", CHAT, _translated(request, self._thinks()))
        except OSError:
            yield ErrorResponse(500, json.dumps({"error": CRASHED}))
            return
        upstream = connection.sock
        reader = threading.Thread(target=_read, args=(connection, lines), daemon=True)
        reader.start()
        said: list[str] = []
        try:
            turn = ReplyContext(request.model, created_at, True, False, 0, 0, 0)
            yield from _spoken(lines, turn, said)
        finally:
            with suppress(OSError):
                upstream.shutdown(socket.SHUT_RDWR)
            reader.join()
            connection.close()
            self._written(request, "".join(said))

    def _thinks(self) -> bool:
        """Whether the template of the file can be told not to think, as those of thinkers can."""
        return "enable_thinking" in str(self._at.told("GET", "/props").get("chat_template", ""))

    def _written(self, request: ChatRequest, said: str) -> None:
        if self._transcript is not None:
            line = {"messages": _plain(request.messages), "reply": said}
            with self._transcript.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _started(self, context: int) -> LlamaAddress:
        key = secrets.token_hex(16)
        asked = {
            "runtime": str(self._runtime),
            "file": str(self._file),
            "context": context,
            "threads": self._threads,
            "key": key,
        }
        with tempfile.TemporaryFile("w+") as told:
            child = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("llama_child.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
            )
            assert child.stdin is not None
            assert child.stdout is not None
            self._child = child
            with suppress(BrokenPipeError):
                child.stdin.write(json.dumps(asked) + "\n")
                child.stdin.flush()
            address = child.stdout.readline().strip()
            if not address:
                self._end()
                told.seek(0)
                self._refused(told.read())
        place = urlsplit(address)
        return LlamaAddress(place.hostname or "127.0.0.1", place.port or 0, key)

    def _refused(self, told: str) -> NoReturn:
        reasons = [line.strip() for line in told.splitlines() if line.strip()]
        wrong = [line for line in reasons if " E " in line or "rror" in line] or reasons
        said = wrong[-1][:300] if wrong else "it said nothing"
        raise LlamaError(f"llama.cpp does not load {str(self._file)!r}: {said}")

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(BrokenPipeError):
            child.stdin.close()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


def _plain(messages: Sequence[ChatMessage]) -> list[dict[str, JsonValue]]:
    return [{"role": one.role, "content": one.content} for one in messages]


def _translated(request: ChatRequest, thinks: bool) -> dict[str, JsonValue]:
    """The question as llama.cpp takes it."""
    options = request.options.model_dump(include=set(_PASSED_ON), exclude_defaults=True)
    body: dict[str, JsonValue] = {**options, "messages": list(_plain(request.messages))}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    if (most := request.options.num_predict) is not None and most >= 0:
        body["max_tokens"] = most
    if request.schema_asked is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"schema": request.schema_asked},
        }
    elif request.format == "json":
        body["response_format"] = {"type": "json_object"}
    if thinks:
        body["chat_template_kwargs"] = {"enable_thinking": request.think is not False}
    return body


def _read(
    connection: HTTPConnection, into: "SimpleQueue[ScriptedAction | dict[str, Any] | None]"
) -> None:
    """Put each event of the stream; in place of a stream its refusal; None at the end."""
    try:
        answer = connection.getresponse()
        if answer.status != 200:
            told = json.dumps({"error": _complaint(json.loads(answer.read()))})
            into.put(ErrorResponse(answer.status, told))
        else:
            for line in answer:
                if line.startswith(b"data: {"):
                    into.put(json.loads(line[6:]))
    except (OSError, HTTPException, ValueError):
        into.put(error(CRASHED))
    finally:
        into.put(None)


def _spoken(
    lines: "SimpleQueue[ScriptedAction | dict[str, Any] | None]",
    turn: ReplyContext,
    said: list[str],
) -> Iterator[ScriptedAction]:
    """The frames of a reply; a short pause wherever nothing comes, so that a client can leave."""
    reason = "stop"
    while True:
        try:
            event = lines.get(timeout=PEEK_S)
        except Empty:
            yield ScriptedPause(PEEK_S)
            continue
        if event is None:
            return
        if not isinstance(event, dict):
            yield event
            return
        if "error" in event:
            yield error(_complaint(event))
            return
        if "usage" in event:
            yield _done(event, turn, reason)
            return
        (choice,) = event["choices"]
        reason = choice["finish_reason"] or reason
        for theirs, ours in (("reasoning_content", "thinking"), ("content", "content")):
            if text := choice["delta"].get(theirs):
                said.append(text)
                yield frame(turn, {ours: text})


def _done(event: dict[str, Any], turn: ReplyContext, reason: str) -> ScriptedAction:
    used, took = event["usage"], event.get("timings", {})
    read_ns, said_ns = (int(took.get(name, 0) * 1e6) for name in ("prompt_ms", "predicted_ms"))
    return last(
        turn,
        used["completion_tokens"],
        reason,
        total_duration=read_ns + said_ns,
        prompt_eval_count=used["prompt_tokens"],
        prompt_eval_duration=read_ns,
        eval_duration=said_ns,
    )


def _complaint(document: dict[str, Any]) -> str:
    told = document.get("error", document)
    return str(told.get("message", told) if isinstance(told, dict) else told)
