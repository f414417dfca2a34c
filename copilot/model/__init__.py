"""Asking a model: `ask` for a checked value, repaired once; what fails is answered without it."""

from copilot.model.ask import Asked, Call, ask

__all__ = ["Asked", "Call", "ask"]
