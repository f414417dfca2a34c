"""answer: the model writes claims over what was found; without one the statements stand."""

import re
from collections.abc import Sequence
from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.model import ask
from copilot.model.claims import ClaimScope, problems_of
from copilot.model.replies import NarrativeReply, Sentence, narrative_schema
from copilot.surfaces.chat.ledger import Ledger
from copilot.surfaces.chat.nodes.understand import asks_model
from copilot.surfaces.chat.report import AnswerPart
from copilot.surfaces.chat.session import ChatState, Progress, Session
from copilot.surfaces.chat.showing import answer_request
from prompts import Language, load
from tools.log_retriever import sanitize
from tools.types import Evidence


class AnswerUpdate(TypedDict):
    written: str
    note: str


def answer(state: ChatState, runtime: Runtime[Session]) -> AnswerUpdate:
    """One reply, checked, repaired once; what does not hold is not shown, only counted."""
    session, known = runtime.context, state["understanding"]
    session.heed()
    if not asks_model(session, known) or session.model is None:
        return AnswerUpdate(written="", note="")
    if not any(part.said for part in state.get("parts", [])):
        return AnswerUpdate(written="", note=state.get("trouble", ""))
    session.tell(Progress(step="model", name=session.model.name, said="answer"))
    text, trouble = write(
        session, state["turn"].question, known.language, state["parts"], state["ledger"]
    )
    session.heed()
    return AnswerUpdate(written=text, note=trouble)


MOST_SENTENCES = 8


def write(
    session: Session, question: str, language: Language, parts: Sequence[AnswerPart], ledger: Ledger
) -> tuple[str, str]:
    """Ask the model for the answer; return its checked text, or nothing and the reason."""
    model = session.model
    assert model is not None
    system = load("chat_write", language).render(most=MOST_SENTENCES, nonce=session.nonce)
    evidence = quotable(parts, ledger)
    request = answer_request(session, question, parts, ledger, language, system)
    narrowed = request.model_copy(
        update={"reply_schema": narrative_schema([item.id for item in evidence])}
    )
    known = ClaimScope(evidence, frozenset(session.scope.services()), language)
    asked = ask(model, narrowed, NarrativeReply, lambda reply: problems(reply, known), language)
    if asked.value is None:
        return "", asked.reason
    return spoken(asked.value), ""


def spoken(reply: NarrativeReply) -> str:
    """The sentences as text, the first as the answer and the others under it."""
    first, *others = (
        f"{sanitize(one.text, 400)} {''.join(f'[{n}]' for n in dict.fromkeys(one.cites))}"
        for one in reply.sentences
    )
    return "\n".join([first, *([""] if others else []), *(f"- {line}" for line in others)])


def quotable(parts: Sequence[AnswerPart], ledger: Ledger) -> tuple[Evidence, ...]:
    """Return the evidence shown so far, each item with the statements that cite it."""
    sentences: dict[str, list[str]] = {}
    for part in parts:
        for said in part.said:
            for number in said.ids:
                sentences.setdefault(number, []).extend((said.en, said.zh))
    return tuple(
        item.model_copy(update={"excerpt": f"{item.excerpt} {' '.join(sentences[item.id])}"})
        for item in ledger.items
        if item.id in sentences
    )


def problems(reply: NarrativeReply, known: ClaimScope) -> list[str]:
    """Return every problem of a reply, worded so that the model can repair it."""
    return [
        f"sentence {number}: {problem}"
        for number, one in enumerate(reply.sentences, start=1)
        for problem in (*problems_of(one.text, one.cites, known), *_strangers(one, known))
    ]


def _strangers(one: Sentence, known: ClaimScope) -> list[str]:
    """A component may be named where the cited evidence names it, and nowhere else."""
    cited = " ".join(
        f"{item.subject} {item.statement} {item.excerpt}"
        for item in known.evidence
        if item.id in one.cites
    ).lower()
    return [
        f"{name!r} is not in the cited evidence"
        for name in sorted(known.components)
        if len(name) > 2 and _names(one.text.lower(), name.lower()) and name.lower() not in cited
    ]


def _names(text: str, name: str) -> bool:
    return re.search(rf"(?<![a-z0-9_-]){re.escape(name)}(?![a-z0-9_-])", text) is not None
