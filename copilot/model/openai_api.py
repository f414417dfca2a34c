"""Servers that speak OpenAI's API (vLLM, SGLang, llama.cpp, LM Studio, a gateway), by its client.

The client takes a key, an organization and headers of the environment, tries again by itself, and
reads without a bound; none of that is wanted here. What a server refuses by name of the fields that
are not OpenAI's (`top_k`, `min_p`, `chat_template_kwargs`) is not sent to it again.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ssl import create_default_context
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk
from pydantic import JsonValue

from copilot.model.families import ModelApi, family_of
from copilot.model.faults import TransientError, of_status, stream_fault
from copilot.model.server import (
    MOST_BYTES,
    PROBE_TOOL,
    ModelAddress,
    ModelTraits,
    ReplyLine,
    ReplyMessage,
    ServingOptions,
    Timeouts,
)
from copilot.ports import ModelError
from copilot.types.checks import Check
from copilot.types.model_io import ModelRequest

_EXTRAS = ("top_k", "min_p", "chat_template_kwargs", "reasoning_effort", "seed", "stream_options")
"""Fields of ours that not every server takes."""

_CONTEXT = ("max_model_len", "context_length", "max_context_length", "n_ctx", "n_ctx_train")
"""Where vLLM and SGLang, gateways, LM Studio and llama.cpp say in `/models` how long one may be."""


class OpenAIClient:
    """One server of OpenAI's API. Its address ends in `/v1`, as its own client wants it."""

    api: ModelApi = "openai"

    def __init__(
        self, access: ModelAddress, timeouts: Timeouts, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.url = access.url
        self._timeouts = timeouts
        self._now = now
        self._refused: frozenset[str] = frozenset()
        self._headers = dict(access.headers or {})
        if access.key:
            self._headers["authorization"] = f"Bearer {access.key}"
        self._http = httpx2.Client(
            follow_redirects=False,
            trust_env=False,
            proxy=access.proxy or None,
            verify=create_default_context(cafile=access.ca_file) if access.ca_file else True,
            event_hooks={"request": [self._stripped], "response": [self._bounded]},
        )
        self._client = openai.OpenAI(
            api_key="none",
            base_url=access.url,
            max_retries=0,
            timeout=timeouts.probe_s,
            http_client=self._http,
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def names(self) -> frozenset[str]:
        """The models it serves."""
        return frozenset(self._models())

    def context_of(self, model: str) -> int | None:
        """How long question and reply may be together; None where it is not said."""
        said = self._models().get(model, {})
        meta = said.get("meta")
        known = {**meta, **said} if isinstance(meta, dict) else said
        named = [known.get(name) for name in _CONTEXT]
        return next((one for one in named if isinstance(one, int)), None)

    def said(self) -> Check:
        """Who says that the models are its own; Ollama, where it is one after all."""
        owners = {str(one.get("owned_by") or "nobody") for one in self._models().values()}
        found = f"OpenAI's API at {self.url}, models of {', '.join(sorted(owners)) or 'nobody'}"
        root = self.url.removesuffix("/v1")
        try:
            answer = self._http.get(f"{root}/api/version", timeout=self._timeouts.probe_s)
        except httpx2.HTTPError:
            return Check("model", "ok", found)
        if answer.status_code == 200 and b'"version"' in answer.content[:200]:
            advice = f"it is Ollama, which takes no context length here: COPILOT_MODEL_URL={root}"
            return Check("model", "missing", found, advice)
        return Check("model", "ok", found)

    def traits(self, model: str) -> ModelTraits:
        """What it says of a model, which is its context at most."""
        return ModelTraits(f"{model}, can do: not said", None, self.context_of(model))

    def load(self, model: str, options: ServingOptions) -> None:
        """Nothing: such a server has its model loaded when it answers."""

    def calls_tools(self, model: str, options: ServingOptions) -> bool:
        """Whether the model calls a tool that is offered, asked once."""
        request = ModelRequest(messages=(PROBE_TOOL.question,), max_tokens=PROBE_TOOL.tokens)
        body = self._body(model, request, PROBE_TOOL.tokens, options)
        body |= {"tools": [PROBE_TOOL.declared], "stream": False, "stream_options": openai.omit}
        with self._faults("no call of a tool in time"):
            answer = self._client.chat.completions.create(
                **body, timeout=self._timeouts.first_token_s
            )
            return bool(answer.choices and answer.choices[0].message.tool_calls)

    @contextmanager
    def lines(
        self, model: str, request: ModelRequest, most: int, options: ServingOptions
    ) -> Iterator[Iterator[ReplyLine]]:
        """A reply as it streams; leaving the context closes the connection, which cancels it.

        Such a server sends its head long before the first token, so that a silence in the middle
        is borne as long as the one before the first.
        """
        limits, started = self._timeouts.within(request), self._now()
        silence = f"nothing for {limits.first_token_s:g} s"
        with self._faults(f"no first token after {limits.first_token_s:g} s", before_first=True):
            stream = self._begun(self._body(model, request, most, options), limits)
        try:
            kind = stream.response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                with self._faults(silence):
                    page = stream.response.read()[:300]
                raise ModelError("broken", f"{self.url} answers with no stream: {page!r}")
            yield self._parsed(stream, silence, started, limits)
        finally:
            stream.close()

    def _models(self) -> dict[str, dict[str, Any]]:
        with self._faults("did not say in time which models it has"):
            return {one.id: one.model_dump() for one in self._client.models.list().data}

    def _body(
        self, model: str, request: ModelRequest, most: int, options: ServingOptions
    ) -> dict[str, Any]:
        family = family_of(model)
        thought = options.thought(model, request, self.api)
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": one.role, "content": one.content} for one in request.messages],
            "max_tokens": most,
            "stream": True,
            "stream_options": {"include_usage": True},
            "seed": options.seed + request.attempt,
        }
        extra: dict[str, JsonValue] = {}
        if isinstance(thought, str):
            body["reasoning_effort"] = thought
        elif family.thinks != "never":
            extra["chat_template_kwargs"] = {"enable_thinking": thought}
        if (sampling := family.sampling(thought)) is not None:
            body |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
            drawn = {"top_k": sampling.top_k, "min_p": sampling.min_p}
            extra |= {name: value for name, value in drawn.items() if value is not None}
        if request.reply_schema is not None:
            asked = {"name": "reply", "schema": request.reply_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": asked}
        kept = {name: value for name, value in body.items() if name not in self._refused}
        kept["extra_body"] = {n: value for n, value in extra.items() if n not in self._refused}
        return kept

    def _begun(self, body: dict[str, Any], limits: Timeouts) -> openai.Stream[ChatCompletionChunk]:
        """The stream of a reply, asked again without the fields that the server refuses by name."""
        timeout = httpx2.Timeout(
            limits.connect_s, read=limits.first_token_s, write=limits.between_tokens_s
        )
        try:
            return self._client.chat.completions.create(**body, timeout=timeout)  # type: ignore[no-any-return]
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            sent = {*body, *body["extra_body"]}
            named = {one for one in _EXTRAS if one in sent and one in error.response.text}
            if not named:
                raise
            self._refused |= named
            extra = {n: value for n, value in body["extra_body"].items() if n not in named}
            less = {n: value for n, value in body.items() if n not in named}
            return self._begun({**less, "extra_body": extra}, limits)

    def _parsed(
        self,
        stream: openai.Stream[ChatCompletionChunk],
        silence: str,
        started: float,
        limits: Timeouts,
    ) -> Iterator[ReplyLine]:
        """Its pieces as lines; the last word comes when the stream is at its end."""
        reason, chunk = "", None
        prompt = written = None
        while True:
            with self._faults(silence):
                chunk = next(stream, None)
            if chunk is None:
                break
            if self._now() - started > limits.total_s:
                raise ModelError("timeout", f"the reply took longer than {limits.total_s:g} s")
            if chunk.usage is not None:
                prompt, written = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
            for choice in chunk.choices or ():
                yield ReplyLine(message=_message(choice.delta))
                reason = choice.finish_reason or reason
        if reason == "content_filter":
            raise ModelError("refused", f"{self.url} withheld the reply by its content filter")
        if reason:
            yield ReplyLine(
                done=True,
                done_reason="length" if reason == "length" else "stop",
                prompt_eval_count=prompt,
                eval_count=written,
            )

    def _stripped(self, request: httpx2.Request) -> None:
        """Send the headers of the settings, and none of the environment or of this machine."""
        for name in list(request.headers):
            if name.startswith(("x-stainless", "openai-")) or name == "authorization":
                del request.headers[name]
        request.headers.update(self._headers)

    def _bounded(self, response: httpx2.Response) -> None:
        response.stream = _BoundedStream(response.stream)

    @contextmanager
    def _faults(self, silence: str, *, before_first: bool = False) -> Iterator[None]:
        """Name a failure by what it means; `silence` is what a timeout means."""
        try:
            yield
        except openai.APIConnectionError as error:
            raise self._unconnected(error, silence, before_first=before_first) from error
        except openai.APIStatusError as error:
            where = error.response.headers.get("location", "")
            raise of_status(
                error.status_code, where or error.response.text, self.url, self.api
            ) from error
        except openai.APIError as error:
            raise stream_fault(_said(error)) from error
        except httpx2.HTTPError as error:
            raise ModelError("broken", f"the connection broke: {error}") from error
        except json.JSONDecodeError as error:
            raise ModelError("broken", f"a line that is no JSON: {error.doc[:120]!r}") from error
        except (ValueError, AttributeError, httpx2.InvalidURL) as error:
            problem = f"{self.url} speaks no OpenAI API: {error}"
            raise ModelError("unreachable", problem) from error

    def _unconnected(
        self, error: openai.APIConnectionError, silence: str, *, before_first: bool
    ) -> ModelError:
        cause = error.__cause__
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
            return TransientError("unreachable", f"nothing answers at {self.url}: {cause}")
        if isinstance(error, openai.APITimeoutError):
            return ModelError("timeout", silence)
        if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.ProxyError):
            return ModelError("unreachable", f"{self.url!r} cannot be reached: {cause}")
        fault = TransientError if before_first else ModelError
        return fault("broken", f"the connection broke: {cause}")


class _BoundedStream(httpx2.SyncByteStream):
    """The bytes of a response, up to a bound; an endless line fills no memory."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        told = 0
        for block in self._stream:
            told += len(block)
            if told > MOST_BYTES:
                raise ModelError("broken", f"a reply of more than {MOST_BYTES} bytes")
            yield block

    def close(self) -> None:
        self._stream.close()


def _message(delta: Any) -> ReplyMessage:
    """Text and thoughts, which servers call `reasoning_content` or `reasoning`."""
    thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
    return ReplyMessage(
        content=delta.content or "", thinking=thought if isinstance(thought, str) else None
    )


def _said(error: openai.APIError) -> str:
    body = error.body
    said = body.get("message") if isinstance(body, Mapping) else body
    return str(said or error.message)
