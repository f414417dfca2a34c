"""The official client, with what it leaves out: timeouts by phase, checked ends, thinking apart.

Its `chat` can send neither `truncate` nor `shift`, ends in silence when the stream does, and splits
lines at U+0085, which JSON may hold. So chat goes through the client's own connection here, and the
rest of the API through its methods.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ssl import create_default_context

import httpx
import ollama
from pydantic import BaseModel, JsonValue, ValidationError

from copilot.model.ollama.faults import TransientError, of_status, stream_fault
from copilot.ports import ModelError
from copilot.types.model_io import Piece, Thought

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes of one line of a stream; a server that sends more without an end is broken."""


MOST_BYTES = 32 * 1024 * 1024
"""Bytes of a whole reply. A line holds a token in about 120 bytes of JSON, so that this is more
than the longest context of a model we know, 262,144 tokens; source: its model card, Qwen3-2507."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase may take, in seconds. The first token waits for a model to be loaded."""

    connect_s: float = 3.0
    queue_s: float = 60.0
    first_token_s: float = 180.0
    between_tokens_s: float = 60.0
    total_s: float = 600.0
    probe_s: float = 1.0


class ReplyMessage(BaseModel):
    """The message of a line; tool calls are left out, since no tool is ever offered."""

    content: str = ""
    thinking: str | None = None


class ReplyLine(BaseModel):
    """One line of a streamed answer. Durations are in nanoseconds; zero counters are left out."""

    error: str = ""
    message: ReplyMessage = ReplyMessage()
    done: bool = False
    done_reason: str = ""
    load_duration: int = 0
    prompt_eval_count: int | None = None
    eval_count: int | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Where a server is and how it is reached; nothing of it is taken from the environment."""

    url: str
    key: str = ""
    headers: Mapping[str, str] | None = None
    proxy: str = ""
    ca_file: str = ""


class Client(ollama.Client):
    """One Ollama server."""

    def __init__(
        self, access: Access, timeouts: Timeouts, now: Callable[[], float] = time.monotonic
    ) -> None:
        headers = dict(access.headers or {})
        if access.key:
            headers["authorization"] = f"Bearer {access.key}"
        super().__init__(
            access.url,
            headers=headers,
            timeout=httpx.Timeout(timeouts.probe_s),
            follow_redirects=False,
            trust_env=False,
            proxy=access.proxy or None,
            verify=create_default_context(cafile=access.ca_file) if access.ca_file else True,
        )
        if "authorization" not in {name.lower() for name in headers}:
            # The official client sends OLLAMA_API_KEY of the environment to whatever server.
            self._client.headers.pop("authorization", None)
        self.url = access.url
        self._timeouts = timeouts
        self._now = now

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def version(self) -> str:
        """What the server says it is."""
        with self._faults("did not say its version in time"):
            answer = self._client.get("/api/version")
            _checked(answer, self.url)
            version: str = str(_json(answer.content).get("version", ""))
            return version

    def names(self) -> frozenset[str]:
        """The models it has pulled."""
        with self._faults("did not say in time which models it has"):
            return frozenset(one.model for one in self.list().models if one.model)

    def context_of(self, model: str) -> int | None:
        """The context that a model is loaded with; None where it is not loaded or not said."""
        with self._faults("did not say in time what is loaded"):
            loaded = {one.model: one.context_length for one in self.ps().models}
        return loaded.get(model) or loaded.get(f"{model}:latest")

    def shown(self, model: str) -> ollama.ShowResponse:
        """What the server knows of a model; raises `ModelError` `missing` where it has none."""
        with self._faults("did not describe the model in time"):
            return self.show(model)

    @contextmanager
    def lines(self, body: Mapping[str, JsonValue]) -> Iterator[Iterator[ReplyLine]]:
        """A chat as it streams; leaving the context closes the connection, which cancels it."""
        limits = self._timeouts
        timeout = httpx.Timeout(
            limits.connect_s, read=limits.first_token_s, write=limits.between_tokens_s
        )
        started = self._now()
        with self._faults(f"no first token after {limits.first_token_s:g} s", before_first=True):
            response = self._client.send(
                self._client.build_request("POST", "/api/chat", json=body, timeout=timeout),
                stream=True,
            )
        try:
            if response.status_code != 200:
                with self._faults("the refusal did not end"):
                    response.read()
                _checked(response, self.url)
            # httpx reads it when the body begins: from here on silence is between tokens.
            response.request.extensions["timeout"]["read"] = limits.between_tokens_s
            yield self._parsed(response, started)
        finally:
            response.close()

    def _parsed(self, response: httpx.Response, started: float) -> Iterator[ReplyLine]:
        rest, told = b"", 0
        silence = f"nothing for {self._timeouts.between_tokens_s:g} s between tokens"
        blocks = response.iter_bytes()
        while True:
            with self._faults(silence):
                block = next(blocks, None)
            if block is None:
                break
            self._in_time(started)
            told += len(block)
            if told > MOST_BYTES:
                raise ModelError("broken", f"a reply of more than {MOST_BYTES} bytes")
            *whole, rest = (rest + block).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise ModelError("broken", f"a line of more than {LONGEST_LINE} bytes")
            for line in whole:
                if line.strip():
                    yield _line(line)
        if rest.strip():
            yield _line(rest)

    def _in_time(self, started: float) -> None:
        if self._now() - started > self._timeouts.total_s:
            raise ModelError("timeout", f"the reply took longer than {self._timeouts.total_s:g} s")

    @contextmanager
    def _faults(self, silence: str, *, before_first: bool = False) -> Iterator[None]:
        """Name a failure of the network by what it means; `silence` is what a timeout means."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as error:
            raise TransientError(
                "unreachable", f"nothing answers at {self.url}: {error}"
            ) from error
        except httpx.TimeoutException as error:
            raise ModelError("timeout", silence) from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.ProxyError) as error:
            raise ModelError("unreachable", f"{self.url!r} cannot be reached: {error}") from error
        except httpx.HTTPError as error:
            fault = TransientError if before_first else ModelError
            raise fault("broken", f"the connection broke: {error}") from error
        except ollama.ResponseError as error:
            raise of_status(error.status_code, str(error.error), self.url) from error
        except (ValidationError, ValueError) as error:
            raise ModelError("unreachable", f"{self.url} is no Ollama: {error}") from error


