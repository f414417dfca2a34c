"""What the model behind the server says, and how the answer goes wrong on its way."""

from typing import Literal, Protocol

from copilot.testing.ollama.protocol import ChatRequest, ToolCall
from tools.types import FrozenModel

ReplyScenario = Literal[
    "plain",  # as it should be
    "slow_load",  # the model is loaded first: nothing for `wait_s`, and load_duration says so
    "slow_first_token",  # nothing for `wait_s`, then as it should be
    "trickle",  # `wait_s` before each piece
    "hangs",  # accepts, and never says anything
    "hangs_midway",  # says half, then nothing
    "dropped",  # the stream ends well before `done`: what the guard against repetition does
    "reset",  # the connection is reset in the middle of a line
    "half_line",  # the stream ends in the middle of a line
    "error_line",  # an `error` in the middle of the stream; the status is 200
    "garbage_line",  # a line that is not JSON
    "bad_request",  # 400
    "unauthorized",  # 401 of a proxy
    "not_found",  # 404
    "cancelled",  # 499
    "crashed",  # 500: the runner stopped
    "no_query",  # 500: no user query found, after messages were cut
    "bad_gateway",  # 502 in HTML, of a proxy
    "busy",  # 503
    "redirect",  # 302 to somewhere else
    "html",  # 200 in HTML: a login page
    "empty",  # no text, stop
    "only_thinking",  # thinking used up num_predict: no text, length
    "length",  # cut at num_predict
    "leaked",  # <think>…</think> in the text
    "orphan",  # thinking, then </think>, in the text
    "split_utf8",  # characters split over two writes
    "fenced",  # the JSON in a Markdown fence
    "trailing",  # prose after the JSON
    "tool_call",  # the calls in chunks of their own
    "tool_call_at_end",  # all calls in the line that is done
    "tool_call_as_text",  # a call as text
    "repeats",  # one token again and again, then aborted without `done`
    "uncounted",  # the counters are left out
    "cut",  # prompt_eval_count as of a server that read only the end
]


class OllamaReply(FrozenModel):
    """A reply. `thinking` goes to its own field where the request thinks, else nowhere."""

    text: str = ""
    thinking: str = ""
    scenario: ReplyScenario = "plain"
    calls: tuple[ToolCall, ...] = ()
    wait_s: float = 0.0


class ReplyPolicy(Protocol):
    """Decides what the model says, from the request as far as it fits the context."""

    def __call__(self, request: ChatRequest, /) -> OllamaReply: ...
