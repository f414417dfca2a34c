"""Alerts of Alertmanager's API: what is posted is stored, what fires is told with its state."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import JsonValue

from copilot.alerts.formats import MalformedError, PayloadError, TooManyAlertsError, parse
from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.fields import moment
from copilot.store import FiringAlert
from copilot.surfaces.service.alertmanager.errors import (
    REQUIRED,
    ApiRefusalError,
    filters,
    unreadable,
)
from copilot.surfaces.service.ports import ServiceEngine, ServiceSettings
from copilot.types.time_format import iso_millis
from tools.clusterer import (
    DECLARED_RULE,
    LABELLED,
    SUPPRESSED,
    Inhibitor,
    Matcher,
    expression_fault,
    matching_labels,
)
from tools.types import FrozenModel, Timestamp

RECEIVER = "copilot"
"""There is one, since incidents are told by their own events and not by routes."""

RESOLVE_TIMEOUT_S = 300.0
"""`endsAt` of what has no lease: `resolve_timeout` of Alertmanager, as if it were repeated now."""

AlertState = Literal["unprocessed", "active", "suppressed"]


class AlertStanding(NamedTuple):
    """A firing alert, and who keeps it from being told: ids, fingerprints, and names of ours."""

    firing: FiringAlert
    silenced_by: tuple[str, ...]
    inhibited_by: tuple[str, ...]
    muted_by: tuple[str, ...]

    @property
    def state(self) -> AlertState:
        """As Alertmanager has it; what awaits its decision is unprocessed."""
        if self.silenced_by or self.inhibited_by or self.muted_by:
            return "suppressed"
        return "active" if self.firing.stored.action else "unprocessed"

    @property
    def labels(self) -> dict[str, str]:
        """Its own; other senders' alerts have a name that is no label."""
        alert = self.firing.alert
        return (
            alert.labels
            if "alertname" in alert.labels or alert.source in LABELLED
            else ({"alertname": alert.name, **alert.labels})
        )


class AlertQuery(FrozenModel):
    """Which alerts to tell. `unprocessed` is accepted and changes nothing, as there."""

    active: bool = True
    silenced: bool = True
    inhibited: bool = True
    matchers: tuple[Matcher, ...] = ()
    receives: bool = True

    def holds(self, one: AlertStanding) -> bool:
        """Whether an alert is asked for."""
        if not self.receives or (not self.active and one.state != "suppressed"):
            return False
        if (one.silenced_by and not self.silenced) or (one.inhibited_by and not self.inhibited):
            return False
        return all(matcher.matches(one.labels) for matcher in self.matchers)


def query(
    active: str, silenced: str, inhibited: str, texts: Sequence[str], receiver: str
) -> AlertQuery:
    """Read the parameters of a query; what is no word for yes is no."""
    fault = expression_fault(receiver)
    if fault:
        said = f"failed to parse receiver param: error parsing regexp: {fault}"
        raise ApiRefusalError(400, said)
    named = Matcher(label="receiver", operator="=~", value=receiver)
    return AlertQuery(
        active=_yes(active),
        silenced=_yes(silenced),
        inhibited=_yes(inhibited),
        matchers=filters(texts),
        receives=not receiver or named.matches({"receiver": RECEIVER}),
    )


def listed(engine: ServiceEngine, wanted: AlertQuery) -> list[dict[str, JsonValue]]:
    """Firing alerts by fingerprint."""
    now = engine.now()
    found = (one for one in _standings(engine, now) if wanted.holds(one))
    ordered = sorted(found, key=lambda one: one.firing.alert.fingerprint)
    return [_shown(one, now) for one in ordered]


def grouped(engine: ServiceEngine, wanted: AlertQuery) -> list[dict[str, JsonValue]]:
    """Firing alerts by incident; those of none are one group without labels."""
    now = engine.now()
    groups: dict[str, list[JsonValue]] = {}
    for one in _standings(engine, now):
        if wanted.holds(one):
            groups.setdefault(one.firing.stored.incident_id or "", []).append(_shown(one, now))
    return [
        {
            "alerts": alerts,
            "labels": {"incident": incident} if incident else {},
            "receiver": {"name": RECEIVER},
        }
        for incident, alerts in sorted(groups.items())
    ]


