"""Models that know nothing of our questions, only of the request: what any of them may be like."""

import json
import threading
from collections import deque
from collections.abc import Sequence
from random import Random

from pydantic import JsonValue

from copilot.testing.ollama import noise, pattern
from copilot.testing.ollama.protocol import ChatRequest
from copilot.testing.ollama.reply import OllamaReply, ReplyPolicy, ReplyScenario


class ScriptedPolicy:
    """What was put in, in order; then always the last of it."""

    def __init__(self, *replies: OllamaReply | str) -> None:
        self._replies = deque(_reply(one) for one in replies)
        self._last = OllamaReply()
        self._lock = threading.Lock()

    def enqueue(self, *replies: OllamaReply | str) -> None:
        """Add replies."""
        self._replies.extend(map(_reply, replies))

    def __call__(self, request: ChatRequest) -> OllamaReply:
        with self._lock:
            if self._replies:
                self._last = self._replies.popleft()
            return self._last


class NoisePolicy:
    """Random words, or random values that satisfy the schema asked for."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = Random(seed)
        self._lock = threading.Lock()

    def __call__(self, request: ChatRequest) -> OllamaReply:
        with self._lock:
            if request.schema_asked is not None:
                return OllamaReply(text=noise.fitting(request.schema_asked, self._rng))
            return OllamaReply(text=noise.text(self._rng))


class DeadPolicy:
    """Accepts the question and never answers."""

    def __call__(self, request: ChatRequest) -> OllamaReply:
        return OllamaReply(scenario="hangs")


class LazyPolicy:
    """The least that can be said: nothing, or the emptiest values that satisfy the schema."""

    def __call__(self, request: ChatRequest) -> OllamaReply:
        if request.schema_asked is not None:
            return OllamaReply(text=json.dumps(least(request.schema_asked, request.schema_asked)))
        return OllamaReply(text="I don't know.")


class LoopingPolicy:
    """The same reply, whatever is asked: what it said first, or the text it was given."""

    def __init__(self, text: str | None = None, seed: int = 0) -> None:
        self._reply = None if text is None else OllamaReply(text=text)
        self._first = NoisePolicy(seed)
        self._lock = threading.Lock()

    def __call__(self, request: ChatRequest) -> OllamaReply:
        with self._lock:
            if self._reply is None:
                self._reply = self._first(request)
            return self._reply


FAILURES: tuple[ReplyScenario, ...] = (
    "dropped",
    "reset",
    "half_line",
    "error_line",
    "garbage_line",
    "crashed",
    "bad_gateway",
    "busy",
    "html",
    "empty",
    "only_thinking",
    "length",
    "leaked",
    "orphan",
    "split_utf8",
    "fenced",
    "trailing",
    "repeats",
    "uncounted",
)
"""What may happen to any reply without anybody waiting long."""


class ChaosPolicy:
    """Another policy, some of whose replies go wrong on their way; the same ones for a seed."""

    def __init__(
        self,
        policy: ReplyPolicy,
        seed: int = 0,
        rate: float = 0.3,
        failures: Sequence[ReplyScenario] = FAILURES,
    ) -> None:
        self._policy = policy
        self._rng = Random(seed)
        self._rate = rate
        self._failures = failures
        self._lock = threading.Lock()

    def __call__(self, request: ChatRequest) -> OllamaReply:
        reply = self._policy(request)
        with self._lock:
            if self._rng.random() >= self._rate:
                return reply
            return reply.model_copy(update={"scenario": self._rng.choice(self._failures)})


def least(schema: noise.JsonSchema, root: noise.JsonSchema) -> JsonValue:
    """The emptiest value of a schema."""
    schema = noise.resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if "default" in schema:
        return schema["default"]
    for key in ("enum", "anyOf", "oneOf"):
        if isinstance(options := schema.get(key), list):
            last = options[-1]
            return least(last, root) if key != "enum" and isinstance(last, dict) else last
    return _least_typed(schema, root)


def _least_typed(schema: noise.JsonSchema, root: noise.JsonSchema) -> JsonValue:
    match schema.get("type"):
        case "object":
            properties, needed = schema.get("properties"), schema.get("required")
            if not isinstance(properties, dict) or not isinstance(needed, list):
                return {}
            return {
                name: least(of, root)
                for name, of in properties.items()
                if name in needed and isinstance(of, dict)
            }
        case "array":
            if isinstance(fixed := schema.get("prefixItems"), list):
                return [least(of, root) for of in fixed if isinstance(of, dict)]
            of, fewest = schema.get("items"), schema.get("minItems")
            if not isinstance(of, dict) or not isinstance(fewest, int):
                return []
            return [least(of, root) for _ in range(fewest)]
        case "string":
            if isinstance(shape := schema.get("pattern"), str):
                return pattern.matching(shape, Random(0))
            fewest = schema.get("minLength")
            return "?" * fewest if isinstance(fewest, int) else ""
        case "integer" | "number":
            above = schema.get("exclusiveMinimum")
            low = above + 1 if isinstance(above, int | float) else schema.get("minimum")
            return low if isinstance(low, int | float) else 0
        case "boolean":
            return False
    return None


def _reply(one: OllamaReply | str) -> OllamaReply:
    return OllamaReply(text=one) if isinstance(one, str) else one
