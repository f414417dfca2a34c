"""A conversation as every surface sees it: questions, answers, and what the answers cite."""

from typing import Literal

from pydantic import Field, JsonValue

from prompts import Language
from tools.types import Evidence, FrozenModel, Timestamp

MOST_QUESTION = 4_000
"""Characters of one question; more is no question but a file."""

MOST_ANSWER = 24_000
"""Characters of one answer as it is stored."""

AnswerAuthor = Literal[
    "rules",  # answered by intent, from the tools alone
    "model",  # written by the model, and it held against the evidence
]

TurnStatus = Literal[
    "asked",  # written down, not answered yet
    "answered",
    "cancelled",  # whoever asked did not wait for it
    "failed",  # it broke; the answer says what is known of why
]


class ToolUse(FrozenModel):
    """One tool as it was used for an answer."""

    tool: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    rows: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    problem: str = ""


class Cost(FrozenModel):
    """What the model was asked for one answer; tokens as the server counted them."""

    calls: int = 0
    repairs: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0


class Answer(FrozenModel):
    """What was answered. `evidence` is every item the text cites, as it was then."""

    text: str = Field(max_length=MOST_ANSWER)
    language: Language
    by: AnswerAuthor = "rules"
    note: str = ""  # how it was answered, and why not by the model
    understood: bool = True
    evidence: tuple[Evidence, ...] = ()
    uses: tuple[ToolUse, ...] = ()
    services: tuple[str, ...] = ()  # what it was about: "it" in the next question
    cost: Cost = Cost()


class Turn(FrozenModel):
    """One question of a conversation and what became of it."""

    conversation_id: str
    number: int = Field(ge=1)
    question: str = Field(max_length=MOST_QUESTION)
    incident_id: str = ""
    key: str = ""  # what a client that keeps no id finds its conversation by
    status: TurnStatus = "asked"
    asked_at: Timestamp
    answered_at: Timestamp | None = None
    answer: Answer | None = None


class Conversation(FrozenModel):
    """A row of turns. `summary` stands for those that were folded: question and citations."""

    id: str
    incident_id: str = ""
    language: Language = "en"
    opened_at: Timestamp
    updated_at: Timestamp
    summary: str = ""
    folded: int = Field(default=0, ge=0)
