"""Model: `ask` puts a request to a language model and returns a value that was checked.

A reply that does not hold is repaired once; what fails is answered without a model. It stands on
the ports; the adapter is `ollama`, which only wiring imports.
"""

from copilot.model.ask import ModelCall, ModelResult, ReplyCheck, all_or_nothing, ask
from copilot.model.budget import MeteredModel, Usage

__all__ = [
    "MeteredModel",
    "ModelCall",
    "ModelResult",
    "ReplyCheck",
    "Usage",
    "all_or_nothing",
    "ask",
]