def post(
    engine: ServiceEngine, settings: ServiceSettings, content: bytes, headers: Mapping[str, str]
) -> None:
    """Store the valid alerts of a batch; 400 with what is wrong with the others, if any."""
    valid, faults = [], []
    for item in _items(content):
        fault = _fault(item)
        if fault:
            faults.append(fault)
        else:
            valid.append(item)
    now = engine.now()
    try:
        alerts = parse(valid, "alertmanager_v2", headers, now, limit=settings.max_alerts)
    except TooManyAlertsError:
        raise
    except PayloadError as problem:
        raise unreadable("alerts", problem) from problem
    if alerts:
        engine.accept(alerts, now)
    if faults:
        raise ApiRefusalError(400, "; ".join(faults))


def _items(content: bytes) -> list[dict[str, object]]:
    """The posted objects; a document of another shape is refused whole."""
    if not content:
        raise ApiRefusalError(422, "alerts in body is required", REQUIRED)
    try:
        document = decoded(content)
    except MalformedError as problem:
        raise unreadable("alerts", problem) from problem
    if document is None:
        return []
    if not isinstance(document, list) or not all(isinstance(item, dict) for item in document):
        raise unreadable("alerts", PayloadError("", "a list of objects", document))
    for position, item in enumerate(document):
        if item.get("labels") is None:
            raise ApiRefusalError(422, f"{position}.labels in body is required", REQUIRED)
    return document


def _fault(item: dict[str, object]) -> str:
    """What makes one alert invalid; what has no right type is for the parser to refuse.

    Source: `Alert.Validate` of prometheus/common `model/alert.go`.
    """
    began, ended = _moment(item.get("startsAt")), _moment(item.get("endsAt"))
    if began is not None and ended is not None and ended < began:
        return "start time must be before end time"
    labels = item["labels"]
    named = [name for name, value in labels.items() if value] if isinstance(labels, dict) else ["?"]
    if not named:
        return "at least one label pair required"
    for part, said in ((named, "label set"), (item.get("annotations"), "annotations")):
        for name in part if isinstance(part, list | dict) else ():
            if not name.strip():
                return f"invalid {said}: invalid name {json.dumps(name)}"
    return ""


def _moment(given: object) -> Timestamp | None:
    try:
        return moment(given)
    except ValueError:
        return None


def _standings(engine: ServiceEngine, now: Timestamp) -> Iterator[AlertStanding]:
    """What fires, with what mutes it now: silences and rules speak for themselves at any time."""
    rows, announced = engine.store.firing.all(now), engine.announced
    inhibitor = Inhibitor(announced.inhibitions)
    openers: dict[str, str] = {}
    for row in rows:
        inhibitor.fire(row.alert, until=now)
        if row.stored.action == "opened" and row.stored.incident_id:
            openers[row.stored.incident_id] = row.stored.alert.fingerprint
    for row in rows:
        stored, labels = row.stored, matching_labels(row.alert)
        by = {source.fingerprint for source in inhibitor.sources_of(row.alert, now)}
        if stored.action == "inhibited" and not stored.reason.startswith(DECLARED_RULE):
            by.add(openers.get(stored.incident_id or "", stored.incident_id or ""))
        held = {stored.action} & SUPPRESSED - {"silenced", "inhibited"}
        windows = {window.id for window in announced.windows if window.mutes(labels, now)}
        silences = {silence.id for silence in announced.silences if silence.mutes(labels, now)}
        yield AlertStanding(
            row, tuple(sorted(silences)), tuple(sorted(by)), tuple(sorted({*held, *windows}))
        )


def _shown(one: AlertStanding, now: Timestamp) -> dict[str, JsonValue]:
    alert = one.firing.alert
    ends_at = now + RESOLVE_TIMEOUT_S if alert.lease is None else alert.lease
    link: dict[str, JsonValue] = {"generatorURL": alert.generator_url}
    return {
        "annotations": dict(sorted(alert.annotations.items())),
        "endsAt": iso_millis(ends_at),
        "fingerprint": alert.fingerprint,
        "receivers": [{"name": RECEIVER}],
        "startsAt": iso_millis(alert.starts_at),
        "status": {
            "inhibitedBy": list(one.inhibited_by),
            "mutedBy": list(one.muted_by),
            "silencedBy": list(one.silenced_by),
            "state": one.state,
        },
        "updatedAt": iso_millis(one.firing.seen_at),
        **(link if alert.generator_url else {}),
        "labels": dict(sorted(one.labels.items())),
    }


def _yes(word: str) -> bool:
    """`ConvertBool` of go-openapi/swag, by which the real one reads them."""
    words = ("1", "true", "t", "y", "yes", "ok", "on", "selected", "checked", "enabled")
    return word.lower() in words
