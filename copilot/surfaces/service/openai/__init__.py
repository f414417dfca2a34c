"""The chat as an OpenAI-compatible API, for Chatbox, Open WebUI and others."""

from copilot.surfaces.service.openai.errors import speaks_openai, told_as_openai
from copilot.surfaces.service.openai.routes import openai

__all__ = ["openai", "speaks_openai", "told_as_openai"]
