"""Nightingale (n9e): events of its callbacks and webhooks, alone or in a list.

Source: ccfos/nightingale `models/alert_cur_event.go`: hash is rule and series, severity 1 to 3
(1 is the worst), trigger_time of this event and first_trigger_time of the whole episode,
last_eval_time is the end of a recovered one.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import (
    Annotations,
    CleanText,
    Moment,
    Payload,
    Word,
    clean_labels,
)
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, part, read_as
from tools.types import Alert, Timestamp


def _moment_or_none(given: object) -> object:
    return None if given in (0, "0") else given


LaterMoment = Annotated[Moment, BeforeValidator(_moment_or_none)]
"""A time of which 0 says that there is none."""


class NightingaleEvent(Payload):
    """One event of a rule for one series."""

    hash: Word = ""
    rule_id: Word = ""
    rule_name: Word = ""
    rule_note: CleanText = ""
    severity: Word = ""
    is_recovered: Word = ""
    tags: Pairs = Field(default_factory=dict)
    tags_map: Pairs = Field(default_factory=dict)
    annotations: Annotations = Field(default_factory=dict)
    target_ident: Word = ""
    group_name: Word = ""
    cluster: Word = ""
    trigger_time: LaterMoment = None
    first_trigger_time: LaterMoment = None
    last_eval_time: LaterMoment = None
    trigger_value: object = None
    runbook_url: CleanText = ""


def events(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one event, a list of them, or an object that has them under `events`."""
    listed = part(document, "events")
    prefix, items = ("events", listed) if isinstance(listed, list) else ("", document)
    if not isinstance(items, list):
        return (_alert(read_as(NightingaleEvent, items), "", now),)
    read = ((place, item) for place, item in enumerate(items))
    return tuple(
        _alert(read_as(NightingaleEvent, item, f"{prefix}[{place}]"), f"{prefix}[{place}].", now)
        for place, item in read
    )


def _alert(event: NightingaleEvent, path: str, now: Timestamp) -> Alert:
    if not event.rule_name:
        raise PayloadError(f"{path}rule_name", "the name of the rule")
    found = vocabulary.read_state(f"{path}is_recovered", event.is_recovered, "n9e")
    state = "firing" if found.state == "quiet" else found.state
    tags = {
        name: value
        for name, value in {**event.tags_map, **event.tags}.items()
        if name != "rulename"
    }
    named = {"ident": event.target_ident, "cluster": event.cluster, "busigroup": event.group_name}
    labels = clean_labels({**tags, **{name: text for name, text in named.items() if text}})
    began = event.first_trigger_time if event.first_trigger_time is not None else event.trigger_time
    ended = event.last_eval_time if event.last_eval_time is not None else now
    texts = {"description": event.rule_note, "runbook_url": event.runbook_url}
    return normalised(
        labels,
        {**{name: text for name, text in texts.items() if text}, **event.annotations},
        status=state,
        starts_at=now if began is None else began,
        ends_at=ended if began is None or ended > began else max(now, began),
        source="n9e",
        fingerprint=event.hash
        or meaning.digest(
            "n9e", event.rule_id or event.rule_name, *map("=".join, sorted(tags.items()))
        ),
        name=event.rule_name,
        severity=vocabulary.severity_of(event.severity, "n9e"),
        value=meaning.figure(event.trigger_value),
        note="; ".join(
            note
            for note in (
                found.note,
                ""
                if not event.severity or vocabulary.severity_of(event.severity, "n9e")
                else vocabulary.severity_note(f"{path}severity", event.severity, "warning"),
            )
            if note
        ),
    )


def _marked(document: object) -> bool:
    listed = part(document, "events")
    items = listed if isinstance(listed, list) else document
    first = items[0] if isinstance(items, list) and items else items
    return has(first, "rule_name") and (
        has(first, "is_recovered") or has(first, "trigger_time", "hash")
    )


NIGHTINGALE = Sender("n9e", "Nightingale (n9e)", _marked, events)
