"""Asking a model: `ask` for a checked value, repaired once; what fails is answered without it."""

from copilot.model.ask import Asked, Call, ask
from copilot.model.metered import Metered, Usage

__all__ = ["Asked", "Call", "Metered", "Usage", "ask"]
