"""Payloads: what alert sources send becomes alerts; wrong types are refused with the place."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from copilot.alerts.formats import alertmanager, cloudevents, generic, grafana, pagerduty
from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import MalformedError, PayloadError, TooManyAlertsError
from tools.types import Alert, Timestamp

__all__ = ["PayloadKind", "MalformedError", "PayloadError", "TooManyAlertsError", "parse"]

PayloadKind = Literal[
    "alertmanager",  # its webhook, version 4
    "alertmanager_v2",  # what Prometheus posts to `/api/v2/alerts`
    "grafana",
    "pagerduty",
    "cloudevents",
    "generic",
    "auto",  # look at the document to find out
]

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_READERS: Mapping[PayloadKind, cloudevents.PayloadReader] = {
    "alertmanager": alertmanager.webhook,
    "alertmanager_v2": alertmanager.posted,
    "grafana": grafana.webhook,
    "pagerduty": pagerduty.event,
    "generic": generic.alerts,
}


def parse(
    body: object,
    kind: PayloadKind,
    headers: Mapping[str, str] = _NO_HEADERS,
    now: Timestamp = 0.0,
    limit: int = 10_000,
) -> tuple[Alert, ...]:
    """Read a body (bytes, or JSON already read) as alerts; `now` stands for a start not given.

    Raises `MalformedError` for a body that is not JSON, `TooManyAlertsError` above `limit` alerts,
    `PayloadError` for anything that is not what the format says.
    """
    document = decoded(body) if isinstance(body, bytes) else body
    _check_count(document, limit)
    if kind == "auto":
        kind = _sniffed(document, headers)
    if kind == "cloudevents":
        alerts = cloudevents.events(document, now, headers, _inside)
    else:
        alerts = _READERS[kind](document, now)
    if len(alerts) > limit:
        raise TooManyAlertsError("", f"at most {limit} alerts in one request", len(alerts))
    return alerts


def _check_count(document: object, limit: int) -> None:
    """Count before anything is validated, so that a flood costs one look."""
    if isinstance(document, dict):
        listed = document.get("alerts", document.get("events"))
    else:
        listed = document
    if isinstance(listed, list) and len(listed) > limit:
        raise TooManyAlertsError("", f"at most {limit} alerts in one request", len(listed))


def _sniffed(document: object, headers: Mapping[str, str]) -> PayloadKind:
    first = document[0] if isinstance(document, list) and document else document
    enveloped = isinstance(first, dict) and "specversion" in first
    if enveloped or any(name.lower() == "ce-specversion" for name in headers):
        return "cloudevents"
    return _bare(document) or "generic"


def _bare(document: object) -> PayloadKind | None:
    """The format by its marks, in the order from the surest to the vaguest."""
    if isinstance(document, list):
        labelled = all(isinstance(item, dict) and "labels" in item for item in document)
        return "alertmanager_v2" if document and labelled else None
    if not isinstance(document, dict):
        return None
    if "routing_key" in document and "event_action" in document:
        return "pagerduty"
    if not isinstance(document.get("alerts"), list):
        return None
    if document.get("version") == "1" or "orgId" in document:
        return "grafana"
    return "alertmanager" if document.get("version") == "4" or "groupKey" in document else None


def _inside(document: object) -> cloudevents.PayloadReader | None:
    kind = _bare(document)
    return None if kind is None else _READERS[kind]
