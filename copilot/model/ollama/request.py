"""What a request to Ollama carries, the same for all but what its question needs.

A request whose context length differs from the loaded one makes the server load the model anew:
tens of seconds for 19 GB. So chat, responder and evals all send the same, from here. Thinking and
sampling need no load. Why these options: docs/decisions/model.md.
"""

from collections.abc import Sequence

from pydantic import JsonValue

from copilot.model.families import SamplingAdvice, family_of
from copilot.model.server import ServingOptions
from copilot.types.model_io import Message, ModelRequest


def loading(model: str, options: ServingOptions) -> dict[str, JsonValue]:
    """A request that only loads the model, with what every other one will ask of it."""
    return {
        **_constant(model, options),
        "think": False,
        "messages": [],
        "stream": True,
        "options": _options(options, family_of(model).plain),
    }


def chat(
    model: str, request: ModelRequest, most: int, options: ServingOptions
) -> dict[str, JsonValue]:
    """A chat that streams at most `most` tokens."""
    thought = options.thought(model, request)
    body: dict[str, JsonValue] = {
        **_constant(model, options),
        "think": thought,
        "messages": _messages(request.messages),
        "stream": True,
        "options": {
            **_options(options, family_of(model).sampling(thought)),
            "seed": options.seed + request.attempt,
            "num_predict": most,
        },
    }
    if request.reply_schema is not None:
        body["format"] = request.reply_schema
    return body


def _constant(model: str, options: ServingOptions) -> dict[str, JsonValue]:
    # Without these two a server cuts what is too long for it, and says nothing.
    return {"model": model, "keep_alive": options.keep_alive, "truncate": False, "shift": False}


def _options(options: ServingOptions, sampling: SamplingAdvice | None) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {"seed": options.seed, "num_ctx": options.context}
    if sampling is not None:
        drawn = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
        }
        found |= {name: value for name, value in drawn.items() if value is not None}
    return found


def _messages(messages: Sequence[Message]) -> list[JsonValue]:
    return [{"role": one.role, "content": one.content} for one in messages]
