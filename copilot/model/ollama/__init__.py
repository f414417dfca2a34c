"""Qwen, or another model, on Ollama: the `Model` port over the official client."""

from copilot.model.ollama.client import Access, Client, Timeouts
from copilot.model.ollama.connect import clients, connected
from copilot.model.ollama.model import Endpoint, OllamaModel
from copilot.model.ollama.request import OllamaOptions
from copilot.types.breaker import Breaker

__all__ = [
    "Access",
    "Breaker",
    "Client",
    "Endpoint",
    "OllamaModel",
    "OllamaOptions",
    "Timeouts",
    "clients",
    "connected",
]
