"""Every sender's route, mappings, and topics that ask whether they may send."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi.testclient import TestClient

from copilot.alerts.formats.mapped import AlertMapping, MappingFields, MappingsFile
from copilot.store import Store
from copilot.surfaces.service import create_app
from copilot.surfaces.service.subscriptions import SubscriptionDesk
from copilot.testing.service import CountedEngine
from tests.copilot.sender_episodes import ALIYUN, EPISODES, NOW, changed
from tests.copilot.test_service import Door

MAPPINGS = MappingsFile(
    mapping=(AlertMapping(name="doors", fields=MappingFields(name="door", state="is")),)
)
HOST = "sns.eu-west-1.amazonaws.com"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[CountedEngine]:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    yield CountedEngine(store, time=NOW)
    store.close()


def client_of(engine: CountedEngine, desk: SubscriptionDesk | None = None) -> TestClient:
    app = create_app(engine, Door(), mappings=MAPPINGS, subscriptions=desk or SubscriptionDesk())
    return TestClient(app, base_url="http://127.0.0.1")


@pytest.mark.parametrize("case", EPISODES)
def test_a_sender_has_a_route_at_which_its_end_resolves_its_beginning(
    engine: CountedEngine, case: str
) -> None:
    episode, client = EPISODES[case], client_of(engine)
    first = client.post(f"/webhooks/{episode.route}", json=episode.firing)
    engine.time += 600
    ended = changed(episode.firing, episode.ended)
    last = client.post(f"/webhooks/{episode.route}", json=ended)
    assert (first.status_code, first.json()["new"], first.json()["noted"]) == (202, 1, 0)
    assert (last.status_code, last.json()["resolved"]) == (202, 1)
    begun, over = (row.alert for row in engine.store.alerts.unassigned())
    assert (begun.fingerprint, begun.starts_at) == (over.fingerprint, over.starts_at)


def test_nightingale_has_its_long_name_too(engine: CountedEngine) -> None:
    answer = client_of(engine).post("/webhooks/nightingale", json=EPISODES["nightingale"].firing)
    assert answer.json()["new"] == 1


def test_what_was_not_understood_is_counted(engine: CountedEngine) -> None:
    answer = client_of(engine).post("/webhooks/auto", json={"name": "a", "state": "purple"})
    assert (answer.json()["new"], answer.json()["noted"]) == (1, 1)


def test_a_form_and_text_are_read_where_a_sender_has_no_json(engine: CountedEngine) -> None:
    client = client_of(engine)
    text = {"content-type": "text/plain; charset=UTF-8"}
    form = client.post("/webhooks/aliyun", content=urlencode(ALIYUN), headers=FORM)
    sns = client.post("/webhooks/sns", content=json.dumps(EPISODES["sns"].firing), headers=text)
    assert (form.json()["new"], sns.json()["new"]) == (1, 1)
    assert client.post("/webhooks/generic", content="a=b", headers=FORM).status_code == 415


@pytest.mark.parametrize("header", ["origin", "sec-fetch-site"])
def test_a_page_in_a_browser_posts_no_form(engine: CountedEngine, header: str) -> None:
    headers = {**FORM, header: "https://page.example"}
    answer = client_of(engine).post("/webhooks/aliyun", content=urlencode(ALIYUN), headers=headers)
    assert answer.status_code == 415


def test_a_form_that_is_no_utf_8_is_malformed(engine: CountedEngine) -> None:
    answer = client_of(engine).post("/webhooks/aliyun", content=b"alertName=%ff", headers=FORM)
    assert (answer.status_code, "UTF-8" in answer.json()["detail"]) == (400, True)


def test_the_wrong_route_is_a_422_that_names_the_right_one(engine: CountedEngine) -> None:
    answer = client_of(engine).post("/webhooks/grafana", json=EPISODES["uptime kuma"].firing)
    assert answer.status_code == 422
    assert "this looks like Uptime Kuma webhook: post it to /webhooks/uptimekuma" in answer.text


def test_a_mapping_has_a_route_by_its_name(engine: CountedEngine) -> None:
    client = client_of(engine)
    answer = client.post("/webhooks/mapped/doors", json={"door": "north", "is": "open"})
    assert (answer.status_code, answer.json()["new"]) == (202, 1)
    unknown = client.post("/webhooks/mapped/windows", json={})
    assert unknown.status_code == 404
    assert "declared: doors" in unknown.json()["detail"]


# --- subscriptions ------------------------------------------------------------------------------


def question(url: str = f"https://{HOST}/?Action=ConfirmSubscription&Token=t") -> dict[str, Any]:
    return {
        "Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:eu-west-1:1:pager",
        "SubscribeURL": url, "Message": "You have chosen to subscribe", "Token": "t",
    }  # fmt: skip


class AskedHosts(httpx.BaseTransport):
    """Stands in for the network: remembers what it was asked, and answers with one status."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if self.status == 0:
            raise httpx.ConnectError("no route")
        return httpx.Response(self.status, headers={"location": "http://169.254.169.254/"})


