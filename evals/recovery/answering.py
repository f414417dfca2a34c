"""Who answers for the `llm` arm: a model at an address, or a scripted policy that is none."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from copilot.testing.ollama import NoisePolicy, ReplyPolicy, ollama_server
from copilot.testing.policies import GoodPolicy, InjectedPolicy, LyingPolicy, ServedPolicy

AnsweringPolicy = Literal["good", "lying", "injected", "noise"]
LABEL = "llm (scripted policy, not a model)"

_POLICIES: Mapping[AnsweringPolicy, ReplyPolicy] = {
    "good": ServedPolicy(GoodPolicy()),
    "lying": ServedPolicy(LyingPolicy()),
    "injected": ServedPolicy(InjectedPolicy()),
    "noise": NoisePolicy(),
}


@dataclass(frozen=True, slots=True)
class AnsweringModel:
    """An Ollama server and a model of it; without an address a server of our own."""

    url: str = ""
    model: str = ""
    policy: AnsweringPolicy = "good"

    @property
    def label(self) -> str:
        """The head of its column."""
        return f"llm ({self.model or 'default model'})" if self.url else LABEL


@contextmanager
def answering(who: AnsweringModel | None) -> Iterator[dict[str, Any]]:
    """The settings that lead to whoever answers; none at all for the other arms."""
    if who is None:
        yield {"model_use": "off"}
    elif who.url:
        name = {"model": who.model} if who.model else {}
        yield {"model_use": "on", "model_url": who.url, **name}
    else:
        with ollama_server(_POLICIES[who.policy]) as server:
            yield {"model_use": "on", "model_url": server.url}
