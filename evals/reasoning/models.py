"""Who answers: a model at an address, or a scripted policy behind a server of our own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from copilot import settings, wiring
from copilot.ports import Model
from copilot.testing.ollama import (
    DeadPolicy,
    LazyPolicy,
    LoopingPolicy,
    NoisePolicy,
    ReplyPolicy,
    ollama_server,
)
from copilot.testing.policies import GoodPolicy, InjectedPolicy, LyingPolicy, ServedPolicy

StandInName = Literal["good", "lazy", "looping", "lying", "injected", "noise", "dead"]

POLICIES: Mapping[StandInName, ReplyPolicy] = {
    "good": ServedPolicy(GoodPolicy()),
    "lazy": LazyPolicy(),
    "looping": LoopingPolicy(),
    "lying": ServedPolicy(LyingPolicy()),
    "injected": ServedPolicy(InjectedPolicy()),
    "noise": NoisePolicy(),
    "dead": DeadPolicy(),
}

LABEL = "scripted policy, not a model: shows the path, says nothing of quality"

DEAD_S = 2.0
"""How long a dead server is waited for here; in production it is a setting."""


@contextmanager
def scripted(policy: StandInName) -> Iterator[Model]:
    """The policy behind the real protocol and the real adapter."""
    with ollama_server(POLICIES[policy]) as server:
        patience = DEAD_S if policy == "dead" else 60.0
        with at(server.url, "qwen3:30b", first_token_s=patience) as model:
            yield model


@contextmanager
def at(url: str, name: str, *, seed: int = 42, first_token_s: float = 180.0) -> Iterator[Model]:
    """A model at an Ollama server."""
    loaded = settings.load(
        model_url=url,
        model=name,
        model_use="on",
        model_seed=seed,
        model_first_token_s=first_token_s,
    )
    with wiring.model(loaded) as (model, how):
        if model is None:
            raise SystemExit(f"no model: {how}")
        yield model
