"""What a server's refusal means, and whether asking again may help."""

import json
import re

from copilot.model.families import ModelApi
from copilot.ports import ModelError, ModelFault


class TransientError(ModelError):
    """May be over in a moment; asked again, as long as no token has come."""


_BY_STATUS: dict[int, tuple[ModelFault, str]] = {
    401: ("refused", "it wants a key: set COPILOT_MODEL_KEY"),
    403: ("refused", "it does not let this key in: check COPILOT_MODEL_KEY"),
    407: ("refused", "the proxy wants a password: check COPILOT_MODEL_PROXY"),
    400: ("refused", ""),
    413: ("refused", "what stands before it takes no request as long as this"),
    429: ("busy", ""),
    499: ("broken", ""),
    502: ("unreachable", "what stands before it cannot reach it"),
    503: ("busy", ""),
    504: ("timeout", "what stands before it waited no longer"),
}
_PASSING = frozenset({429, 502, 503})
_TOO_LONG = (
    "exceed_context_size",
    "exceeds the available context",
    "longer than the context",
    "maximum context length",
)
"""How Ollama, llama.cpp and vLLM say that a request is too long for them."""


def of_status(status: int, said: str, url: str, api: ModelApi = "ollama") -> ModelError:
    """Turn an HTTP status and its body into a `ModelError`, transient where it may pass."""
    said = _error_of(said)
    if 300 <= status < 400:
        return ModelError("unreachable", f"{url} sends elsewhere, to {said!r}: set that address")
    if status == 404:
        return _not_found(said, url, api)
    fault, meaning = _BY_STATUS.get(status, ("broken", ""))
    problem = f"{url} answers {status}: {said}" + (f" ({meaning})" if meaning else "")
    if "does not support thinking" in said:
        problem += " (set COPILOT_MODEL_THINK=off)"
    if any(words in said for words in _TOO_LONG):
        return ModelError("refused", f"the request is too long: {said}")
    return TransientError(fault, problem) if status in _PASSING else ModelError(fault, problem)


def stream_fault(said: str) -> ModelError:
    """The fault behind an `error` line in the middle of a stream."""
    if any(words in said for words in _TOO_LONG):
        return ModelError("refused", f"the request is too long: {said}")
    return ModelError("broken", f"it broke off: {said[:300]}")


def _not_found(said: str, url: str, api: ModelApi) -> ModelError:
    if "model" in said and ("not found" in said or "not exist" in said):
        if api == "openai":
            return ModelError("missing", f"{said}; set COPILOT_MODEL to a model that {url} serves")
        named = re.search(r"""model ['"]([^'"]+)""", said)
        name = named[1] if named else "<model>"
        return ModelError("missing", f"{said}; run where {url} is: ollama pull {name}")
    if api == "openai":
        return ModelError("unreachable", f"{url} speaks no OpenAI API: 404 {said}")
    return ModelError(
        "unreachable",
        f"{url} is no Ollama: 404 {said}; where it speaks OpenAI's API the address ends in /v1",
    )


def _error_of(body: str) -> str:
    """The `error` of a JSON body, as Ollama or OpenAI writes it, else the body itself, short."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return " ".join(body.split())[:300]
    said = parsed.get("error", parsed.get("message", body)) if isinstance(parsed, dict) else body
    said = said.get("message", body) if isinstance(said, dict) else said
    return str(said)[:300]
