"""The chat as an OpenAI-compatible API, for Chatbox, Open WebUI and others."""

from copilot.service.openai.errors import speaks_openai, told_as_openai
from copilot.service.openai.routes import openai

__all__ = ["openai", "speaks_openai", "told_as_openai"]
