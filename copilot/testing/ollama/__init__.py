"""Ollama as a server of our own: real HTTP and its exact protocol, with a scripted model behind it.

`python -m copilot.testing.ollama --gguf FILE` puts a real one there
(llama.cpp, docs/real-model.md).

It refuses what it does not know, drops messages when the context is exceeded, counts loads, keeps
every request, and fails in every way that was seen of the real one, each by name.
"""

from copilot.testing.ollama.policies import (
    ChaosPolicy,
    DeadPolicy,
    LazyPolicy,
    LoopingPolicy,
    NoisePolicy,
    ScriptedPolicy,
)
from copilot.testing.ollama.protocol import ChatRequest, Function, ToolCall
from copilot.testing.ollama.reply import OllamaReply, ReplyPolicy, ReplyScenario
from copilot.testing.ollama.runners import EMBEDS, PulledModel, Runners
from copilot.testing.ollama.server import OllamaServer, ollama_server

__all__ = [
    "EMBEDS",
    "ChaosPolicy",
    "ChatRequest",
    "DeadPolicy",
    "Function",
    "LazyPolicy",
    "LoopingPolicy",
    "NoisePolicy",
    "OllamaServer",
    "ReplyPolicy",
    "PulledModel",
    "OllamaReply",
    "Runners",
    "ReplyScenario",
    "ScriptedPolicy",
    "ToolCall",
    "ollama_server",
]
