"""`python -m copilot.testing.ollama`: the server by hand, with a scripted model or a real one."""

import errno
import os
import threading
from contextlib import AbstractContextManager
from pathlib import Path
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
    OllamaServer,
    PulledModel,
    ReplyPolicy,
    ollama_server,
)
from copilot.testing.ollama.gguf import CACHE, gguf_server
from copilot.testing.policies import GoodPolicy, InjectedPolicy, LyingPolicy, ServedPolicy
from copilot.types.errors import OperatorError

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
    model: Annotated[str, typer.Option(help="Name of the model it has pulled.")] = "",
    policy: Annotated[PolicyName, typer.Option(help="What the model is like.")] = "good",
    chaos: Annotated[float, typer.Option(min=0, max=1, help="Part of replies gone wrong.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed, the same replies.")] = 0,
    gguf: Annotated[
        str, typer.Option(help="A real model: a GGUF file, or `smallest` for one that is fetched.")
    ] = "",
    threads: Annotated[
        int, typer.Option(min=1, help="Of a real model: threads; by default half the cores.")
    ] = max(1, (os.cpu_count() or 2) // 2),
    cache: Annotated[
        Path, typer.Option(help="Of a real model: folder for what is fetched.")
    ] = CACHE,
    transcript: Annotated[
        Path | None, typer.Option(help="Of a real model: write questions and replies here.")
    ] = None,
) -> None:
    """Play Ollama: with a scripted model, whose answers are none of Qwen, or with a real one."""
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    running: AbstractContextManager[OllamaServer]
    if gguf:
        file = None if gguf == "smallest" else Path(gguf)
        running = gguf_server(
            file, name=model, cache=cache, port=port, threads=threads, transcript=transcript
        )
    else:
        chosen = _policy(policy, seed)
        if chaos:
            chosen = ChaosPolicy(chosen, seed, chaos)
        pulled = (PulledModel(name=model or "qwen3:30b"), EMBEDS)
        running = ollama_server(chosen, pulled, port=port)
    try:
        with running as server:
            console.print(_told(server, policy if not gguf else ""))
            threading.Event().wait()
    except KeyboardInterrupt:
        return
    except OperatorError as error:
        console.print(str(error), style="red")
        raise typer.Exit(2) from error
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        console.print(f"port {port} is taken (by Ollama?); --port 0 takes a free one", style="red")
        raise typer.Exit(2) from error


def _told(server: OllamaServer, policy: str) -> str:
    """What runs where, and the settings to use it by."""
    model = server.runners.pulled[0]
    what = f"a scripted server, no real model, plays {model.name} ({policy})"
    if not policy:
        what = f"a real model, {model.name} ({model.parameters}, {model.quantization}), listens"
    sets = f"COPILOT_MODEL_URL={server.url} COPILOT_MODEL={model.name}"
    if model.context < DEFAULT_CONTEXT:
        sets += f" COPILOT_MODEL_CONTEXT={model.context}"
    return f"{what} at {server.url}\n{sets}; end with Ctrl-C"


DEFAULT_CONTEXT = 16_384
"""What the copilot asks a server for where COPILOT_MODEL_CONTEXT says nothing else."""

if __name__ == "__main__":
    typer.run(serve)
