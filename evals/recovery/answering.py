"""Who answers for the `llm` arm: a model at an address, or a scripted policy that is none."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from copilot.testing.ollama import Noise, Policy, ollama_server
from copilot.testing.policies import Good, Injected, Lying, Served

PolicyName = Literal["good", "lying", "injected", "noise"]
LABEL = "llm (scripted policy, not a model)"

_POLICIES: Mapping[PolicyName, Policy] = {
    "good": Served(Good()),
    "lying": Served(Lying()),
    "injected": Served(Injected()),
    "noise": Noise(),
}


@dataclass(frozen=True, slots=True)
class Answering:
    """An Ollama server and a model of it; without an address a server of our own."""

    url: str = ""
    model: str = ""
    policy: PolicyName = "good"

    @property
    def label(self) -> str:
        """The head of its column."""
        return f"llm ({self.model or 'default model'})" if self.url else LABEL


@contextmanager
def answering(who: Answering | None) -> Iterator[dict[str, Any]]:
    """The settings that lead to whoever answers; none at all for the other arms."""
    if who is None:
        yield {"model_use": "off"}
    elif who.url:
        name = {"model": who.model} if who.model else {}
        yield {"model_use": "on", "model_url": who.url, **name}
    else:
        with ollama_server(_POLICIES[who.policy]) as server:
            yield {"model_use": "on", "model_url": server.url}
