"""Ollama as a server of our own: real HTTP and its exact protocol, with a scripted model behind it.

It refuses what it does not know, drops messages when the context is exceeded, counts loads, keeps
every request, and fails in every way that was seen of the real one, each by name.
"""

from copilot.testing.ollama.policies import Chaos, Dead, Lazy, Looping, Noise, Scripted
from copilot.testing.ollama.protocol import ChatRequest, Function, ToolCall
from copilot.testing.ollama.reply import Policy, Reply, Scenario
from copilot.testing.ollama.runners import EMBEDS, Pulled, Runners
from copilot.testing.ollama.server import OllamaServer, ollama_server

__all__ = [
    "EMBEDS",
    "Chaos",
    "ChatRequest",
    "Dead",
    "Function",
    "Lazy",
    "Looping",
    "Noise",
    "OllamaServer",
    "Policy",
    "Pulled",
    "Reply",
    "Runners",
    "Scenario",
    "Scripted",
    "ToolCall",
    "ollama_server",
]
