"""Payloads: what alert senders post becomes alerts; wrong types are refused with the place.

A new format is one module with a `Sender`, and one row in `SENDERS`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from copilot.alerts.formats import (
    alertmanager,
    aliyun,
    azure,
    cloudevents,
    cloudwatch,
    datadog,
    gcp,
    generic,
    grafana,
    grafana_legacy,
    huawei,
    newrelic,
    nightingale,
    opsgenie,
    pagerduty,
    pagerduty_webhook,
    sentry,
    sns,
    tencent,
    uptime_kuma,
    zabbix,
)
from copilot.alerts.formats.document import decoded, form, is_form
from copilot.alerts.formats.errors import MalformedError, PayloadError, TooManyAlertsError
from copilot.alerts.formats.mapped import AlertMapping
from copilot.alerts.formats.sender import PayloadReader, Sender
from tools.types import Alert, Timestamp

__all__ = [
    "ALIASES",
    "KINDS",
    "SENDERS",
    "MalformedError",
    "PayloadError",
    "PayloadKind",
    "TooManyAlertsError",
    "parse",
    "parse_mapped",
    "recognised",
]

PayloadKind = str
"""One of `KINDS`."""

SENDERS: tuple[Sender, ...] = (
    pagerduty.EVENTS,
    pagerduty_webhook.WEBHOOK,
    aliyun.ARMS,
    grafana.UNIFIED,
    alertmanager.WEBHOOK,
    alertmanager.POSTED,
    grafana_legacy.LEGACY,
    azure.AZURE,
    sns.SNS,
    cloudwatch.EVENTBRIDGE,
    gcp.GCP,
    aliyun.CLOUD_MONITOR,
    tencent.TENCENT,
    huawei.HUAWEI,
    nightingale.NIGHTINGALE,
    opsgenie.OPSGENIE,
    sentry.SENTRY,
    newrelic.WORKFLOW,
    newrelic.CHANNEL,
    uptime_kuma.KUMA,
    datadog.DATADOG,
    zabbix.ZABBIX,
)
"""All shapes, from the surest mark to the vaguest; of a route with two, the first is its own."""

KINDS = (*dict.fromkeys(one.route for one in SENDERS), "cloudevents", "generic", "auto")
"""What a body may be declared to be: a sender's route, or `auto` to look at it."""

ALIASES: Mapping[str, str] = MappingProxyType({"nightingale": "n9e"})

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_DOCS = "docs/alert-formats.md"


def parse(
    body: object,
    kind: PayloadKind,
    headers: Mapping[str, str] = _NO_HEADERS,
    now: Timestamp = 0.0,
    limit: int = 10_000,
) -> tuple[Alert, ...]:
    """Read a body (bytes, or JSON already read) as alerts; `now` stands for a start not given.

    Raises `MalformedError` for a body that is not JSON (or the form its headers say it is),
    `TooManyAlertsError` above `limit` alerts, `PayloadError` for anything that is not what the
    format says: with the field, the product it was read as, and the route if it is another's.
    """
    document = _document(body, headers, limit)
    kind = ALIASES.get(kind, kind)
    if kind == "cloudevents" or (kind == "auto" and _enveloped(document, headers)):
        alerts = cloudevents.events(document, now, headers, _inside)
    elif kind in ("auto", "generic"):
        sender = recognised(document)
        alerts = sender.read(document, now) if sender else generic.alerts(document, now)
    else:
        alerts = _of_route(document, kind, now)
    return _bounded(alerts, limit)


def parse_mapped(
    body: object,
    mapping: AlertMapping,
    headers: Mapping[str, str] = _NO_HEADERS,
    now: Timestamp = 0.0,
    limit: int = 10_000,
) -> tuple[Alert, ...]:
    """Read a body by a mapping that an operator declared."""
    return _bounded(mapping.read(_document(body, headers, limit), now), limit)


def recognised(document: object) -> Sender | None:
    """Whose document this is, by its marks."""
    return next((sender for sender in SENDERS if sender.mark(document)), None)


def _document(body: object, headers: Mapping[str, str], limit: int) -> object:
    if not isinstance(body, bytes):
        document = body
    else:
        document = form(body) if is_form(headers) else decoded(body)
    _check_count(document, limit)
    return document


def _check_count(document: object, limit: int) -> None:
    """Count before anything is validated, so that a flood costs one look."""
    if isinstance(document, dict):
        listed = document.get("alerts", document.get("events"))
    else:
        listed = document
    if isinstance(listed, list) and len(listed) > limit:
        raise TooManyAlertsError("", f"at most {limit} alerts in one request", len(listed))


def _bounded(alerts: tuple[Alert, ...], limit: int) -> tuple[Alert, ...]:
    if len(alerts) > limit:
        raise TooManyAlertsError("", f"at most {limit} alerts in one request", len(alerts))
    return alerts


def _of_route(document: object, route: str, now: Timestamp) -> tuple[Alert, ...]:
    """Read by the shape of the route that the document has, else by the first."""
    shapes = [one for one in SENDERS if one.route == route]
    if not shapes:
        raise PayloadError("", f"a format of {', '.join(KINDS)}", route)
    shape = next((one for one in shapes if one.mark(document)), shapes[0])
    try:
        return shape.read(document, now)
    except PayloadError as problem:
        other = recognised(document)
        if other is not None and other.route != route:
            there = "/api/v2/alerts" if other is alertmanager.POSTED else f"/webhooks/{other.route}"
            remedy = f"this looks like {other.product}: post it to {there}"
        else:
            remedy = f"read as {' or '.join(one.product for one in shapes)}; see {_DOCS}"
        raise problem.told(remedy) from problem


def _enveloped(document: object, headers: Mapping[str, str]) -> bool:
    first = document[0] if isinstance(document, list) and document else document
    return (isinstance(first, dict) and "specversion" in first) or any(
        name.lower() == "ce-specversion" for name in headers
    )


def _inside(document: object) -> PayloadReader | None:
    sender = recognised(document)
    return None if sender is None else sender.read
