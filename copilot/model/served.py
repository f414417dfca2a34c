"""The `Model` port on one or several servers that share the work."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import tenacity

from copilot.model.admission import Admission
from copilot.model.estimates import MESSAGE_TOKENS, Estimate
from copilot.model.families import best_of, family_of
from copilot.model.faults import TransientError
from copilot.model.server import ModelServer, ReplyLine, ServingOptions, Timeouts
from copilot.model.thinking import LeakError, ThinkingSplitter
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


AUTO = "auto"
"""In place of a model's name: the best of those a server has."""

THOUGHT_TOKENS = 4_096
"""Room for thoughts beside the reply, which both count as written: a quarter of the 16,384 tokens
of context that are set by default, and with the largest prompt (8,500) they still fit."""

SLACK = 64
"""Lines of a stream beside those with a token: a line holds one token or more."""


@dataclass(slots=True, eq=False)
class Endpoint:
    """A server, how it has been, and whether its model was seen to think aloud (None: unknown)."""

    server: ModelServer
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
    limits: Timeouts
    unthink: ThinkingSplitter
    first_token_s: float = 0.0
    spoke: bool = False


class ServedModel:
    """One model on servers that share the work, behind one line.

    With the name `auto` it is the best of those the servers had when they were first looked at.
    """

    def __init__(
        self,
        name: str,
        endpoints: Sequence[Endpoint],
        options: ServingOptions = ServingOptions(),  # noqa: B008 - frozen
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

    def look(self, *endpoints: Endpoint) -> None:
        """Ask servers, quickly and all at once, whether they are there and have the model."""
        with ThreadPoolExecutor() as pool:
            has = dict(zip(endpoints, pool.map(self._names, endpoints), strict=True))
        there = {one: names for one, names in has.items() if names is not None}
        if self.name == AUTO:
            self.name = chosen(there) or AUTO
        for endpoint, names in there.items():
            if {self.name, f"{self.name}:latest"} & names:
                endpoint.breaker.back()
            else:
                endpoint.breaker.trip(lacks(endpoint.server, self.name, names))

    def _names(self, endpoint: Endpoint) -> frozenset[str] | None:
        try:
            names = endpoint.server.names()
        except ModelError as error:
            self._found = self._found or error.fault != "unreachable"
            endpoint.breaker.trip(error.problem)
            return None
        self._found = True
        return names

    def load(self) -> None:
        """Have the servers load the model before it is asked; what fails is met again later."""
        for endpoint in self.endpoints:
            if not endpoint.breaker.is_open:
                with suppress(ModelError):
                    endpoint.server.load(self.name, self._options)

    def close(self) -> None:
        """Close the connections."""
        for endpoint in self.endpoints:
            endpoint.server.close()

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """Thoughts and pieces as they come, then `ReplyEnd`; raises `ModelError`."""
        estimate = sum(self.tokens(one.content) + MESSAGE_TOKENS for one in request.messages)
        most = self._room(estimate, request)
        again = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=0.1, max=2),
            retry=tenacity.retry_if_exception_type(TransientError),
            sleep=self._sleep,
            reraise=True,
        )
        begun = again(self._begin, request, most, estimate)
        with begun.held:
            try:
                yield from self._reply(begun, most)
            except ModelError as error:
                self._failed(begun.endpoint, error, begun.limits)
                raise

    def _room(self, estimate: int, request: ModelRequest) -> int:
        """Tokens left for the reply; a request that leaves too few is not worth its time."""
        room, wanted = self.context_tokens - estimate, request.max_tokens
        if room < wanted / 2:
            raise ModelError(
                "refused",
                f"about {estimate} tokens and {wanted} for the reply are more than the context of "
                f"{self.context_tokens}; show it less, or raise COPILOT_MODEL_CONTEXT",
            )
        return min(wanted + (THOUGHT_TOKENS if self._thinks(request) else 0), room)

    def _thinks(self, request: ModelRequest) -> bool:
        """Whether it may think before it replies, told to or not."""
        if self._options.thought(self.name, request) is not False:
            return True
        aloud = [one.thinks_aloud for one in self.endpoints]
        return True in aloud or (family_of(self.name).thinks == "always" and False not in aloud)

    def _begin(self, request: ModelRequest, most: int, estimate: int) -> _Begun:
        asked = self._now()
        if problem := self.why_not():
            raise self._not_asked(problem)
        limits = self._timeouts.within(request)
        with ExitStack() as stack:
            endpoint = stack.enter_context(self._admission.turn(request.priority, limits.queue_s))
            if endpoint.breaker.is_open:
                raise self._not_asked(endpoint.breaker.problem)
            started = self._now()
            if request.within_s is not None:
                left = max(0.1, request.within_s - (started - asked))
                request = request.model_copy(update={"within_s": left})
                limits = self._timeouts.within(request)
            try:
                lines = stack.enter_context(
                    endpoint.server.lines(self.name, request, most, self._options)
                )
                first = next(lines, None)
            except ModelError as error:
                self._failed(endpoint, error, limits)
                raise
            self._found = True
            if first is None:
                first, lines = ReplyLine(), iter(())
            told = self._options.thought(self.name, request, endpoint.server.api)
            unthink = ThinkingSplitter(
                hold=told in (False, "low") and endpoint.thinks_aloud is not False
            )
            queued, held = started - asked, stack.pop_all()
            return _Begun(endpoint, first, lines, held, estimate, queued, started, limits, unthink)

    def _not_asked(self, problem: str) -> ModelError:
        return ModelError("open" if self._found else "absent", f"not asked for a while: {problem}")

    def _failed(self, endpoint: Endpoint, error: ModelError, limits: Timeouts) -> None:
        """Count it against the server, unless it was given less time than it may take."""
        self._found = self._found or error.fault != "unreachable"
        hurried = error.fault == "timeout" and limits.first_token_s < self._timeouts.first_token_s
        if error.fault not in NOT_ITS_FAULT and not hurried:
            weight = TIMEOUT_WEIGHT if error.fault == "timeout" else 1
            endpoint.breaker.failed(error.problem, weight)

    def _best(self, free: Sequence[Endpoint]) -> Endpoint | None:
        """The free server that failed least, then the least loaded.

        One that is not asked now is taken only where all are such.
        """
        closed = [one for one in free if not one.breaker.is_open]
        if not closed and any(not one.breaker.is_open for one in self.endpoints):
            return None
        known = closed or free
        return min(known, key=lambda one: (one.breaker.failures, -known.count(one)), default=None)

    def _reply(self, begun: _Begun, most: int) -> Iterator[ModelEvent]:
        unthink, line, lines = begun.unthink, begun.first, 0
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

    def _noted(self, begun: _Begun, events: Sequence[ModelEvent]) -> Iterator[ModelEvent]:
        for event in events:
            begun.first_token_s = begun.first_token_s or self._now() - begun.started
            begun.spoke = begun.spoke or isinstance(event, Piece)
            yield event

    def _in_time(self, begun: _Begun) -> None:
        most = begun.limits.first_token_s
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
        server = begun.endpoint.server
        context = server.context_of(self.name)
        if context is None and server.api == "openai":
            return  # such servers refuse what is too long, and seldom say what they allow
        if context is None or context < self.context_tokens:
            raise ModelError(
                "truncated",
                f"about {begun.estimate} tokens were sent and {counted} read: it is loaded with a "
                f"context of {context or 'unknown size'}, {self.context_tokens} are required",
            )


def chosen(has: Mapping[Endpoint, frozenset[str]]) -> str:
    """The best model of the servers; else the only one of a server set up to serve just that."""
    best = best_of(frozenset[str]().union(*has.values()))
    only = [names for one, names in has.items() if one.server.api == "openai" and len(names) == 1]
    return best or next((name for names in only for name in names), "")


def lacks(server: ModelServer, name: str, names: frozenset[str]) -> str:
    """That a server lacks a model, and what to do about it."""
    listed = ", ".join(sorted(names)[:8]) or "nothing"
    if name == AUTO:
        return (
            f"{server.url} has none of the models that auto takes, but {listed}: set COPILOT_MODEL"
        )
    if server.api == "openai":
        return f"{server.url} has no {name!r}, but {listed}: set COPILOT_MODEL"
    return f"{server.url} has no {name!r}; there: ollama pull {name}"
