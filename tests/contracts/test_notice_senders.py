"""What every sender keeps to, held against a server of its platform's on the loopback.

The servers are written from the platforms' documents; the real ones cannot be reached from here.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from copilot.ports import NoticeError, NoticeSender
from copilot.surfaces.notify.routing import NotifyFile
from copilot.surfaces.notify.wiring import sender
from copilot.testing.channels import ChatServer, GrafanaServer, SlackServer, TeamsServer
from copilot.testing.dingtalk_server import DingTalkAppServer, DingTalkServer
from copilot.testing.feishu_server import FeishuServer
from copilot.testing.strict_http import HttpReply, ReceivedRequest, serving
from copilot.testing.wecom_server import WeComAppServer, WeComServer
from copilot.types.notice import Notice

NOW = 1_700_000_000.0
CARDS = Path(__file__).parent / "notice_cards.json"
SECRETS = {
    "SLACK": SlackServer.token,
    "FEISHU": FeishuServer.app["app_secret"],
    "DING": DingTalkServer.secret,
    "DING_APP": DingTalkAppServer.client_secret,
    "WECOM_APP": WeComAppServer.secret,
    "GRAFANA": GrafanaServer.token,
}


@dataclass(frozen=True)
class Platform:
    """A server, how a target of it is declared, whether a message can be edited (`once`, for each
    that is sent), and what it answers to what it does not take.
    """

    server: Callable[[], ChatServer]
    declared: Mapping[str, Any]
    path: str
    edits: bool
    answers: Mapping[Any, tuple[str, float]]
    once: bool = False


PLATFORMS = {
    "slack": Platform(
        SlackServer,
        {"kind": "slack", "token": {"env": "SLACK"}, "channel": "#sre"},
        "",
        True,
        {
            "ratelimited": ("again", 30.0),
            "internal_error": ("again", 0.0),
            "is_archived": ("target", 0.0),
            "token_revoked": ("target", 0.0),
            "msg_too_long": ("message", 0.0),
        },
    ),
    "feishu": Platform(
        FeishuServer,
        {
            "kind": "feishu",
            "app_id": "cli_fake",
            "app_secret": {"env": "FEISHU"},
            "chat_id": "oc_sre",
        },
        "",
        True,
        {
            230020: ("again", 0.0),
            99991400: ("again", 0.0),
            230002: ("target", 0.0),
            230025: ("message", 0.0),
        },
    ),
    "dingtalk": Platform(
        DingTalkServer,
        {"kind": "dingtalk", "url": {"env": "URL"}, "secret": {"env": "DING"}, "language": "zh"},
        "/robot/send?access_token=fake-token",
        False,
        {
            130101: ("again", 60.0),
            310000: ("target", 0.0),
            40035: ("message", 0.0),
        },
    ),
    "dingtalk_app": Platform(
        DingTalkAppServer,
        {
            "kind": "dingtalk_app",
            "client_id": DingTalkAppServer.client_id,
            "client_secret": {"env": "DING_APP"},
            "corp_id": DingTalkAppServer.corp,
            "conversation": DingTalkAppServer.group,
            "template": DingTalkAppServer.template,
        },
        "",
        True,
        {
            "Forbidden.AccessDenied.QpsLimitForApi": ("again", 0.0),
            "Throttling.Api": ("again", 0.0),
            "Forbidden.AccessDenied.AccessTokenPermissionDenied": ("target", 0.0),
            "param.cardData.tooLong": ("message", 0.0),
        },
    ),
    "wecom_app": Platform(
        WeComAppServer,
        {
            "kind": "wecom_app",
            "corp_id": WeComAppServer.corp,
            "agent_id": WeComAppServer.agent,
            "secret": {"env": "WECOM_APP"},
            "users": ["@all"],
            "token": {"env": "WECOM_APP"},
            "aes_key": {"env": "WECOM_APP"},
        },
        "",
        True,
        {45009: ("again", 60.0), 60020: ("target", 0.0), 40058: ("message", 0.0)},
        once=True,
    ),
    "grafana": Platform(
        GrafanaServer,
        {"kind": "grafana", "token": {"env": "GRAFANA"}},
        "/api",
        True,
        {
            429: ("again", 0.0),
            500: ("again", 0.0),
            403: ("target", 0.0),
            400: ("message", 0.0),
        },
    ),
    "wecom": Platform(
        WeComServer,
        {"kind": "wecom", "url": {"env": "URL"}, "language": "zh"},
        "/cgi-bin/webhook/send?key=fake-key",
        False,
        {45009: ("again", 60.0), 93000: ("target", 0.0), 40058: ("message", 0.0)},
    ),
    "teams": Platform(
        TeamsServer,
        {"kind": "teams", "url": {"env": "URL"}},
        "/workflows/1/triggers/manual/paths/invoke?sig=fake-signature",
        False,
        {429: ("again", 0.0), 404: ("target", 0.0), 400: ("message", 0.0)},
    ),
}


def notice(moment: str = "plan", **given: Any) -> Notice:
    fields: dict[str, Any] = {
        "incident_id": "inc-1",
        "seq": 9,
        "at": NOW,
        "moment": moment,
        "by": "copilot",
        "status": "awaiting_approval",
        "severity": "critical",
        "heads": {"en": "[critical] cart: a plan waits", "zh": "[critical] cart:有计划等待批准"},
        "lines": {
            "en": ("**Cause**: likely: **cart**, CPU & disk", "**Digest**: abc, until 12:15"),
            "zh": ("**原因**:很可能:**cart**", "**摘要值**:abc,有效至 12:15"),
        },
        "links": {"en": "https://c.example/i/1", "zh": "https://c.example/i/1?lang=zh"},
    }
    return Notice.model_validate({**fields, **given})


def built(name: str, server: ChatServer, **changed: str) -> NoticeSender:
    platform = PLATFORMS[name]
    declared = {"name": name, **platform.declared}
    if "url" not in declared:
        declared["api"] = f"{server.url}{platform.path}"
    if name == "dingtalk_app":
        declared["files"] = server.url
    file = NotifyFile.model_validate(
        {"hosts": ["127.0.0.1"], "targets": [declared], "routes": [{"to": [name]}]}
    )
    environment = {**SECRETS, "URL": f"{server.url}{platform.path}", **changed}
    if isinstance(server, DingTalkServer):
        server.clock = lambda: NOW
    return sender(file.targets[0], file, environment, lambda: NOW)


@pytest.mark.parametrize("name", PLATFORMS)
def test_its_card_is_the_golden_one(name: str) -> None:
    with serving(PLATFORMS[name].server()) as server:
        built(name, server).send(notice(), "k", "")
        ((card,),) = server.messages.values()
    card.pop("channel", None)
    assert card == json.loads(CARDS.read_text(encoding="utf-8"))[name]


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_change_edits_the_message_where_the_platform_can(name: str) -> None:
    with serving(PLATFORMS[name].server()) as server:
        target = built(name, server)
        first = target.send(notice(), "k/1", "")
        second = target.send(notice("recovered", severity="info"), "k/2", first)
        shown = [len(cards) for cards in server.messages.values()]
    assert bool(first) == PLATFORMS[name].edits
    assert second == ("" if PLATFORMS[name].once else first)
    assert shown == ([2] if PLATFORMS[name].edits else [1, 1])


@pytest.mark.parametrize(
    ("name", "answer"), [(name, one) for name, it in PLATFORMS.items() for one in it.answers]
)
def test_a_refusal_says_whether_trying_again_may_help(name: str, answer: Any) -> None:
    with serving(PLATFORMS[name].server()) as server:
        target = built(name, server)
        server.answers.append(answer)
        with pytest.raises(NoticeError, match=str(answer)) as caught:
            target.send(notice(), "k", "")
        assert (caught.value.fault, caught.value.wait_s) == PLATFORMS[name].answers[answer]
        target.send(notice(), "k", "")
        assert len(server.messages) == 1


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_wrong_secret_is_the_targets_fault_and_is_not_repeated(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = dict.fromkeys(SECRETS, "a-wrong-secret-of-somebody")
    with serving(PLATFORMS[name].server()) as server:
        wrong["URL"] = f"{server.url}/robot/send?access_token=a-wrong-secret-of-somebody"
        with pytest.raises(NoticeError) as caught:
            built(name, server, **wrong).send(notice(), "k", "")
    assert caught.value.fault == "target"
    assert "a-wrong-secret" not in caplog.text + str(caught.value)


@pytest.mark.parametrize("name", ["slack", "feishu", "dingtalk_app", "wecom_app"])
def test_a_message_that_is_gone_is_posted_anew(name: str) -> None:
    with serving(PLATFORMS[name].server()) as server:
        target = built(name, server)
        first = target.send(notice(), "k/1", "")
        server.clear()
        second = target.send(notice("step"), "k/2", first)
        assert second
        assert len(server.messages) == 1


def test_what_happens_next_is_said_in_slacks_thread() -> None:
    with serving(SlackServer()) as server:
        target = built("slack", server)
        first = target.send(notice(), "k/1", "")
        heads = {"en": "[critical] cart: plan approved, by <ann>", "zh": ""}
        target.send(notice("approved", heads=heads), "k/2", first)
        assert server.threads == {"message-1": ["[critical] cart: plan approved, by &lt;ann&gt;"]}


def test_feishus_token_is_asked_for_once_and_again_when_it_ends() -> None:
    with serving(FeishuServer()) as server:
        target = built("feishu", server)
        first = target.send(notice(), "k/1", "")
        assert target.send(notice(), "k/1", "") == first, "the same key is the same message"
        assert server.tokens == 1
        server.expire()
        target.send(notice("step"), "k/2", first)
        assert server.tokens == 3
        assert len(server.messages) == 1


def test_wecoms_text_is_cut_to_what_it_takes() -> None:
    long = {"en": (), "zh": tuple("现" * 240 for _ in range(8))}
    with serving(WeComServer()) as server:
        built("wecom", server).send(notice(lines=long), "k", "")
        ((card,),) = server.messages.values()
    assert card["markdown"]["content"].endswith("[打开事件](https://c.example/i/1?lang=zh)")


@pytest.mark.parametrize("name", PLATFORMS)
def test_without_a_console_there_is_no_button(name: str) -> None:
    with serving(PLATFORMS[name].server()) as server:
        built(name, server).send(notice(links={}), "k", "")
        ((card,),) = server.messages.values()
    assert "c.example" not in json.dumps(card)


PICTURE = b"\x89PNG and what follows"
SHOWN = {"slack": 1, "feishu": 2, "dingtalk_app": 2, "wecom_app": 1, "wecom": 1}
"""Times that the picture of two messages is given: once, or with each card that it stands in."""


@pytest.mark.parametrize("name", PLATFORMS)
def test_the_picture_is_shown_where_the_platform_shows_one(name: str) -> None:
    with serving(PLATFORMS[name].server()) as server:
        target = built(name, server)
        shown = notice().model_copy(update={"picture": PICTURE})
        first = target.send(shown, "k/1", "")
        target.send(shown.model_copy(update={"pictured": True}), "k/2", first)
        assert server.pictures == [PICTURE] * SHOWN.get(name, 0)
        text = json.dumps(server.messages)
    assert {"feishu": "img_v1", "dingtalk_app": "@lADP"}.get(name, "") in text


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_that_is_not_taken_holds_up_no_message(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def takes_no_picture(asked: ReceivedRequest) -> HttpReply:
        picture = any(one in asked.path for one in ("files", "images", "media"))
        return HttpReply(500, b"no") if picture or b'"image"' in asked.body else whole(asked)

    with serving(PLATFORMS[name].server()) as server:
        target, whole = built(name, server), server.reply
        server.reply = takes_no_picture  # type: ignore[method-assign]
        target.send(notice().model_copy(update={"picture": PICTURE}), "k/1", "")
        assert len(server.messages) == 1
    assert "takes no picture" in caplog.text
