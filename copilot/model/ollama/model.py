"""The `Model` port on one or several Ollama servers."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import tenacity
from pydantic import JsonValue

from copilot.model.ollama.admission import Admission
from copilot.model.ollama.client import Client, LeakError, ReplyLine, ThinkingSplitter, Timeouts
from copilot.model.ollama.faults import TransientError
from copilot.model.ollama.request import MESSAGE_TOKENS, Estimate, OllamaOptions
from copilot.ports import ModelError
from copilot.types.breaker import Breaker
from copilot.types.model_io import ModelEvent, ModelRequest, Piece, ReplyEnd, Thought

ATTEMPTS = 3
SHORT = 0.5
"""A prompt counted at less than this part of its estimate may have been cut; estimates are 1.0 to
1.9 times the count."""
TIMEOUT_WEIGHT = 3
"""A timeout costs minutes of an incident, so two of them are enough to go without the model."""
NOT_ITS_FAULT = frozenset({"missing", "refused", "truncated"})
"""Faults that say nothing of a server's health."""


SLACK = 64
"""Lines of a stream beside those with a token: a line holds one token or more."""


@dataclass(slots=True)
class Endpoint:
    """A server, how it has been, and whether its model was seen to think aloud (None: unknown)."""

    client: Client
    breaker: Breaker
    thinks_aloud: bool | None = None


@dataclass(slots=True)
class _Begun:
    """A reply that has begun: its first line is there, and the slot is ours until it is closed."""

    endpoint: Endpoint
    first: ReplyLine
    rest: Iterator[ReplyLine]
    held: ExitStack
    estimate: int
    queued_s: float
    started: float
    first_token_s: float = 0.0
    spoke: bool = False


