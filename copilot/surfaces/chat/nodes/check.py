"""check: the last word on an answer, whoever wrote it: what it cites exists, and it is bounded."""

from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.surfaces.chat.ledger import Ledger, opened
from copilot.surfaces.chat.report import rendered
from copilot.surfaces.chat.session import ChatState, Progress, Session
from copilot.surfaces.chat.understand import Understanding
from copilot.types.conversation import MOST_ANSWER, Answer, Cost
from copilot.types.time_format import date_time
from tools.evidence import cited


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
    services = dict.fromkeys([*named, *(name for part in parts for name in part.services)])
    return CheckUpdate(
        answer=Answer(
            text=_cut(text),
            language=state["understanding"].language,
            by="model" if written else "rules",
            note=trouble,
            understood=bool(state["understanding"].intents or any(p.said for p in parts)),
            evidence=tuple(item for item in ledger.items if item.id in numbers),
            uses=tuple(state.get("uses", [])),
            services=tuple(services)[:6],
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
        written=written,
    )


def _cut(text: str) -> str:
    """At most what is stored; cut between lines, and said so."""
    if len(text) <= MOST_ANSWER:
        return text
    return text[: MOST_ANSWER - 2].rpartition("\n")[0] + "\n…"


def how_answered(session: Session, known: Understanding, *, written: bool, trouble: str) -> str:
    """Return one line: who wrote the answer, as of when, and why the model was not used."""
    chinese = known.language == "zh"
    at = date_time(session.scope.now)
    if session.model is None:
        how = "未使用模型,按意图作答" if chinese else "answered by intent, no model is used"
    elif written:
        name = session.model.name
        how = f"由 {name} 撰写,已逐条核对证据" if chinese else f"written by {name}, checked by code"
    elif trouble:
        how = (
            f"模型的回答不可用({trouble[:160]}),以下由工具直接作答"
            if chinese
            else f"the model's reply was not used ({trouble[:160]}); answered from the tools alone"
        )
    else:
        how = "由工具直接作答" if chinese else "answered from the tools alone"
    return f"{how} · {'数据截至' if chinese else 'as of'} {at}"
