"""A reply as what is written to the connection: the happy way, and each way it goes wrong."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from copilot.testing.ollama.counting import pieces, tokens
from copilot.testing.ollama.protocol import ToolCall
from copilot.testing.ollama.reply import OllamaReply, ReplyScenario


@dataclass(frozen=True, slots=True)
class ScriptedPause:
    """Nothing for some seconds; None is until the client goes away or the server lets go."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """A status and a body in place of a stream."""

    status: int
    body: str
    content_type: str = "application/json; charset=utf-8"
    location: str = ""


@dataclass(frozen=True, slots=True)
class RawBytes:
    """Bytes, as they are."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class ConnectionDrop:
    """The end before the end; `reset` is a TCP reset, else it looks like an ordinary end."""

    reset: bool = False


ScriptedAction = ScriptedPause | ErrorResponse | RawBytes | ConnectionDrop


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What is known of the request when its reply is written."""

    model: str
    created_at: str
    thinks: bool
    leaks: bool
    prompt_tokens: int
    room: int
    load_ns: int


def script(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    """Everything that is written, in order."""
    return _WAYS[reply.scenario](reply, turn)


def frame(turn: ReplyContext, message: dict[str, object]) -> RawBytes:
    """One line of the stream."""
    line = {
        "model": turn.model,
        "created_at": turn.created_at,
        "message": {"role": "assistant", "content": "", **message},
        "done": False,
    }
    return RawBytes(_encoded(line))


def last(
    turn: ReplyContext, said: int, reason: str, *, calls: Sequence[ToolCall] = (), **changed: int
) -> RawBytes:
    """The line that is done, with its counters; zero ones are left out, as the server does."""
    message: dict[str, object] = {"role": "assistant", "content": ""}
    if calls:
        message["tool_calls"] = [_call(number, one) for number, one in enumerate(calls)]
    counters = {
        "total_duration": turn.load_ns + 1_000_000 * (turn.prompt_tokens + said),
        "load_duration": turn.load_ns,
        "prompt_eval_count": turn.prompt_tokens,
        "prompt_eval_duration": 1_000_000 * turn.prompt_tokens,
        "eval_count": said,
        "eval_duration": 1_000_000 * said,
        **changed,
    }
    line = {
        "model": turn.model,
        "created_at": turn.created_at,
        "message": message,
        "done": True,
        "done_reason": reason,
        **{name: value for name, value in counters.items() if value},
    }
    return RawBytes(_encoded(line))


def error(text: str) -> RawBytes:
    """An error in the middle of a stream."""
    return RawBytes(_encoded({"error": text}))


def _encoded(line: dict[str, object]) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _call(number: int, call: ToolCall) -> dict[str, object]:
    function = {
        "index": number,
        "name": call.function.name,
        "arguments": call.function.arguments,
    }
    return {"id": call.id or f"call_{number:08x}", "function": function}


def _spoken(reply: OllamaReply, turn: ReplyContext) -> tuple[list[RawBytes], int, bool]:
    """The frames of a reply, the tokens it took, and whether it ended before its room did."""
    thoughts = pieces(reply.thinking) if turn.thinks or turn.leaks else []
    words = pieces(reply.text)
    if thoughts and turn.leaks:
        words, thoughts = [*thoughts, "\n</think>\n\n", *words], []
    frames = [frame(turn, {"thinking": one}) for one in thoughts]
    frames += [frame(turn, {"content": one}) for one in words]
    cost = len(tokens(reply.thinking if turn.thinks or turn.leaks else "")) + len(
        tokens(reply.text)
    )
    return frames[: turn.room], min(cost, turn.room), len(frames) <= turn.room


def _plain(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    frames, said, whole = _spoken(reply, turn)
    calls = [frame(turn, {"tool_calls": [_call(n, one)]}) for n, one in enumerate(reply.calls)]
    return [*frames, *calls, last(turn, said, "stop" if whole else "length")]


def _half(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    frames, _, _ = _spoken(reply, turn)
    return list(frames[: max(1, len(frames) // 2)])


def _after_half(
    *actions: ScriptedAction,
) -> Callable[[OllamaReply, ReplyContext], list[ScriptedAction]]:
    return lambda reply, turn: [*_half(reply, turn), *actions]


def _refusing(
    status: int, text: str
) -> Callable[[OllamaReply, ReplyContext], list[ScriptedAction]]:
    return lambda _reply, _turn: [ErrorResponse(status, json.dumps({"error": text}))]


def _waiting(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    return [ScriptedPause(reply.wait_s), *_plain(reply, turn)]


def _trickle(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    return [
        step for action in _plain(reply, turn) for step in (ScriptedPause(reply.wait_s), action)
    ]


def _half_line(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    return [
        *_half(reply, turn),
        RawBytes(frame(turn, {"content": "never ends"}).raw[:40]),
        ConnectionDrop(),
    ]


def _reset(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    cut = frame(turn, {"content": "never ends"}).raw[:40]
    return [*_half(reply, turn), RawBytes(cut), ConnectionDrop(reset=True)]


def _empty(_reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    return [last(turn, 1, "stop")]


def _only_thinking(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    thoughts = pieces(reply.thinking or "Hmm, let me think about that. ")
    said = [frame(turn, {"thinking": one}) for one in thoughts]
    return [*said, last(turn, turn.room, "length")]


def _cut_short(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    return [*_half(reply, turn), last(turn, turn.room, "length")]


def _aloud(opening: str) -> Callable[[OllamaReply, ReplyContext], list[ScriptedAction]]:
    def way(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
        thought = reply.thinking or "The user asks. I look at the evidence."
        text = f"{opening}{thought}\n</think>\n\n{reply.text}"
        return _plain(reply.model_copy(update={"text": text, "thinking": ""}), turn)

    return way


def _split_utf8(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    raw = b"".join(one.raw for one in _plain(reply, turn) if isinstance(one, RawBytes))
    return [RawBytes(raw[start : start + 7]) for start in range(0, len(raw), 7)]


def _worded(form: str) -> Callable[[OllamaReply, ReplyContext], list[ScriptedAction]]:
    return lambda reply, turn: _plain(
        reply.model_copy(update={"text": form.replace("{}", reply.text)}), turn
    )


def _calls_at_end(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    frames, said, _ = _spoken(reply, turn)
    return [*frames, last(turn, said, "stop", calls=reply.calls)]


def _call_as_text(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    calls = "".join(
        f"<tool_call>\n{one.function.model_dump_json(exclude={'index'})}\n</tool_call>"
        for one in reply.calls
    )
    return _plain(OllamaReply(text=reply.text + calls), turn)


def _repeats(_reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    return [*[frame(turn, {"content": "the "})] * 31, ConnectionDrop()]


def _uncounted(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    frames, said, _ = _spoken(reply, turn)
    return [*frames, last(turn, said, "stop", prompt_eval_count=0, eval_count=0)]


def _cut(reply: OllamaReply, turn: ReplyContext) -> list[ScriptedAction]:
    frames, said, _ = _spoken(reply, turn)
    read = max(1, turn.prompt_tokens // 8)
    return [*frames, last(turn, said, "stop", prompt_eval_count=read)]


_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
CRASHED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal "
    "error, check ollama server logs for details"
)
_BUSY = "server busy, please try again.  maximum pending requests exceeded"

_WAYS: dict[ReplyScenario, Callable[[OllamaReply, ReplyContext], list[ScriptedAction]]] = {
    "plain": _plain,
    "slow_load": _waiting,
    "slow_first_token": _waiting,
    "trickle": _trickle,
    "hangs": lambda _reply, _turn: [ScriptedPause(None)],
    "hangs_midway": _after_half(ScriptedPause(None)),
    "dropped": _after_half(ConnectionDrop()),
    "reset": _reset,
    "half_line": _half_line,
    "error_line": _after_half(error(CRASHED)),
    "garbage_line": _after_half(RawBytes(b"<!-- upstream reset -->\n")),
    "bad_request": _refusing(400, "invalid options: num_ctx"),
    "unauthorized": _refusing(401, "unauthorized"),
    "not_found": lambda _reply, turn: [
        ErrorResponse(404, json.dumps({"error": f"model '{turn.model}' not found"}))
    ],
    "cancelled": _refusing(499, "request canceled"),
    "crashed": _refusing(500, CRASHED),
    "no_query": _refusing(500, "no user query found in messages"),
    "bad_gateway": lambda _reply, _turn: [
        ErrorResponse(502, _PAGE.format("502 Bad Gateway"), "text/html")
    ],
    "busy": _refusing(503, _BUSY),
    "redirect": lambda _reply, _turn: [ErrorResponse(302, "", location="https://login.example/")],
    "html": lambda _reply, _turn: [ErrorResponse(200, _PAGE.format("Sign in"), "text/html")],
    "empty": _empty,
    "only_thinking": _only_thinking,
    "length": _cut_short,
    "leaked": _aloud("<think>\n"),
    "orphan": _aloud(""),
    "split_utf8": _split_utf8,
    "fenced": _worded("```json\n{}\n```"),
    "trailing": _worded("{}\n\nI hope this helps!"),
    "tool_call": _plain,
    "tool_call_at_end": _calls_at_end,
    "tool_call_as_text": _call_as_text,
    "repeats": _repeats,
    "uncounted": _uncounted,
    "cut": _cut,
}
