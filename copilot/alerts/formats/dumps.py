"""Alerts that somebody saved: what Alertmanager, Prometheus, amtool or we print, or a webhook body.

Source: prometheus/alertmanager `api/v2/openapi.yaml` (GET /alerts and /alerts/groups; amtool prints
the same with `-o json`), prometheus/prometheus `docs/querying/api.md` (GET /api/v1/alerts, /rules).
A dump is always older than its leases: its state counts, and not its `endsAt`.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import BeforeValidator, Field

from copilot.alerts.formats import MalformedError, PayloadError, TooManyAlertsError, parse
from copilot.alerts.formats.alertmanager import PostedAlert
from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.fields import CleanName, Moment, Payload, Word, as_object
from copilot.alerts.formats.meaning import figure
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.sender import has, part, read_as
from tools.types import Alert, FrozenModel, Timestamp

_FIRING = frozenset({"active", "firing", "unprocessed"})
_BURNING = frozenset({"firing", "no_data"})


class AlertExport(FrozenModel):
    """What a file holds: alerts to look at, and those that are not, each with its state."""

    alerts: tuple[Alert, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def burning(self) -> tuple[Alert, ...]:
        """The alerts that somebody should look into."""
        return tuple(alert for alert in self.alerts if alert.status in _BURNING)


class HeldStatus(Payload):
    """How Alertmanager holds an alert."""

    state: CleanName = ""


class HeldAlert(PostedAlert):
    """One alert as it was printed: Alertmanager tells a status, Prometheus a state."""

    fingerprint: CleanName = ""
    status: Annotated[HeldStatus, BeforeValidator(as_object)] = HeldStatus()
    state: Word = ""
    active_at: Moment = Field(default=None, alias="activeAt")
    value: object = None


def exported(body: bytes, now: Timestamp, limit: int = 10_000) -> AlertExport:
    """Read a file of alerts, whatever it is; raises `PayloadError` for what holds none."""
    document = _document(body)
    held = list(_held(document))
    if len(held) > limit:
        raise TooManyAlertsError("", f"at most {limit} alerts in one file", len(held))
    if not held and not _is_dump(document):
        return AlertExport(alerts=parse(_enveloped(document), "auto", {}, now, limit))
    alerts: list[Alert] = []
    left_out: list[str] = []
    for path, item in held:
        read = read_as(HeldAlert, item, path)
        state = read.status.state or read.state
        if state in _FIRING:
            alerts.append(_alert(read, now))
        else:
            left_out.append(f"{read.labels.get('alertname', 'an alert')} ({state or 'no state'})")
    return AlertExport(alerts=tuple(alerts), left_out=tuple(left_out))


def _document(body: bytes) -> object:
    """JSON, or one object a line."""
    try:
        return decoded(body)
    except MalformedError:
        lines = [line for line in body.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.lstrip().startswith(b"{") for line in lines):
            raise
        return [decoded(line) for line in lines]


def _held(document: object) -> Iterator[tuple[str, object]]:
    """Every alert of a dump with its place; none where it is no dump."""
    data = part(document, "data")
    if data is not None:
        yield from _of_prometheus(data)
        return
    if not isinstance(document, list):
        return
    for place, item in enumerate(document):
        path = f"[{place}]"
        if has(item, "labels") and isinstance(part(item, "status"), dict):
            yield path, item
        elif has(item, "alerts", "receiver"):
            yield from _listed(part(item, "alerts"), f"{path}.alerts")


def _of_prometheus(data: object) -> Iterator[tuple[str, object]]:
    if isinstance(data, list):  # Alertmanager's API v1
        held = [item for item in data if has(item, "labels")]
        yield from _listed(held, "data")
        return
    yield from _listed(part(data, "alerts"), "data.alerts")
    groups = part(data, "groups")
    for group in groups if isinstance(groups, list) else ():
        rules = part(group, "rules")
        for rule in rules if isinstance(rules, list) else ():
            yield from _listed(part(rule, "alerts"), "data.groups[].rules[].alerts")


def _is_dump(document: object) -> bool:
    """True for an answer that holds no alert at all, which is no fault of the file."""
    data = part(document, "data")
    answered = isinstance(data, list) or isinstance(part(data, "alerts"), list)
    return document == [] or (part(document, "status") == "success" and answered)


def _listed(items: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(items, list):
        yield from ((f"{path}[{place}]", item) for place, item in enumerate(items))


def _enveloped(document: object) -> object:
    """Bare alerts of a notification, and alerts as we record them, as Alertmanager sends them."""
    if has(document, "opened_at", "clocks") and not has(document, "alerts"):
        raise PayloadError("", "alerts; this is an incident, and `copilot incidents` shows it")
    if not isinstance(document, list) or not document:
        return document
    bare = all(has(item, "labels", "status", "startsAt") for item in document)
    return {"version": "4", "alerts": document} if bare else document


def _alert(held: HeldAlert, now: Timestamp) -> Alert:
    began = held.starts_at if held.starts_at is not None else held.active_at
    return normalised(
        held.labels,
        held.annotations,
        status="firing",
        starts_at=now if began is None else began,
        ends_at=None,
        source="prometheus" if held.state else "alertmanager",
        fingerprint=held.fingerprint,
        generator_url=held.generator_url,
        value=figure(held.value),
    )
