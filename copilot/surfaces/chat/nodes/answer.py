"""answer: claims over what was found, or the statements; check: the last word on either."""

import os.path
from collections.abc import Sequence
from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.case.briefing import plain
from copilot.model import ask
from copilot.model.ask import UNHELD
from copilot.model.claims import ClaimScope, holding
from copilot.model.replies import NarrativeReply, narrative_schema
from copilot.surfaces.chat.ledger import Ledger, opened
from copilot.surfaces.chat.nodes.understand import asks_model
from copilot.surfaces.chat.report import AnswerPart, rendered
from copilot.surfaces.chat.session import ChatState, Progress, Session
from copilot.surfaces.chat.showing import answer_request
from copilot.surfaces.chat.understand import Understood
from copilot.surfaces.chat.understand.reader import taken_for
from copilot.types.conversation import MOST_ANSWER, Answer, Cost
from copilot.types.time_format import date_time
from prompts import Language, load, translation, word
from tools.evidence import cited
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
    session.tell(Progress(step="text", state="done", said=_beginning(state, session)))
    session.tell(Progress(step="model", name=session.model.name, said="answer"))
    text, trouble = write(
        session, state["turn"].question, known.language, state["parts"], state["ledger"]
    )
    session.heed()
    return AnswerUpdate(written=text, note=trouble)


def _beginning(state: ChatState, session: Session) -> str:
    """Our own whole lines that stand first with the model's under them and without; else none."""
    told = [_rendered(state, session, state["ledger"], written, "") for written in ("", "\0")]
    common = os.path.commonprefix(told)
    lines = common[: common.rfind("\n") + 1]
    return lines if len(lines) < MOST_ANSWER // 2 else ""


MOST_SENTENCES = 8


def write(
    session: Session, question: str, language: Language, parts: Sequence[AnswerPart], ledger: Ledger
) -> tuple[str, str]:
    """Ask the model for the answer; return its checked text, or nothing and the reason."""
    model = session.model
    assert model is not None
    system = load("chat_write", language).render(most=MOST_SENTENCES)
    evidence = quotable(parts, ledger)
    request = answer_request(session, question, parts, ledger, language, system)
    narrowed = request.model_copy(
        update={"reply_schema": narrative_schema([item.id for item in evidence])}
    )
    known = ClaimScope(
        evidence, frozenset(session.scope.services()), language, said=(question, system)
    )
    asked = ask(model, narrowed, NarrativeReply, lambda reply: holding(reply, known), language)
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


class CheckUpdate(TypedDict):
    answer: Answer


def check(state: ChatState, runtime: Runtime[Session]) -> CheckUpdate:
    """Render what held; a text that cites what does not exist is replaced by the statements."""
    session = runtime.context
    session.tell(Progress(step="check"))
    ledger = state.get("ledger") or opened(session.scope.incident, session.turns)
    written, trouble = state.get("written", ""), state.get("note", "")
    if unknown := [number for number in cited(written) if ledger.find(number) is None]:
        written, trouble = "", f"it cited {', '.join(unknown)}, which does not exist"
    text = _rendered(state, session, ledger, written, trouble)
    numbers = cited(text)
    parts = state.get("parts", [])
    named = state["understanding"].named.services
    # What all of an incident's services were named for has none that a later "it" could mean.
    about = {part.services[0] for part in parts if len(part.services) == 1}
    services = named or tuple(about if len(about) == 1 else ())
    return CheckUpdate(
        answer=Answer(
            text=_cut(text),
            language=state["understanding"].language,
            by="model" if written else "rules",
            note=trouble,
            understood=bool(state["understanding"].intents or any(p.said for p in parts)),
            evidence=tuple(item for item in ledger.items if item.id in numbers),
            uses=tuple(state.get("uses", [])),
            services=services[:6],
            cost=session.model.cost if session.model is not None else Cost(),
        )
    )


def _rendered(
    state: ChatState, session: Session, ledger: Ledger, written: str, trouble: str
) -> str:
    known = state["understanding"]
    incident = session.scope.incident
    return rendered(
        state.get("parts", []),
        known,
        ledger,
        about=f"{incident.id}: {incident.title}" if incident is not None else "",
        note=how_answered(session, known, written=bool(written), trouble=trouble),
        before={item.id for item in incident.evidence} if incident is not None else (),
        written=f"{_credited(session, known.language)}\n\n{written}" if written else "",
    )


def _credited(session: Session, language: Language) -> str:
    """What stands above the sentences of a model, so that nobody takes them for ours."""
    name = session.model.name if session.model is not None else ""
    if language == "zh":
        return f"{name} 补充,已由程序逐条核对所引证据:"
    return f"{name} adds, checked by code against what it cites:"


def _cut(text: str) -> str:
    """At most what is stored; cut between lines, and said so."""
    if len(text) <= MOST_ANSWER:
        return text
    return text[: MOST_ANSWER - 2].rpartition("\n")[0] + "\n…"


def _briefly(trouble: str, language: Language) -> str:
    """One reason, whole; what was wrong in which sentence of a reply is kept in the note."""
    if trouble.startswith(UNHELD):
        return word("opinion", "did not hold", language)
    return plain(translation(trouble.removeprefix("model: "), language), 160)


def how_answered(session: Session, known: Understood, *, written: bool, trouble: str) -> str:
    """Return one line: who wrote the answer, as of when, and why the model was not used."""
    chinese = known.language == "zh"
    at = date_time(session.scope.now)
    if session.model is None:
        how = "未使用模型,按意图作答" if chinese else "answered by intent, no model is used"
    elif written:
        name = session.model.name
        how = f"由工具作答,{name} 补充" if chinese else f"answered from the tools, {name} added"
    elif trouble:
        why = _briefly(trouble, known.language)
        how = (
            f"模型的回答不可用({why}),以下由工具直接作答"
            if chinese
            else f"the model's reply was not used ({why}); answered from the tools alone"
        )
    else:
        how = "由工具直接作答" if chinese else "answered from the tools alone"
    if taken := taken_for(known):
        how += f",提问由模型理解为“{taken}”" if chinese else f", the question read as “{taken}”"
    return f"{how} · {'数据截至' if chinese else 'as of'} {at}"
