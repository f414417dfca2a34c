"""Zabbix: the JSON of a webhook media type, whose parameters are macros.

Source: zabbix/zabbix `templates/media/event_driven_ansible/media_event_driven_ansible.yaml`
(event_value, event_nseverity, event_tags, trigger_id, host_host, ...) and
keephq/keep `zabbix_provider_script.js` (the macros' own names: EVENT.ID). Both spellings are read;
the media type to use stands in docs/alert-formats.md.
"""

import re

from pydantic import Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import CleanText, Moment, Payload, Word, clean_labels
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, read_as
from tools.types import Alert, Timestamp

_MACRO = re.compile(r"\{[A-Z][A-Z0-9._?]*\}|\*UNKNOWN\*")
_TRIGGER = re.compile(r"triggerid=(\d+)")
_NAMES = re.compile(r"[^a-z0-9]+")
_STATES = ("event_value", "trigger_value", "event_status", "trigger_status", "status", "state")


class ZabbixEvent(Payload):
    """A problem of one trigger of one host."""

    event_id: Word = ""
    trigger_id: Word = ""
    event_name: Word = ""
    trigger_name: Word = ""
    trigger: Word = ""
    subject: Word = ""
    event_nseverity: Word = ""
    event_severity: Word = ""
    trigger_severity: Word = ""
    severity: Word = ""
    host_name: Word = ""
    host_host: Word = ""
    hostname: Word = ""
    host: Word = ""
    host_ip: Word = ""
    event_tags: Pairs = Field(default_factory=dict)
    event_tagsjson: Pairs = Field(default_factory=dict)
    event_update_status: Word = ""
    event_update_action: Word = ""
    event_timestamp: Moment = None
    operation_data: CleanText = ""
    event_opdata: CleanText = ""
    trigger_description: CleanText = ""
    item: CleanText = ""
    link: CleanText = ""
    url: CleanText = ""
    zabbix_url: CleanText = ""


def problem(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one event; the trigger, or where it is not sent the event, identifies the alert."""
    if not isinstance(document, dict):
        raise PayloadError("", "an object of macros", document)
    fields = _named(document)
    read = read_as(ZabbixEvent, fields)
    name = read.event_name or read.trigger_name or read.trigger or read.subject
    if not name:
        raise PayloadError("event_name", "{EVENT.NAME}, or trigger_name, trigger or subject")
    found = _state(fields, read)
    if found.state == "quiet":
        return ()
    host = read.host_name or read.host_host or read.hostname or read.host
    said = {"host": host, "ip": read.host_ip}
    labels = clean_labels({**read.event_tags, **read.event_tagsjson, **said})
    texts = {
        "summary": name,
        "description": read.trigger_description or read.item,
        "opdata": read.operation_data or read.event_opdata,
    }
    linked = read.link or read.url
    number = read.trigger_id or "".join(_TRIGGER.findall(linked)[:1]) or read.event_id
    grade = read.event_nseverity or read.event_severity or read.trigger_severity or read.severity
    severity = vocabulary.severity_of(grade, "zabbix")
    unknown = grade and severity is None
    doubt = vocabulary.severity_note("event_nseverity", grade, "warning") if unknown else ""
    return (
        normalised(
            labels,
            {key: text for key, text in texts.items() if text},
            status=found.state,
            starts_at=now if read.event_timestamp is None else read.event_timestamp,
            ends_at=now,
            source="zabbix",
            fingerprint=meaning.digest("zabbix", read.zabbix_url, host, number or name),
            name=name[:200],
            severity=severity,
            generator_url=linked,
            note="; ".join(note for note in (found.note, doubt) if note),
        ),
    )


def _named(document: dict[object, object]) -> dict[str, object]:
    """`EVENT.ID` and `eventId` as `event_id`; macros that were not filled are left out."""
    named = {}
    for key, value in document.items():
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(key))
        if not (isinstance(value, str) and (_MACRO.fullmatch(value.strip()) or not value.strip())):
            named[_NAMES.sub("_", snake.lower()).strip("_")] = value
    return named


def _state(fields: dict[str, object], read: ZabbixEvent) -> vocabulary.StateReading:
    if read.event_update_status == "1" and "acknowledged" in read.event_update_action:
        return vocabulary.StateReading("acknowledged")
    field = next((name for name in _STATES if fields.get(name) not in (None, "")), "")
    if not field:
        return vocabulary.StateReading("firing", "no event_value: taken as firing")
    word = meaning.text(fields[field])
    if word is None:
        raise PayloadError(field, "a string or a number", fields[field])
    return vocabulary.read_state(field, word, "zabbix")


def _marked(document: object) -> bool:
    if not isinstance(document, dict):
        return False
    names = _named(document).keys()
    return (
        bool(
            {"event_nseverity", "trigger_id", "trigger_severity"} & names
            and {"event_value", "event_status", "trigger_status", "event_name", "trigger_name"}
            & names
        )
        or {"trigger", "hostname", "status"} <= names
    )


ZABBIX = Sender("zabbix", "Zabbix webhook media type", _marked, problem)
