"""Chat: questions about incidents, answered from evidence, with a model or without."""

from copilot.surfaces.chat.desk import Desk, Question, QuestionError
from copilot.surfaces.chat.live import Answering, Live, Silence
from copilot.surfaces.chat.scope import Scope
from copilot.surfaces.chat.session import CancelledError, ChatLimits, Progress
from copilot.surfaces.chat.structured import structured_tools

__all__ = [
    "Answering",
    "CancelledError",
    "ChatLimits",
    "Desk",
    "Live",
    "Progress",
    "Question",
    "QuestionError",
    "Scope",
    "Silence",
    "structured_tools",
]
