"""check: the last word on an answer, whoever wrote it: what it cites exists, and it is bounded."""

from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.surfaces.chat.ledger import Ledger, opened
from copilot.surfaces.chat.notes import how_answered
from copilot.surfaces.chat.report import rendered
from copilot.surfaces.chat.session import ChatState, Progress, Session
from copilot.types.conversation import MOST_ANSWER, Answer, Cost
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
