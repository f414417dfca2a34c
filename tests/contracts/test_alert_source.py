"""What every source of alerts promises; and silences, as the real Alertmanager holds them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from copilot.alerts.formats import parse
from copilot.ports import AlertSource, SourceError
from copilot.sources.alertmanager import SUPPRESSED_BY, AlertmanagerSource
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.recorded import RecordedBundle
from copilot.testing import servers
from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer, serving
from evals.localization.cases import RECORDINGS
from tests.contracts.clocks import Standing
from tools.types import Window

NOW = float(int(time.time()))
BEGAN = NOW - 300


def told(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def firing(name: str, service: str) -> dict[str, object]:
    return {
        "labels": {"alertname": name, "service": service, "severity": "critical"},
        "annotations": {"summary": f"{name} of {service}"},
        "startsAt": told(BEGAN),
        "generatorURL": "http://prometheus.example/graph",
    }


SILENCE = {
    "matchers": [
        {"name": "service", "value": "pay|bank", "isRegex": True, "isEqual": True},
        {"name": "severity", "value": "info", "isRegex": False, "isEqual": False},
    ],
    "startsAt": told(NOW - 60),
    "endsAt": told(NOW + 3600),
    "createdBy": "anna",
    "comment": "moving the bank",
}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerSource]:
    if not servers.ALERTMANAGER:
        pytest.skip("prometheus-alertmanager is not installed (apt-get install it)")
    with servers.alertmanager(tmp_path_factory.mktemp("alertmanager")) as url:
        ended = firing("Ended", "cart") | {"endsAt": told(NOW - 10)}
        posted = [firing("Slow", "cart"), firing("Down", "pay"), ended]
        httpx.post(f"{url}/api/v2/silences", json=SILENCE).raise_for_status()
        httpx.post(f"{url}/api/v2/alerts", json=posted).raise_for_status()
        api = JsonApi("Alertmanager", ApiEndpoint(url))
        source = AlertmanagerSource(api, Standing(NOW))
        _await_silenced(source)
        yield source
        api.close()


def _await_silenced(source: AlertmanagerSource) -> None:
    """A silence is gossiped to itself before it is in force."""
    for _ in range(100):
        held = source.alerts(Window(start=BEGAN, end=NOW))
        if any(SUPPRESSED_BY in one.annotations for one in held):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing was silenced: {held}")


@dataclass(frozen=True)
class Case:
    """A source, and a window in which an alert began."""

    source: AlertSource
    known: Window


def recorded() -> Case:
    folder = next(path.parent for path in sorted(RECORDINGS.rglob("incident.json")))
    bundle = RecordedBundle(folder)
    return Case(bundle, bundle.window)


@pytest.fixture(params=["recorded", "alertmanager"])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "recorded":
        return recorded()
    return Case(request.getfixturevalue("alertmanager"), Window(start=NOW - 600, end=NOW))


def test_alerts_began_inside_the_window_and_have_an_identity(case: Case) -> None:
    found = case.source.alerts(case.known)
    assert found
    for one in found:
        assert one.starts_at in case.known
        assert one.fingerprint
        assert one.name
    assert len({(one.fingerprint, one.starts_at) for one in found}) == len(found)


def test_a_window_before_all_alerts_is_empty(case: Case) -> None:
    early = Window(start=case.known.start - 7200, end=case.known.start - 3600)
    assert list(case.source.alerts(early)) == []


def test_an_open_alert_is_told_as_the_webhook_tells_it(alertmanager: AlertmanagerSource) -> None:
    found = {one.name: one for one in alertmanager.alerts(Window(start=0, end=NOW))}
    assert set(found) == {"Slow", "Down"}
    slow = found["Slow"]
    sent = {
        "status": "firing",
        "alerts": [firing("Slow", "cart") | {"fingerprint": slow.fingerprint, "status": "firing"}],
    }
    assert parse(sent, "alertmanager", now=NOW) == (slow,)


def test_silences_are_told_and_mute_the_same_alerts(alertmanager: AlertmanagerSource) -> None:
    found = {one.name: one for one in alertmanager.alerts(Window(start=0, end=NOW))}
    (silence,) = alertmanager.silences()
    assert found["Down"].annotations[SUPPRESSED_BY] == silence.id
    assert SUPPRESSED_BY not in found["Slow"].annotations
    assert [silence.mutes(one.labels, NOW + 600) for one in found.values()] == [
        one.name == "Down" for one in found.values()
    ]
    assert (silence.created_by, silence.comment) == ("anna", "moving the bank")
    assert not silence.mutes(found["Down"].labels, NOW + 3601)


def test_it_says_what_it_holds(alertmanager: AlertmanagerSource) -> None:
    assert alertmanager.describe().endswith("2 open alerts, 1 silences")


class Another(StrictServer):
    """Some other service at that address."""

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        return HttpReply(200, {"alerts": []})


def test_what_is_no_alertmanager_is_named(tmp_path: Path) -> None:
    with serving(Another()) as server:
        api = JsonApi("Alertmanager", ApiEndpoint(server.url))
        with pytest.raises(SourceError, match="API v2 does not document"):
            AlertmanagerSource(api, Standing(NOW)).alerts(Window(start=0, end=NOW))
        api.close()
