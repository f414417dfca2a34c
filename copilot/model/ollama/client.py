"""The official client, with what it leaves out: timeouts by phase, checked ends, thinking apart.

Its `chat` can send neither `truncate` nor `shift`, ends in silence when the stream does, and splits
lines at U+0085, which JSON may hold. So chat goes through the client's own connection here, and the
rest of the API through its methods.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from ssl import create_default_context

import httpx
import ollama
from pydantic import BaseModel, JsonValue, ValidationError

from copilot.model.families import ModelApi
from copilot.model.faults import TransientError, of_status, stream_fault
from copilot.model.ollama.request import chat, loading
from copilot.model.server import (
    LONGEST_LINE,
    MOST_BYTES,
    PROBE_TOOL,
    ModelAddress,
    ModelTraits,
    ReplyLine,
    ServingOptions,
    Timeouts,
)
from copilot.ports import ModelError
from copilot.types.checks import Check
from copilot.types.model_io import ModelRequest

OLDEST = (0, 13)
"""Ollama that takes `truncate` and `shift`, which came in October 2025, for certain."""


class Client(ollama.Client):
    """One Ollama server."""

    api: ModelApi = "ollama"

    def __init__(
        self, access: ModelAddress, timeouts: Timeouts, now: Callable[[], float] = time.monotonic
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

    def said(self) -> Check:
        """What it is; an old version may cut what is too long and say nothing."""
        with self._faults("did not say its version in time"):
            answer = self._client.get("/api/version")
            _checked(answer, self.url)
            version = str(_json(answer.content).get("version", ""))
        found = f"Ollama {version or 'of no version'} at {self.url}"
        numbers = version_numbers(version)
        if numbers and numbers < OLDEST:
            advice = "it may cut what is too long for it and say nothing: update it"
            return Check("model", "missing", found, advice)
        return Check("model", "ok", found)

    def names(self) -> frozenset[str]:
        """The models it has pulled."""
        with self._faults("did not say in time which models it has"):
            return frozenset(one.model for one in self.list().models if one.model)

    def context_of(self, model: str) -> int | None:
        """The context that a model is loaded with; None where it is not loaded or not said."""
        with self._faults("did not say in time what is loaded"):
            loaded = {one.model: one.context_length for one in self.ps().models}
        return loaded.get(model) or loaded.get(f"{model}:latest")

    def traits(self, model: str) -> ModelTraits:
        """What it says of a model; raises `ModelError` `missing` where it has none."""
        with self._faults("did not describe the model in time"):
            shown = self.show(model)
        size = shown.details.parameter_size if shown.details else ""
        able = shown.capabilities
        named = [n for key, n in (shown.modelinfo or {}).items() if key.endswith(".context_length")]
        return ModelTraits(
            f"{model} {size or ''}, can do: {', '.join(able or ()) or 'not said'}",
            frozenset(able) if able is not None else None,
            next((int(n) for n in named), None),
        )

    def load(self, model: str, options: ServingOptions) -> None:
        """Have the model loaded with what every question will ask of it."""
        with self._lines(loading(model, options), self._timeouts) as lines:
            list(lines)

    def calls_tools(self, model: str, options: ServingOptions) -> bool:
        """Whether the model calls a tool that is offered, asked once."""
        request = ModelRequest(messages=(PROBE_TOOL.question,), max_tokens=PROBE_TOOL.tokens)
        body = chat(model, request, PROBE_TOOL.tokens, options)
        body |= {"tools": [PROBE_TOOL.declared], "stream": False}
        with self._faults("no call of a tool in time"):
            limit = httpx.Timeout(self._timeouts.first_token_s)
            answer = self._client.post("/api/chat", json=body, timeout=limit)
            _checked(answer, self.url)
            message = _json(answer.content).get("message")
        return isinstance(message, dict) and bool(message.get("tool_calls"))

    def lines(
        self, model: str, request: ModelRequest, most: int, options: ServingOptions
    ) -> AbstractContextManager[Iterator[ReplyLine]]:
        """A chat as it streams; leaving the context closes the connection, which cancels it."""
        return self._lines(chat(model, request, most, options), self._timeouts.within(request))

    @contextmanager
    def _lines(
        self, body: Mapping[str, JsonValue], limits: Timeouts
    ) -> Iterator[Iterator[ReplyLine]]:
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
            yield self._parsed(response, started, limits)
        finally:
            response.close()

    def _parsed(
        self, response: httpx.Response, started: float, limits: Timeouts
    ) -> Iterator[ReplyLine]:
        rest, told = b"", 0
        silence = f"nothing for {limits.between_tokens_s:g} s between tokens"
        blocks = response.iter_bytes()
        while True:
            with self._faults(silence):
                block = next(blocks, None)
            if block is None:
                break
            if self._now() - started > limits.total_s:
                raise ModelError("timeout", f"the reply took longer than {limits.total_s:g} s")
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


def version_numbers(said: str) -> tuple[int, ...]:
    """The numbers of a version, first to third; empty where it has none."""
    return tuple(int(part) for part in re.findall(r"\d+", said)[:3])
