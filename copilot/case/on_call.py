"""Who is on call, and what people on an incident say of it: taken, handed over, noted, over."""

from typing import Annotated, Literal

from pydantic import Field

from copilot.case.answers import check_right
from copilot.case.confirming import open_by_hand
from copilot.ports import OnCallRota
from copilot.store import PolicyRefusedError, Store
from copilot.types.incident import CLOSED, Incident
from copilot.types.on_call import OnCallNow
from copilot.types.time_format import date_time
from tools.log_retriever import sanitize
from tools.log_retriever.sanitize import plain
from tools.playbook_executor import Policy
from tools.types import FrozenModel, Text, Timestamp

OnCallAction = Literal[
    "take",  # it is mine from here on
    "hand_over",  # it is `to`'s from here on
    "note",  # what the next one should know
    "resolve",  # it is over, where only a person still worked on it
]

_KINDS: dict[OnCallAction, str] = {
    "take": "taken",
    "hand_over": "passed_on",
    "note": "noted",
    "resolve": "resolved",
}

LONGEST_NOTE = 2000


class OnCallWord(FrozenModel):
    """What somebody on call says; `to` is for handing over, `text` is needed for a note."""

    action: OnCallAction
    by: Annotated[str, Field(min_length=1)]
    to: str = ""
    text: str = ""


def say(
    store: Store, policy: Policy, incident_id: str, word: OnCallWord, now: Timestamp
) -> Incident:
    """Write it into the journal and the incident; raises `PolicyRefusedError`.

    Taking what is yours already, or over already, changes nothing that was said before.
    """
    said = store.redactor.model(word)
    check_right(policy, said.by, said.action.replace("_", " "))
    text = sanitize(said.text, LONGEST_NOTE).strip()
    to = sanitize(said.to, 80).strip() if said.action == "hand_over" else ""
    with store.transaction():
        incident = store.incidents.require(incident_id)
        _check(incident, said.action, to, text)
        reason = f"to {to}: {text}".rstrip(": ") if said.action == "hand_over" else text
        detail = {"reason": reason or _PLAIN.get(said.action, "")} | ({"to": to} if to else {})
        store.journal.append(incident.id, _KINDS[said.action], said.by, {**detail}, now)
        match said.action:
            case "take":
                return store.incidents.update(incident.id, now, taken_by=said.by)
            case "hand_over":
                return store.incidents.update(incident.id, now, taken_by=to)
            case "resolve":
                return store.incidents.update(incident.id, now, status="resolved")
            case "note":
                return incident


_PLAIN = {"take": "works on it", "resolve": "closed by a person"}


def _check(incident: Incident, action: OnCallAction, to: str, text: str) -> None:
    if action == "hand_over" and not to:
        raise PolicyRefusedError("to whom? name who takes it from here (`to`)")
    if action == "note" and not text:
        raise PolicyRefusedError("the note is empty (`text`)")
    if action in ("take", "hand_over") and incident.status in CLOSED:
        raise PolicyRefusedError(f"incident {incident.id!r} is {incident.status}: it is over")
    if action == "resolve" and not open_by_hand(incident):
        raise PolicyRefusedError(
            f"incident {incident.id!r} is {incident.status}: it ends by itself when its alerts do; "
            "reject its plan if you take it from here"
        )


MOST_NAMED = 3
"""People that a line names; a schedule of more is a list of a team."""


def schedules_now(rota: OnCallRota | None, now: Timestamp) -> tuple[OnCallNow, ...]:
    """Whom each schedule names now, in its order; none where nobody says."""
    return tuple(rota.on_call(now, one) for one in rota.schedules) if rota else ()


def first_on_call(rota: OnCallRota | None, now: Timestamp) -> str:
    """The first whom the first schedule names; empty where it names nobody."""
    people = rota.on_call(now).people if rota else ()
    return people[0].name if people else ""


def on_call_text(told: OnCallNow) -> Text:
    """`anna until 2026-03-16 09:00:00 UTC`, and what is wrong with the schedule."""
    named = told.people[:MOST_NAMED]
    en = ", ".join(f"{plain(one.name, 60)} until {date_time(one.until)}" for one in named)
    zh = "、".join(f"{plain(one.name, 60)}（至 {date_time(one.until)}）" for one in named)
    nobody = Text(en="nobody", zh="无人") if told.known_at else Text(en="not known", zh="未知")
    problem = told.problem
    return Text(
        en=f"{en or nobody.en}{f'; {problem.en}' if problem else ''}"[:300],
        zh=f"{zh or nobody.zh}{f'；{problem.zh}' if problem else ''}"[:300],
    )
