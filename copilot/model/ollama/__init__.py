"""Ollama's own API, by its official client."""

from copilot.model.ollama.client import Client

__all__ = ["Client"]
