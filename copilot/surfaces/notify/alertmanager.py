"""Alertmanager: each incident is an alert of it, from its first notice to its end.

Its own routes, receivers and inhibitions then hold for what we detect and foresee. Labels are what
it tells alerts apart by: where the severity or the service changes, the alert before is ended.
Source: prometheus/alertmanager api/v2/openapi.yaml (postableAlerts).
"""

import json
from collections.abc import Callable
from urllib.parse import urlsplit

from pydantic import JsonValue, SecretStr, TypeAdapter

from copilot.alerts.formats.alertmanager import OUR_LABEL
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.types.notice import Notice
from copilot.types.time_format import iso
from prompts import Language
from tools.types import FrozenModel, Timestamp

HOLDS_S = 7 * 86_400.0
"""How long an alert stands that nobody renews: nothing is heard of an incident for so long."""

TEST_S = 60.0


class _Standing(FrozenModel):
    """The alert as it stands there, which is ended by its very labels."""

    labels: dict[str, str]
    starts_at: str


_STANDING = TypeAdapter(_Standing)


class AlertmanagerSender:
    """Posts to API v2; every change renews the alert."""

    def __init__(
        self,
        http: ChannelHttp,
        url: SecretStr,
        language: Language,
        wall: Callable[[], Timestamp],
    ) -> None:
        self._http, self._url = http, url
        self._language: Language = language
        self._wall = wall

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Raise, renew or end the alert of an incident; what is told together is none."""
        if notice.moment in ("storm", "digest"):
            return ""
        now, over = self._wall(), notice.moment in ("recovered", "resolved")
        stood = _STANDING.validate_json(before) if before else None
        labels = {
            "alertname": "CopilotIncident",
            OUR_LABEL: notice.incident_id,
            "severity": notice.severity,
            "service": notice.services[0] if notice.services else "",
        }
        labels = {name: value for name, value in labels.items() if value}
        if stood is None or notice.moment == "reopened":
            stood = _Standing(labels=labels, starts_at=iso(min(now, notice.at)) or "")
        lasts = TEST_S if notice.moment == "test" else 0.0 if over else HOLDS_S
        alerts = [self._alert(notice, labels, stood.starts_at, now + lasts)]
        if stood.labels != labels:
            alerts.append(self._alert(notice, stood.labels, stood.starts_at, now))
        url = self._url.get_secret_value().rstrip("/")
        path = "" if urlsplit(url).path.endswith("/api/v2/alerts") else "/api/v2/alerts"
        self._http.post(f"{url}{path}", json.dumps(alerts, ensure_ascii=False).encode(), {})
        return _Standing(labels=labels, starts_at=stood.starts_at).model_dump_json()

    def _alert(
        self, notice: Notice, labels: dict[str, str], starts_at: str, ends: Timestamp
    ) -> JsonValue:
        said = {
            "summary": notice.heads[self._language],
            "description": "\n".join(notice.lines[self._language]),
        }
        return {
            "labels": {**labels},
            "annotations": {**said},
            "startsAt": starts_at,
            "endsAt": iso(ends),
            "generatorURL": notice.links.get(self._language, ""),
        }
