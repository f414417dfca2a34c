"""Incidents as alerts of an Alertmanager: raised, renewed, ended; no news when they come back."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from copilot.alerts.formats.alertmanager import posted, webhook
from copilot.surfaces.notify.alertmanager import AlertmanagerSender
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.testing.servers import alertmanager
from copilot.types.notice import Moment, Notice
from tools.types import Severity

NOW = 1_700_000_000.0


def notice(moment: Moment, severity: Severity = "critical", at: float = NOW) -> Notice:
    return Notice(
        incident_id="inc-1", seq=1, at=at, moment=moment, by="copilot", status="investigating",
        severity=severity, services=("cart",), heads={"en": f"cart is slow: {moment}", "zh": "慢"},
        lines={"en": ("**What**: slow",), "zh": ()}, links={"en": "https://c.example/i"},
    )  # fmt: skip


class Posted:
    """A sender whose Alertmanager keeps what is posted."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        http = ChannelHttp(["am.example"], httpx.MockTransport(self._taken))
        url = SecretStr("http://am.example/prefix")
        self.sender = AlertmanagerSender(http, url, "en", lambda: NOW)

    def _taken(self, asked: httpx.Request) -> httpx.Response:
        assert asked.url.path == "/prefix/api/v2/alerts"
        self.bodies.append(json.loads(asked.content))
        return httpx.Response(200)


def test_an_incident_is_one_alert_from_its_beginning_to_its_end() -> None:
    told = Posted()
    before = ""
    for moment in ("opened", "located", "recovered"):
        before = told.sender.send(notice(moment), "k", before)
    labels = {json.dumps(one[0]["labels"]) for one in told.bodies}
    assert json.loads(labels.pop()) == {
        "alertname": "CopilotIncident",
        "copilot_incident": "inc-1",
        "severity": "critical",
        "service": "cart",
    }
    assert labels == set(), "an alert is who its labels are"
    assert {one[0]["startsAt"] for one in told.bodies} == {"2023-11-14T22:13:20Z"}
    ends = [one[0]["endsAt"] for one in told.bodies]
    assert ends == ["2023-11-21T22:13:20Z", "2023-11-21T22:13:20Z", "2023-11-14T22:13:20Z"]
    assert told.bodies[1][0]["annotations"]["summary"] == "cart is slow: located"


def test_a_severity_that_rises_ends_the_alert_before() -> None:
    told = Posted()
    before = told.sender.send(notice("opened", "warning"), "k", "")
    told.sender.send(notice("located", "critical"), "k", before)
    new, old = told.bodies[-1]
    assert (new["labels"]["severity"], old["labels"]["severity"]) == ("critical", "warning")
    assert old["endsAt"] == "2023-11-14T22:13:20Z"


def test_what_is_told_together_is_no_alert() -> None:
    told = Posted()
    assert told.sender.send(notice("storm"), "k", "") == ""
    assert told.bodies == []


def test_our_own_alerts_are_no_news_when_they_come_back() -> None:
    told = Posted()
    told.sender.send(notice("opened"), "k", "")
    (body,) = told.bodies
    theirs = {"labels": {"alertname": "Down"}}
    assert [one.name for one in posted([*body, theirs], NOW)] == ["Down"]
    document = {"version": "4", "status": "firing", "alerts": [*body, theirs]}
    assert [one.name for one in webhook(document, NOW)] == ["Down"]


@pytest.mark.integration
def test_a_real_alertmanager_holds_it_and_lets_it_go(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as url:
        sender = AlertmanagerSender(ChannelHttp(["127.0.0.1"]), SecretStr(url), "en", time.time)

        def held() -> list[str]:
            found = httpx.get(f"{url}/api/v2/alerts", trust_env=False).json()
            return [one["labels"]["severity"] for one in found]

        before = sender.send(notice("opened", "warning", time.time()), "k", "")
        assert held() == ["warning"]
        before = sender.send(notice("located", "critical", time.time()), "k", before)
        deadline = time.monotonic() + 20
        while held() != ["critical"] and time.monotonic() < deadline:
            time.sleep(0.2)
        assert held() == ["critical"]
        sender.send(notice("resolved", "critical", time.time()), "k", before)
        while held() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert held() == []
