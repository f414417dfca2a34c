"""What `copilot serve` says of its work: a line on stderr for each row of the journal that matters.

The lines are read from the journal itself, so that nothing is said which was not written, and what
another process of this data folder decides (`copilot stop`) is said, too.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from pydantic import JsonValue

from copilot.store import Store, StoreError
from copilot.types.incident import Event, Incident
from copilot.types.time_format import iso
from tools.log_retriever import redact, sanitize

log = logging.getLogger(__name__)

LogFormat = Literal["text", "json"]

TOLD = frozenset(
    {
        *("opened", "reopened", "merged", "resolved", "failed", "reported"),
        *("confirmed", "withdrawn", "forgotten"),
        *("briefed", "planned", "abstained", "edited"),
        *("approved", "rejected", "expired", "stopped", "resumed"),
        *("acted", "followed", "verified", "would_be_refused"),
    }
)
"""Kinds of rows that an operator wants to see pass; the others are a request away."""

POLL_S = 0.5
ENDS_S = 5.0
LONGEST = 240
"""Characters of a reason or a title; the journal has all of it."""


@contextmanager
def told(store: Store, form: LogFormat, write: Callable[[str], object]) -> Iterator[None]:
    """While inside, each new row that matters becomes a line; what is written last is said, too."""
    line = _as_json if form == "json" else _as_text
    stopping = threading.Event()
    seen = store.journal.last()

    def follow() -> None:
        nonlocal seen
        complaint = ""
        over = False
        while not over:
            over = stopping.wait(POLL_S)
            try:
                for event in store.journal.events(after=seen):
                    seen = event.seq
                    if event.kind in TOLD:
                        write(line(_fields(event, store.incidents.get(event.incident_id))) + "\n")
            except StoreError as error:
                if str(error) != complaint:
                    log.warning("the journal could not be read: %s", error)
                complaint = str(error)

    thread = threading.Thread(target=follow, name="tell the journal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(ENDS_S)


def _fields(event: Event, incident: Incident | None) -> dict[str, JsonValue]:
    """A row in the words of an operator: secrets taken out, nothing that could end the line."""
    fields: dict[str, JsonValue] = {
        "time": iso(event.at),
        "incident": event.incident_id,
        "kind": event.kind,
        "by": _clean(event.by),
        "title": _clean(incident.title) if incident else "",
        "component": _component(event, incident),
        "reason": _clean(str(event.detail.get("reason", ""))),
    }
    for name in ("plan", "step", "outcome"):
        if name in event.detail:
            fields[name] = _clean(str(event.detail[name]))
    return {name: value for name, value in fields.items() if value != ""}


def _component(event: Event, incident: Incident | None) -> str:
    """What it is about, as far as it is located."""
    if incident is None or event.kind in ("opened", "reopened"):
        return ""
    if incident.plan is not None:
        return _clean(incident.plan.component)
    located = incident.ranking.located
    return "" if located is None else _clean(located.component)


def _clean(text: str) -> str:
    return sanitize(redact(text), LONGEST)


def _as_json(fields: dict[str, JsonValue]) -> str:
    return json.dumps(fields, ensure_ascii=False)


def _as_text(fields: dict[str, JsonValue]) -> str:
    """`TIME INCIDENT KIND title (component) by NAME: reason`."""
    said = [str(fields["time"]), str(fields.get("incident", "-")), str(fields["kind"])]
    if "title" in fields:
        said.append(json.dumps(fields["title"], ensure_ascii=False))
    for name in ("component", "plan", "step", "outcome", "by"):
        if name in fields and not (name == "by" and fields[name] == "copilot"):
            value = str(fields[name])
            said.append(
                f"{name}={json.dumps(value, ensure_ascii=False) if ' ' in value else value}"
            )
    return f"{' '.join(said)}: {fields.get('reason', '')}".removesuffix(": ")
