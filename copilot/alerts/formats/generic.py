"""Any other JSON that names an alert: fields found under the names that are usual for them.

An object is one alert; so is each object of a list, and of the lists `alerts` and `events`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import (
    LABEL_LIMIT,
    NAME_LIMIT,
    TEXT_LIMIT,
    clean,
    clean_labels,
    moment,
)
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import as_pairs
from tools.types import Alert, Timestamp

_NAME = (
    "alertname", "alert_name", "alertName", "name", "rule_name", "ruleName", "title", "check",
    "summary",
)  # fmt: skip
_NAME_LAST = ("message", "description", "text", "event")
_STATUS = (
    "status", "state", "alert_status", "alertStatus", "alertState", "current_state",
    "event_action", "action",
)  # fmt: skip
_ENDED = ("is_recovered", "isRecovered", "recovered", "is_resolved", "isResolved", "resolved")
"""Truth values: the alert is over."""
_SEVERITY = ("severity", "priority", "level", "urgency", "alert_severity")
_SERVICE = ("service", "service_name", "app", "application", "component", "source")
_STARTS = (
    "startsAt", "starts_at", "started_at", "start_time", "first_trigger_time", "trigger_time",
    "triggered_at", "timestamp", "@timestamp",
)  # fmt: skip
_STARTS_LAST = ("time", "start", "created_at", "createdAt", "date", "at")
_ENDS = ("endsAt", "ends_at", "ended_at", "end_time", "end", "resolved_at", "recover_time")
_IDENTITY = (
    "fingerprint", "hash", "dedup_key", "dedupKey", "alert_id", "alertId", "alias", "incident_key",
    "incident_id",
)  # fmt: skip
_LABELS = ("labels", "tags", "dimensions")
_ANNOTATIONS = ("summary", "description", "message", "details", "text", "runbook_url")
_PLACE = ("service", "host", "hostname", "instance", "pod", "node", "namespace", "cluster", "env")
_URL = ("generatorURL", "generator_url", "url", "link")
_VALUE = ("value", "current_value", "metric_value")
_LISTS = ("alerts", "events")

_NOWHERE: Mapping[str, str] = MappingProxyType({})

Fields = Mapping[str, object]


def alerts(
    document: object,
    now: Timestamp,
    *,
    source: str = "generic",
    context: Mapping[str, str] = _NOWHERE,
) -> tuple[Alert, ...]:
    """Read what can be read; `context` are labels that the envelope gives to every alert."""
    read = (_alert(fields, path, now, source, context) for path, fields in _objects(document))
    return tuple(alert for alert in read if alert is not None)


def _objects(document: object) -> list[tuple[str, Fields]]:
    prefix, items = "", document
    if isinstance(document, dict):
        listed = next((key for key in _LISTS if isinstance(document.get(key), list)), None)
        if listed is None:
            return [("", document)]
        prefix, items = listed, document[listed]
    if not isinstance(items, list):
        raise PayloadError("", "an object or a list of objects", document)
    found: list[tuple[str, Fields]] = []
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            raise PayloadError(f"{prefix}[{position}]", "an object", item)
        found.append((f"{prefix}[{position}].", item))
    return found


def _alert(
    fields: Fields, path: str, now: Timestamp, source: str, context: Mapping[str, str]
) -> Alert | None:
    labels = clean_labels({**context, **_placed(fields), **_labels(fields, path)})
    name = _text(fields, path, _NAME, 200) or _loose(fields, _NAME_LAST, 200)
    name = name or labels.get("alertname", "")
    if not name:
        raise PayloadError(f"{path}name", _nameless(fields))
    service = _loose(fields, _SERVICE, NAME_LIMIT) or meaning.service(labels)
    starts_at = _moment(fields, path, _STARTS) or _loose_moment(fields)
    ends_at = _moment(fields, path, _ENDS)
    found = _state(fields, path, ended=ends_at is not None and ends_at <= now)
    if found.state == "quiet":
        return None
    grade = _text(fields, path, _SEVERITY, NAME_LIMIT)
    annotations = {key: _loose(fields, (key,), TEXT_LIMIT) for key in _ANNOTATIONS}
    # The name and the service tell alerts apart where there are no labels.
    told_apart = clean_labels({"alertname": name, "service": service, **labels})
    return normalised(
        labels,
        {key: text for key, text in annotations.items() if text},
        status=found.state,
        starts_at=now if starts_at is None else starts_at,
        ends_at=ends_at,
        source=source,
        fingerprint=_loose(fields, _IDENTITY, NAME_LIMIT) or meaning.identity("", told_apart),
        name=name,
        severity=vocabulary.severity_of(grade) or meaning.severity_named(labels),
        service=service,
        generator_url=_loose(fields, _URL, 2048),
        value=_value(fields),
        note="; ".join(note for note in (found.note, _doubt(grade, labels)) if note),
    )


def _doubt(grade: str, labels: Mapping[str, str]) -> str:
    known = vocabulary.severity_of(grade) or meaning.severity_named(labels)
    return vocabulary.severity_note("severity", grade, "warning") if grade and not known else ""


def _nameless(fields: Fields) -> str:
    seen = ", ".join(sorted(clean(str(name), 30) for name in list(fields)[:12]))
    return (
        f"one of {', '.join(_NAME)} to call the alert by; it has {seen or 'no fields'}. "
        "Senders, and mappings for others: docs/alert-formats.md"
    )


def _text(fields: Fields, path: str, keys: Sequence[str], limit: int) -> str:
    """The first of the fields that is there; it has to be a text or a number."""
    for key in keys:
        given = fields.get(key)
        if given is None or given == "":
            continue
        text = meaning.text(given)
        if text is None:
            raise PayloadError(f"{path}{key}", "a string", given)
        return clean(text, limit)
    return ""


def _loose(fields: Fields, keys: Sequence[str], limit: int) -> str:
    """The first of the fields that is a text or a number; others may mean anything."""
    texts = (meaning.text(fields.get(key)) for key in keys)
    return clean(next((text for text in texts if text), ""), limit)


def _moment(fields: Fields, path: str, keys: Sequence[str]) -> Timestamp | None:
    key = next((key for key in keys if fields.get(key) not in (None, "")), None)
    if key is None:
        return None
    try:
        return moment(fields[key])
    except ValueError as problem:
        raise PayloadError(f"{path}{key}", str(problem), fields[key]) from problem


def _loose_moment(fields: Fields) -> Timestamp | None:
    for key in _STARTS_LAST:
        try:
            found = moment(fields.get(key))
        except ValueError:
            continue  # a clock time or a date in the sender's own way
        if found is not None:
            return found
    return None


def _state(fields: Fields, path: str, *, ended: bool) -> vocabulary.StateReading:
    for key in _ENDED:
        given = fields.get(key)
        if isinstance(given, bool | int) and given in (0, 1):
            return vocabulary.StateReading("resolved" if given else "firing")
    key = next((key for key in _STATUS if fields.get(key) not in (None, "")), "")
    word = _text(fields, path, (key,), NAME_LIMIT) if key else ""
    return vocabulary.read_state(f"{path}{key}", word, otherwise="resolved" if ended else "firing")


def _value(fields: Fields) -> float | None:
    figures = (meaning.figure(fields.get(key)) for key in _VALUE)
    return next((value for value in figures if value is not None), None)


def _placed(fields: Fields) -> dict[str, str]:
    """Top-level fields that say where it is."""
    return {key: text for key in _PLACE if (text := _loose(fields, (key,), LABEL_LIMIT))}


def _labels(fields: Fields, path: str) -> dict[str, str]:
    key = next((key for key in _LABELS if fields.get(key)), None)
    if key is None:
        return {}
    try:
        return as_pairs(fields[key])
    except ValueError as problem:
        raise PayloadError(f"{path}{key}", str(problem), fields[key]) from problem
