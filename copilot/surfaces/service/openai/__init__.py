"""The chat as an OpenAI-compatible API, for Chatbox, Open WebUI and others."""

from copilot.surfaces.service.openai.errors import openai_error, speaks_openai
from copilot.surfaces.service.openai.routes import openai

__all__ = ["openai", "speaks_openai", "openai_error"]
