"""Qwen, or another model, on Ollama: the `Model` port over the official client."""

from copilot.adapters.ollama.breaker import Breaker
from copilot.adapters.ollama.client import Access, Client, Timeouts
from copilot.adapters.ollama.connect import clients, connected
from copilot.adapters.ollama.model import Endpoint, OllamaModel
from copilot.adapters.ollama.options import Options

__all__ = [
    "Access",
    "Breaker",
    "Client",
    "Endpoint",
    "OllamaModel",
    "Options",
    "Timeouts",
    "clients",
    "connected",
]
