"""What clients ask for themselves: titles, tags, follow-up questions. Answered without a look."""

import json
import re
from collections.abc import Sequence

from tools.log_retriever import sanitize

_OPEN_WEBUI = re.compile(r"\s*###\s*Task:", re.IGNORECASE)
_NAMING = re.compile(
    r"\b(give|write|generate|create|suggest)\b.{0,60}\b(name|title)\b"
    r"|\b(name|title) (for )?(this|the) (conversation|chat)"
    r"|(生成|起|取)一?个?.{0,20}(标题|名称|名字)",
    re.IGNORECASE | re.DOTALL,
)
_ASKED_FOR = re.compile(r'"(title|tags|follow_ups|queries|text)"\s*:')
_SAID = re.compile(r"(?:^|\n)\s*(?:USER|User|user|用户)\s*[::]\s*(.+)")
TITLE = 60


def chore(questions: Sequence[str], *, stream: bool) -> str | None:
    """The answer to a chore of the client; None where a person asks.

    Open WebUI marks its chores with `### Task:`. Others ask for a name of the conversation, and do
    not stream it; a person who asks for a title in a stream is taken for a person.
    """
    text = questions[-1]
    if _OPEN_WEBUI.match(text):
        wanted = dict.fromkeys(_ASKED_FOR.findall(text))
        key = next(iter(wanted), "title")
        return json.dumps({key: _value(key, text)}, ensure_ascii=False)
    if not stream and len(text) > TITLE and _NAMING.search(text):
        return _title(text, questions)
    return None


def _value(key: str, text: str) -> str | list[str]:
    if key == "title":
        return _title(text, ())
    return ["incident"] if key == "tags" else "" if key == "text" else []


def _title(text: str, questions: Sequence[str]) -> str:
    """The first thing the person said, short."""
    said = _SAID.search(text)
    first = said[1] if said else questions[0] if len(questions) > 1 else ""
    return sanitize(first, TITLE) if first.strip() else "Incident"