def _checked(response: httpx.Response, url: str) -> None:
    if response.status_code != 200:
        where = response.headers.get("location", "")
        raise of_status(response.status_code, where or response.text, url)


def _line(raw: bytes) -> ReplyLine:
    try:
        line = ReplyLine.model_validate_json(raw)
    except ValidationError as error:
        raise ModelError("broken", f"a line that is none of Ollama's: {raw[:120]!r}") from error
    if line.error:
        raise stream_fault(line.error)
    return line


def _json(raw: bytes) -> Mapping[str, JsonValue]:
    return _Object.model_validate_json(raw).model_dump()


class _Object(BaseModel, extra="allow"):
    """Any JSON object."""


_OPEN, _CLOSE = "<think>", "</think>"


class LeakError(Exception):
    """Text that was already passed on turned out to be thinking."""


class ThinkingSplitter:
    """Splits text as it comes into thoughts and pieces of the reply.

    A server puts thinking into a field of its own; some tags say it aloud instead: between
    `<think>` and `</think>`, or, because the template wrote the opening tag, before a lone
    `</think>`.

    With `hold` nothing is passed on before `</think>` or the end is seen: the way for a model that
    is known, or not yet known not, to think aloud.
    """

    def __init__(self, *, hold: bool) -> None:
        self._hold = hold
        self._thinking = False
        self._begun = False
        self._text = ""
        self.leaked = False

    def feed(self, text: str) -> list[Thought | Piece]:
        """Return the thoughts and pieces that are certain so far; the last characters may wait."""
        self._text += text
        events: list[Thought | Piece] = []
        while (found := self._next_tag()) is not None:
            tag, before, self._text = found
            if tag == _CLOSE and not self._thinking and not self._hold and self._begun:
                raise LeakError
            self.leaked = True
            events += self._told(before, thought=tag == _CLOSE)
            self._thinking = tag == _OPEN
            self._hold = self._hold and self._thinking
        return [*events, *self._ready()]

    def end(self) -> list[Thought | Piece]:
        """Return what is left at the end of the reply."""
        rest, self._text = self._text, ""
        return self._told(rest, thought=self._thinking)

    def _next_tag(self) -> tuple[str, str, str] | None:
        places = [(self._text.find(tag), tag) for tag in (_OPEN, _CLOSE)]
        found = [(place, tag) for place, tag in places if place >= 0]
        if not found:
            return None
        place, tag = min(found)
        return tag, self._text[:place], self._text[place + len(tag) :]

    def _ready(self) -> list[Thought | Piece]:
        if self._hold and not self._thinking:
            return []
        kept = max(_overlap(self._text, tag) for tag in (_OPEN, _CLOSE))
        whole = len(self._text) - kept
        ready, self._text = self._text[:whole], self._text[whole:]
        return self._told(ready, thought=self._thinking)

    def _told(self, text: str, *, thought: bool) -> list[Thought | Piece]:
        if thought:
            return [Thought(text=text)] if text.strip() else []
        if not self._begun:
            text = text.lstrip()  # what a stripped thought leaves before an answer
        if not text:
            return []
        self._begun = True
        return [Piece(text=text)]


def _overlap(text: str, tag: str) -> int:
    """How much of the end of a text may be the start of a tag."""
    sizes = range(min(len(text), len(tag) - 1), 0, -1)
    return next((size for size in sizes if tag.startswith(text[-size:])), 0)