REFUSED_URLS: dict[str, tuple[tuple[str, ...], str]] = {
    "no host is allowed": ((), f"https://{HOST}/?Token=t"),
    "another host is allowed": (("sns.us-east-1.amazonaws.com",), f"https://{HOST}/?Token=t"),
    "not https": ((HOST,), f"http://{HOST}/?Token=t"),
    "another port": ((HOST,), f"https://{HOST}:8443/?Token=t"),
    "a name before the host": ((HOST,), f"https://{HOST}@evil.example/"),
    "a name before the allowed host": ((HOST,), f"https://evil.example@{HOST}/"),
    "a host that only begins alike": ((HOST,), f"https://{HOST}.evil.example/"),
    "no address": ((HOST,), "https://[::1"),
    "an empty one": (("",), ""),
}


@pytest.mark.parametrize("case", REFUSED_URLS)
def test_nothing_is_fetched_that_the_operator_did_not_allow(
    engine: CountedEngine, case: str
) -> None:
    hosts, url = REFUSED_URLS[case]
    network = AskedHosts()
    client = client_of(engine, SubscriptionDesk(hosts, network))
    answer = client.post("/webhooks/sns", json=question(url))
    assert (answer.status_code, answer.json()["status"]) == (202, "unconfirmed")
    assert "sns_confirm_hosts" in answer.json()["detail"]
    assert "Token" not in answer.text
    assert network.asked == []
    assert engine.store.alerts.unassigned() == ()


@pytest.mark.parametrize("route", ["sns", "auto"])
def test_an_allowed_host_is_asked_once(engine: CountedEngine, route: str) -> None:
    network = AskedHosts()
    client = client_of(engine, SubscriptionDesk((HOST,), network))
    answer = client.post(f"/webhooks/{route}", json=question())
    assert answer.json()["status"] == "confirmed"
    assert network.asked == [question()["SubscribeURL"]]


@pytest.mark.parametrize(("status", "says"), [(302, "answered 302"), (403, "403"), (0, "did not")])
def test_a_host_that_does_not_confirm_is_said_and_no_redirect_followed(
    engine: CountedEngine, status: int, says: str
) -> None:
    network = AskedHosts(status)
    answer = client_of(engine, SubscriptionDesk((HOST,), network)).post(
        "/webhooks/sns", json=question()
    )
    assert (answer.status_code, answer.json()["status"]) == (202, "unconfirmed")
    assert says in answer.json()["detail"]
    assert len(network.asked) == 1


def test_huawei_asks_in_its_own_words(engine: CountedEngine) -> None:
    network, host = AskedHosts(), "smn.cn-north-4.myhuaweicloud.com"
    asked = {
        "type": "SubscriptionConfirmation", "topic_urn": "urn:smn:x",
        "subscribe_url": f"https://{host}/smn/subscribe?token=t", "message": "confirm",
    }  # fmt: skip
    client = client_of(engine, SubscriptionDesk((host,), network))
    assert client.post("/webhooks/huawei", json=asked).json()["status"] == "confirmed"
    assert network.asked == [asked["subscribe_url"]]


def test_a_question_without_an_address_is_refused(engine: CountedEngine) -> None:
    wrong = {**question(), "SubscribeURL": None}
    answer = client_of(engine).post("/webhooks/sns", json=wrong)
    assert answer.status_code == 422
    assert "SubscribeURL" in answer.json()["detail"]
