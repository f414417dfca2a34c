"""Understanding a question: what it wants, what it names, and the looks that answer it.

Three ways stand behind one port: phrases (`rules`), what is learned from known questions
(`learned`), and a model that chooses from the closed list of looks (`reader`).
"""

from collections.abc import Sequence
from typing import Protocol

from copilot.surfaces.chat.understand.entities import entities, incident_named
from copilot.surfaces.chat.understand.learned import LearnedUnderstanding, respelled
from copilot.surfaces.chat.understand.reader import ModelUnderstanding
from copilot.surfaces.chat.understand.rules import RuleUnderstanding, intents, request
from copilot.surfaces.chat.understand.scene import ChatScene, Entities, Understood, language_of

__all__ = [
    "Entities",
    "ModelUnderstanding",
    "LearnedUnderstanding",
    "RuleUnderstanding",
    "ChatScene",
    "Understanding",
    "Understood",
    "incident_named",
    "intents",
    "language_of",
    "UnderstandingChain",
]


class Understanding(Protocol):
    """A way to understand a question; None: this way does not."""

    def understand(self, question: str, scene: ChatScene) -> Understood | None: ...


class UnderstandingChain:
    """The ways in their order: the first that understands answers, the others are not asked.

    Where what is learned is one of them, it has a veto on what the phrases understood.
    """

    def __init__(self, *ways: Understanding, learned: LearnedUnderstanding | None = None) -> None:
        self._learned = learned or LearnedUnderstanding()
        self._ways = ways or (RuleUnderstanding(), self._learned)

    def read_by(self, model: ModelUnderstanding) -> "UnderstandingChain":
        """The same, with a model that is asked where the first way is silent."""
        first, *others = self._ways
        return UnderstandingChain(first, model, *others, learned=self._learned)

    def understood(self, question: str, scene: ChatScene) -> Understood:
        """What is made of it; where all are silent, three questions like it, and the documents."""
        first, *others = self._ways
        question = respelled(question, scene, names_only=True)
        asked = [(first, question), (first, respelled(question, scene))]
        asked += [(one, question) for one in others]
        found = (way.understand(words, scene) for way, words in asked)
        known = next((one for one in found if one is not None), None)
        if known is not None:
            again = known.arm == "rules" and self._learned in self._ways
            return self._learned.corrected(known, question, scene) if again else known
        named, language = entities(question, scene), language_of(question, scene.language)
        calls = (request("knowledge", question=question[:500], titles=True),)
        near = self._learned.offers(question, scene)
        return Understood(language, (), named, calls, near=near)

    def go_on(self, asked: Sequence[str], scene: ChatScene) -> tuple[str, ...]:
        """Questions to go on with; see `LearnedUnderstanding.go_on`."""
        return self._learned.go_on(asked, scene)
