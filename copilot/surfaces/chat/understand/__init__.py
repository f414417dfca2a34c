"""Understanding a question without a model: its intents, what it names, and the tools it needs."""

from copilot.surfaces.chat.understand.entities import Entities, entities
from copilot.surfaces.chat.understand.intents import Intent, intents
from copilot.surfaces.chat.understand.language import language_of
from copilot.surfaces.chat.understand.needs import Understanding, understood

__all__ = [
    "Entities",
    "Intent",
    "Understanding",
    "entities",
    "intents",
    "language_of",
    "understood",
]
