"""Chat: questions about incidents, answered from evidence, with a model or without."""

from copilot.surfaces.chat.calls import structured_tools
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
