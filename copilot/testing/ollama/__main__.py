"""`python -m copilot.testing.ollama`: the scripted server by hand, to try the copilot against."""

import threading
from typing import Annotated, Literal

import typer
from rich.console import Console

from copilot.testing.ollama import (
    EMBEDS,
    ChaosPolicy,
    DeadPolicy,
    LazyPolicy,
    LoopingPolicy,
    NoisePolicy,
    PulledModel,
    ReplyPolicy,
    ollama_server,
)
from copilot.testing.policies import GoodPolicy, InjectedPolicy, LyingPolicy, ServedPolicy

PolicyName = Literal["good", "lying", "injected", "noise", "dead", "lazy", "looping"]


def _policy(name: PolicyName, seed: int) -> ReplyPolicy:
    match name:
        case "good":
            return ServedPolicy(GoodPolicy())
        case "lying":
            return ServedPolicy(LyingPolicy())
        case "injected":
            return ServedPolicy(InjectedPolicy())
        case "noise":
            return NoisePolicy(seed)
        case "dead":
            return DeadPolicy()
        case "lazy":
            return LazyPolicy()
        case "looping":
            return LoopingPolicy(seed=seed)


def serve(
    port: Annotated[int, typer.Option(help="Port on the loopback; 0: any.")] = 11434,
    model: Annotated[str, typer.Option(help="Name of the model it has pulled.")] = "qwen3:30b",
    policy: Annotated[PolicyName, typer.Option(help="What the model is like.")] = "good",
    chaos: Annotated[float, typer.Option(min=0, max=1, help="Part of replies gone wrong.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed, the same replies.")] = 0,
) -> None:
    """Play Ollama with a scripted model: no answer of it is one of Qwen."""
    chosen = _policy(policy, seed)
    if chaos:
        chosen = ChaosPolicy(chosen, seed, chaos)
    with ollama_server(chosen, (PulledModel(name=model), EMBEDS), port=port) as server:
        Console(stderr=True, markup=False, highlight=False).print(
            f"a scripted server, no real model, plays {model} ({policy}) at {server.url}\n"
            f"COPILOT_MODEL_URL={server.url} COPILOT_MODEL={model}; end with Ctrl-C",
            soft_wrap=True,
        )
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    typer.run(serve)
