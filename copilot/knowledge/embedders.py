"""Which embedder is in force, and why: chosen once, said plainly."""

from dataclasses import dataclass
from typing import Literal

Way = Literal["ollama", "sentence-transformers", "none"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The way to embed, and one sentence that says why it is this one."""

    way: Way
    reason: str


def choose(
    wanted: Literal["auto", "ollama", "sentence-transformers", "none"],
    *,
    ollama: bool,
    local: bool,
) -> Chosen:
    """The way that was asked for, or the first that is at hand: Ollama, a local model, none."""
    if wanted != "auto":
        return Chosen(wanted, f"embedder is set to {wanted!r}")
    if ollama:
        return Chosen("ollama", "auto: the Ollama server has the model")
    if local:
        return Chosen("sentence-transformers", "auto: no Ollama with the model, a local one is")
    return Chosen("none", "auto: neither Ollama nor a local model is at hand; words only")
