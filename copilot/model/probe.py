"""One look at how a model answers: does it keep to a schema, call a tool, and how fast is it."""

import json
import time
from collections.abc import Iterator
from contextlib import closing

from pydantic import JsonValue

from copilot.model.served import Endpoint, ServedModel
from copilot.model.server import ModelServer, ServingOptions, Timeouts
from copilot.ports import ModelError
from copilot.types.breaker import Breaker
from copilot.types.checks import Check
from copilot.types.model_io import Message, ModelRequest, Piece, ReplyEnd, Thought

_SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 120},
        "slower": {"enum": ["checkout", "cart"]},
    },
    "required": ["reason", "slower"],
    "additionalProperties": False,
}
_QUESTION = (
    "checkout answers in 900 ms, it was 90 ms. cart answers in 40 ms, it was 38 ms. Which of the "
    "two became slower? Answer in one short sentence."
)
"""It asks for a sentence: only the schema makes a reply JSON."""

DIAGNOSIS_PROMPT, DIAGNOSIS_REPLY = 4_000, 500
"""Tokens of a usual diagnosis: 2,788 to 6,349 shown and 130 to 508 written over four incidents,
counted with Qwen's vocabulary (`python -m evals run reasoning` prints those of yours)."""


def probed(
    server: ModelServer,
    name: str,
    options: ServingOptions,
    timeouts: Timeouts,
    budget_s: float,
) -> Iterator[Check]:
    """What one question with a schema and one with a tool show, and what to set for it."""
    model = ServedModel(name, [Endpoint(server, Breaker(time.monotonic))], options, timeouts)
    request = ModelRequest(
        messages=(Message(role="user", content=_QUESTION * 4),),
        reply_schema=_SCHEMA,
        max_tokens=120,
        priority="eval",
    )
    text, thought, end = "", False, None
    try:
        with closing(model.stream(request)) as events:  # type: ignore[type-var]
            for event in events:
                text += event.text if isinstance(event, Piece) else ""
                thought = thought or isinstance(event, Thought)
                end = event if isinstance(event, ReplyEnd) else end
    except ModelError as error:
        yield Check("asked", "missing", f"it gave no whole reply: {error.problem}", "see its log")
        return
    yield _schema_check(text, thought, options)
    if end is not None:
        yield from speed_checks(end, budget_s)
    yield _tools_check(server, name, options)


def _schema_check(text: str, thought: bool, options: ServingOptions) -> Check:
    how = "having thought" if thought else "without thinking"
    if _fits(text):
        return Check("schema", "ok", f"kept to, {how}")
    if options.think is True:
        advice = "its replies will seldom be usable: take another model (docs/model.md)"
    else:
        advice = (
            "the server ignores the schema of a reply with thinking off: COPILOT_MODEL_THINK=true, "
            "or another model (docs/model.md)"
        )
    return Check("schema", "missing", f"not kept to, {how}: {text[:80]!r}", advice)


def _fits(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("slower") in ("checkout", "cart")


def speed_checks(end: ReplyEnd, budget_s: float) -> Iterator[Check]:
    """Tokens a second, and whether a diagnosis fits the seconds of an incident."""
    shown, written = end.prompt_tokens or 0, end.reply_tokens or 0
    reading_s = max(1e-3, end.first_token_s - end.load_s)
    writing_s = max(1e-3, end.total_s - end.first_token_s)
    reads, writes = shown / reading_s, max(0, written - 1) / writing_s
    if not reads or not writes:
        return
    loads = f", after {end.load_s:.0f} s of loading" if end.load_s >= 1 else ""
    found = f"reads about {reads:.0f} and writes {writes:.0f} tokens a second{loads}"
    takes = DIAGNOSIS_PROMPT / reads + DIAGNOSIS_REPLY / writes
    needs = 10 * round(3 * takes / 10 + 0.5)
    if takes > budget_s / 3:
        advice = (
            f"a diagnosis would take about {takes:.0f} s; three questions need "
            f"COPILOT_MODEL_S={needs} ({budget_s:g} now)"
        )
        yield Check("speed", "missing", found, advice)
    else:
        yield Check("speed", "ok", f"{found}: a diagnosis takes about {takes:.0f} s")


def _tools_check(server: ModelServer, name: str, options: ServingOptions) -> Check:
    """Calls of tools are not needed here; what speaks MCP or builds on it may want them."""
    try:
        called = server.calls_tools(name, options)
    except ModelError as error:
        return Check("tool calls", "ok", f"none: {error.problem} (none are needed here)")
    return Check("tool calls", "ok", "called" if called else "not called; none are needed here")
