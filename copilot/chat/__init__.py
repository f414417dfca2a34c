"""Chat: questions about incidents, answered from evidence, with a model or without."""

from copilot.chat.desk import Desk, Question, QuestionError
from copilot.chat.live import Answering, Live, Silence
from copilot.chat.scope import Scope
from copilot.chat.session import CancelledError, ChatLimits, Progress
from copilot.chat.structured import structured_tools

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
