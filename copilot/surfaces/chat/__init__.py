"""Chat: questions about incidents, answered from evidence, with a model or without."""

from copilot.surfaces.chat.chat_service import (
    AnswerEvent,
    AnswerTask,
    ChatService,
    Heartbeat,
    Question,
    QuestionError,
)
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.session import CancelledError, ChatLimits, Progress
from copilot.surfaces.chat.structured import structured_tools

__all__ = [
    "AnswerTask",
    "CancelledError",
    "ChatLimits",
    "ChatService",
    "AnswerEvent",
    "Progress",
    "Question",
    "QuestionError",
    "ToolContext",
    "Heartbeat",
    "structured_tools",
]
