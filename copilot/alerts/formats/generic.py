"""Any other JSON that names an alert: fields found under the names that are usual for them.

An object is one alert; so is each object of a list, and of the lists `alerts` and `events`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

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
from tools.types import Alert, AlertStatus, Timestamp

_NAME = ("alertname", "alert_name", "name", "title", "rule_name", "ruleName", "check", "summary")
_NAME_LAST = ("message", "description", "text", "event")
_STATUS = ("status", "state", "alert_status", "event_action", "action")
_SEVERITY = ("severity", "priority", "level", "urgency", "alert_severity")
_SERVICE = ("service", "service_name", "app", "application", "component", "source")
_STARTS = ("startsAt", "starts_at", "started_at", "start_time", "timestamp", "@timestamp")
_STARTS_LAST = ("time", "start", "created_at", "createdAt", "date", "at")
_ENDS = ("endsAt", "ends_at", "ended_at", "end_time", "end", "resolved_at")
_IDENTITY = ("fingerprint", "dedup_key", "dedupKey", "alert_id", "alias", "incident_key")
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
    return tuple(_alert(fields, path, now, source, context) for path, fields in _objects(document))


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
) -> Alert:
    labels = clean_labels({**context, **_placed(fields), **_labels(fields, path)})
    name = _text(fields, path, _NAME, 200) or _loose(fields, _NAME_LAST, 200)
    name = name or labels.get("alertname", "")
    if not name:
        raise PayloadError(f"{path}name", f"one of {', '.join(_NAME)} to call the alert by")
    service = _loose(fields, _SERVICE, NAME_LIMIT) or meaning.service(labels)
    starts_at = _moment(fields, path, _STARTS) or _loose_moment(fields)
    ends_at = _moment(fields, path, _ENDS)
    annotations = {key: _loose(fields, (key,), TEXT_LIMIT) for key in _ANNOTATIONS}
    # The name and the service tell alerts apart where there are no labels.
    told_apart = clean_labels({"alertname": name, "service": service, **labels})
    return normalised(
        labels,
        {key: text for key, text in annotations.items() if text},
        status=_status(fields, path, ended=ends_at is not None and ends_at <= now),
        starts_at=now if starts_at is None else starts_at,
        ends_at=ends_at,
        source=source,
        fingerprint=_loose(fields, _IDENTITY, NAME_LIMIT) or meaning.identity("", told_apart),
        name=name,
        severity=meaning.severity_word(_text(fields, path, _SEVERITY, NAME_LIMIT)),
        service=service,
        generator_url=_loose(fields, _URL, 2048),
        value=_value(fields),
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


def _status(fields: Fields, path: str, *, ended: bool) -> AlertStatus:
    said = meaning.status_word(_text(fields, path, _STATUS, NAME_LIMIT))
    return said or ("resolved" if ended else "firing")


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
    given = fields[key]
    if isinstance(given, dict):
        pairs = [(str(name), meaning.text(value)) for name, value in given.items()]
    elif isinstance(given, list):
        pairs = [_pair(item, f"{path}{key}[{position}]") for position, item in enumerate(given)]
    else:
        raise PayloadError(f"{path}{key}", "an object, or a list of 'name:value'", given)
    return {name: text for name, text in pairs if text}


def _pair(item: object, path: str) -> tuple[str, str | None]:
    """`name:value`, `name=value` or a bare tag, which is a label of value `true`."""
    if not isinstance(item, str):
        raise PayloadError(path, "a string 'name:value'", item)
    separator = next((mark for mark in ":=" if mark in item), "")
    if not separator:
        return item, "true"
    name, _, text = item.partition(separator)
    return name, text
