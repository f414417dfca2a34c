"""Which conversation a request goes on: clients send the whole history and no id of ours."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from copilot.surfaces.chat import ChatService, Question
from copilot.surfaces.service.openai.shapes import MODEL, CompletionRequest
from copilot.types.conversation import MOST_QUESTION
from copilot.types.incident import CLOSED

_NAMED = ("x-conversation-id", "x-openwebui-chat-id")

LISTED = 20


def question_of(
    asked: CompletionRequest, headers: Mapping[str, str], desk: ChatService
) -> Question:
    """The last question, in the conversation that all before it were asked in.

    A header or `metadata.conversation_id` names the conversation. Else its key is the digest of who
    asks and of every question before; the key of this turn adds this question. So two people who
    both begin with "hi" do not share one, and a question asked again branches where it was asked.
    """
    questions = asked.questions
    incident = asked.model.partition(":")[2]
    named = _named(asked, headers, desk)
    if named:
        return Question(text=questions[-1], conversation_id=named, incident_id=incident)
    before = desk.store.conversations.of_key(key_of(asked.user, questions[:-1]))
    known = before is not None and len(questions) > 1
    return Question(
        text=questions[-1][: MOST_QUESTION + 1],
        conversation_id=before.conversation_id if before is not None and known else "",
        incident_id=incident,
        key=key_of(asked.user, questions),
    )


def key_of(user: str, questions: Sequence[str]) -> str:
    """The digest of who asks and what was asked so far; empty before the first question."""
    if not questions:
        return ""
    said = json.dumps([user, *questions], ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def models(desk: ChatService) -> list[str]:
    """The name for the newest incident, then one for each open one."""
    opened = [one.id for one in desk.store.incidents.list(limit=200) if one.status not in CLOSED]
    return [MODEL, *(f"{MODEL}:{name}" for name in opened[:LISTED])]


def _named(asked: CompletionRequest, headers: Mapping[str, str], desk: ChatService) -> str:
    said = (asked.metadata or {}).get("conversation_id")
    for given in (*(headers.get(name) for name in _NAMED), said):
        if isinstance(given, str) and given.strip():
            if desk.store.conversations.get(given) is not None:
                return given
            # A name of the client's own, kept apart from the ids that we give.
            return f"client-{hashlib.sha256(given.encode('utf-8', 'replace')).hexdigest()[:24]}"
    return ""
