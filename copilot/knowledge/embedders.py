"""Which embedder is in force, and why: chosen once, said plainly."""

from dataclasses import dataclass
from typing import Literal

EmbedderKind = Literal["ollama", "sentence-transformers", "none"]


@dataclass(frozen=True, slots=True)
class EmbedderChoice:
    """The way to embed, and one sentence that says why it is this one."""

    way: EmbedderKind
    reason: str


def choose(
    wanted: Literal["auto", "ollama", "sentence-transformers", "none"],
    *,
    ollama: bool,
    local: bool,
) -> EmbedderChoice:
    """The way that was asked for, or the first that is at hand: Ollama, a local model, none."""
    if wanted != "auto":
        return EmbedderChoice(wanted, f"embedder is set to {wanted!r}")
    if ollama:
        return EmbedderChoice("ollama", "auto: the Ollama server has the model")
    if local:
        return EmbedderChoice(
            "sentence-transformers", "auto: no Ollama with the model, a local one is"
        )
    return EmbedderChoice("none", "auto: neither Ollama nor a local model is at hand; words only")
