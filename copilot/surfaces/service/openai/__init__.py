"""The chat as an OpenAI-compatible API, for Chatbox, Open WebUI and others."""
