"""Asking a model: `ask` for a checked value, repaired once; what fails is answered without it."""

from copilot.model.ask import ModelCall, ModelResult, ask
from copilot.model.budget import MeteredModel, Usage

__all__ = ["ModelResult", "ModelCall", "MeteredModel", "Usage", "ask"]