class OllamaModel:
    """One model on servers that share the work, behind one line."""

    def __init__(
        self,
        name: str,
        endpoints: Sequence[Endpoint],
        options: OllamaOptions = OllamaOptions(),  # noqa: B008 - frozen
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        parallel: int = 1,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        expected: bool = False,
    ) -> None:
        """`expected`: somebody called for it, so it is not `absent` even if it was never found."""
        self.name = name
        self.context_tokens = options.context
        self.endpoints = tuple(endpoints)
        self._options = options
        self._timeouts = timeouts
        self._now = now
        self._sleep = sleep
        self._found = expected
        self._estimate = Estimate()
        self._admission = Admission(self.endpoints * parallel, self._best)

    @property
    def waiting(self) -> int:
        """How many requests stand in line."""
        return self._admission.waiting

    def tokens(self, text: str) -> int:
        """An estimate, never too low, of what a text costs."""
        return self._estimate.tokens(text)

    def why_not(self) -> str:
        """Why it is not asked now; empty when it is. Looks again where it is time to."""
        for endpoint in self.endpoints:
            if endpoint.breaker.due():
                self.look(endpoint)
        if all(endpoint.breaker.is_open for endpoint in self.endpoints):
            return self.endpoints[0].breaker.problem
        return ""

    def look(self, endpoint: Endpoint) -> None:
        """Ask a server, quickly, whether it is there and has the model."""
        try:
            names = endpoint.client.names()
        except ModelError as error:
            self._found = self._found or error.fault != "unreachable"
            endpoint.breaker.trip(error.problem)
            return
        self._found = True
        if not {self.name, f"{self.name}:latest"} & names:
            url = endpoint.client.url
            endpoint.breaker.trip(f"{url} has no {self.name!r}; there: ollama pull {self.name}")
            return
        endpoint.breaker.back()

    def load(self) -> None:
        """Have the servers load the model before it is asked; what fails is met again later."""
        for endpoint in self.endpoints:
            if not endpoint.breaker.is_open:
                with (
                    suppress(ModelError),
                    endpoint.client.lines(self._options.loading(self.name)) as lines,
                ):
                    list(lines)

    def close(self) -> None:
        """Close the connections."""
        for endpoint in self.endpoints:
            endpoint.client.close()

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """Thoughts and pieces as they come, then `ReplyEnd`; raises `ModelError`."""
        estimate = sum(self.tokens(one.content) + MESSAGE_TOKENS for one in request.messages)
        most = self._room(estimate, request.max_tokens)
        body = self._options.body(self.name, request, most)
        again = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=0.1, max=2),
            retry=tenacity.retry_if_exception_type(TransientError),
            sleep=self._sleep,
            reraise=True,
        )
        begun = again(self._begin, request, body, estimate)
        with begun.held:
            try:
                yield from self._reply(begun, most)
            except ModelError as error:
                self._failed(begun.endpoint, error)
                raise

    def _room(self, estimate: int, wanted: int) -> int:
        """Tokens left for the reply; a request that leaves too few is not worth its time."""
        room = self.context_tokens - estimate
        if room < wanted / 2:
            raise ModelError(
                "refused",
                f"about {estimate} tokens and {wanted} for the reply are more than the context of "
                f"{self.context_tokens}; show it less, or raise COPILOT_MODEL_CONTEXT",
            )
        return min(wanted, room)

    def _begin(self, request: ModelRequest, body: dict[str, JsonValue], estimate: int) -> _Begun:
        asked = self._now()
        if problem := self.why_not():
            raise self._not_asked(problem)
        with ExitStack() as stack:
            endpoint = stack.enter_context(
                self._admission.turn(request.priority, self._timeouts.queue_s)
            )
            if endpoint.breaker.is_open:
                raise self._not_asked(endpoint.breaker.problem)
            started = self._now()
            try:
                lines = stack.enter_context(endpoint.client.lines(body))
                first = next(lines, None)
            except ModelError as error:
                self._failed(endpoint, error)
                raise
            self._found = True
            if first is None:
                first, lines = ReplyLine(), iter(())
            return _Begun(
                endpoint, first, lines, stack.pop_all(), estimate, started - asked, started
            )

    def _not_asked(self, problem: str) -> ModelError:
        return ModelError("open" if self._found else "absent", f"not asked for a while: {problem}")

    def _failed(self, endpoint: Endpoint, error: ModelError) -> None:
        self._found = self._found or error.fault != "unreachable"
        if error.fault not in NOT_ITS_FAULT:
            weight = TIMEOUT_WEIGHT if error.fault == "timeout" else 1
            endpoint.breaker.failed(error.problem, weight)

    def _best(self, free: Sequence[Endpoint]) -> Endpoint | None:
        """The free server that failed least; one not asked now only where all are such."""
        closed = [one for one in free if not one.breaker.is_open]
        if not closed and any(not one.breaker.is_open for one in self.endpoints):
            return None
        return min(closed or free, key=lambda one: one.breaker.failures, default=None)

    def _reply(self, begun: _Begun, most: int) -> Iterator[ModelEvent]:
        unthink = ThinkingSplitter(hold=self._may_leak(begun.endpoint))
        line, lines = begun.first, 0
        while True:
            self._in_time(begun)
            try:
                events = unthink.feed(line.message.content)
                events += unthink.end() if line.done else []
            except LeakError as error:
                begun.endpoint.thinks_aloud = True
                raise ModelError("broken", "it thought aloud in the middle of a reply") from error
            lines += 1
            if lines > 2 * most + SLACK:
                raise ModelError("broken", f"it wrote on past the {most} tokens of its reply")
            if line.message.thinking:
                events = [Thought(text=line.message.thinking), *events]
            yield from self._noted(begun, events)
            if line.done:
                break
            following = next(begun.rest, None)
            if following is None:
                raise ModelError("broken", "the reply ended before its last word")
            line = following
        if begun.spoke:
            begun.endpoint.thinks_aloud = begun.endpoint.thinks_aloud or unthink.leaked
        begun.endpoint.breaker.succeeded()
        yield self._done(begun, line, most)

    def _may_leak(self, endpoint: Endpoint) -> bool:
        return not self._options.think and endpoint.thinks_aloud is not False

    def _noted(self, begun: _Begun, events: Sequence[ModelEvent]) -> Iterator[ModelEvent]:
        for event in events:
            begun.first_token_s = begun.first_token_s or self._now() - begun.started
            begun.spoke = begun.spoke or isinstance(event, Piece)
            yield event

    def _in_time(self, begun: _Begun) -> None:
        most = self._timeouts.first_token_s
        if not begun.first_token_s and self._now() - begun.started > most:
            raise ModelError("timeout", f"no first token after {most:g} s")

    def _done(self, begun: _Begun, last: ReplyLine, most: int) -> ReplyEnd:
        if not begun.spoke and last.done_reason == "length":
            raise ModelError(
                "truncated",
                f"thinking took all {most} tokens of the reply before a word of it; set "
                "COPILOT_MODEL_THINK=off, or use a tag that does not think",
            )
        if last.done_reason in ("load", "unload"):
            raise ModelError("broken", f"it only answered {last.done_reason!r}")
        self._check_count(begun, last.prompt_eval_count)
        return ReplyEnd(
            reason="length" if last.done_reason == "length" else "stop",
            model=self.name,
            prompt_tokens=last.prompt_eval_count,
            reply_tokens=last.eval_count,
            queued_s=begun.queued_s,
            load_s=last.load_duration / 1e9,
            first_token_s=begun.first_token_s,
            total_s=self._now() - begun.started,
        )

    def _check_count(self, begun: _Begun, counted: int | None) -> None:
        """A prompt far shorter than its estimate was cut, unless the server has room for it all.

        Old versions count only what was not in their cache; what they loaded tells it apart.
        """
        if counted is None:
            return
        self._estimate.counted(begun.estimate, counted)
        if counted >= SHORT * begun.estimate:
            return
        context = begun.endpoint.client.context_of(self.name)
        if context is None or context < self.context_tokens:
            raise ModelError(
                "truncated",
                f"about {begun.estimate} tokens were sent and {counted} read: it is loaded with a "
                f"context of {context or 'unknown size'}, {self.context_tokens} are required",
            )
