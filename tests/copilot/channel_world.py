"""A service whose people have accounts, a Slack or Feishu app, and a message whose plan waits."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from copilot.case.rights import by_accounts
from copilot.deps import Deps
from copilot.hands import DryRunRunner
from copilot.sources.deployment import Sources
from copilot.store import Store
from copilot.surfaces.chat import ChatService, ToolContext
from copilot.surfaces.notify.courier import NoticeCourier
from copilot.surfaces.notify.router import NoticeRouter
from copilot.surfaces.notify.routing import NotifyFile
from copilot.surfaces.notify.wiring import doors, sender
from copilot.surfaces.service.hooks import ChannelDesk, hooks
from copilot.testing.channels import SlackServer
from copilot.testing.dingtalk_server import DingTalkAppServer
from copilot.testing.feishu_server import FeishuServer
from copilot.testing.service import CountedEngine
from copilot.testing.strict_http import serving
from copilot.testing.wecom_server import WeComAppServer
from copilot.types.incident import Incident
from tests.copilot.people_world import (
    BASE,
    NOW,
    PLAN,
    Clock,
)
from tools.playbook_executor import Policy

HOOK = "/hooks/slack"
PEOPLE = {
    "U0APP": "the approver",
    "U0RESP": "the responder",
    "U0VIEW": "the viewer",
    "U0GONE": "nobody of ours",
    "adm@ours.example": "the admin",
}


SLACK = {
    "name": "slack", "kind": "slack", "channel": "#sre", "token": {"env": "T"},
    "signing_secret": {"env": "S"}, "people": PEOPLE, "by_email": True,
}  # fmt: skip
DINGTALK = {
    "name": "ding", "kind": "dingtalk_app", "client_id": DingTalkAppServer.client_id,
    "client_secret": {"env": "D"}, "corp_id": DingTalkAppServer.corp, "people": PEOPLE,
    "conversation": DingTalkAppServer.group, "template": DingTalkAppServer.template,
}  # fmt: skip
WECOM = {
    "name": "wecom", "kind": "wecom_app", "corp_id": WeComAppServer.corp, "secret": {"env": "W"},
    "agent_id": WeComAppServer.agent, "users": ["@all"], "token": {"env": "WT"},
    "aes_key": {"env": "WK"}, "people": PEOPLE,
}  # fmt: skip
FEISHU = {
    "name": "feishu", "kind": "feishu", "app_id": "cli_fake", "app_secret": {"env": "A"},
    "chat_id": "oc_sre", "encrypt_key": {"env": "E"}, "verification_token": {"env": "V"},
    "people": PEOPLE, "language": "zh",
}  # fmt: skip
SECRETS = {
    "T": SlackServer.token, "S": SlackServer.signing_secret,
    "A": FeishuServer.app["app_secret"], "E": FeishuServer.encrypt_key,
    "V": FeishuServer.verification_token, "D": DingTalkAppServer.client_secret,
    "X": SlackServer.app_token, "W": WeComAppServer.secret, "WT": WeComAppServer.token,
    "WK": WeComAppServer.aes_key,
}  # fmt: skip


@dataclass
class Channel:
    """A service with accounts, a Slack app, and the message of an incident whose plan waits."""

    store: Store
    slack: SlackServer
    declared: Mapping[str, object] = field(default_factory=lambda: SLACK)
    clock: Clock = field(default_factory=Clock)
    needed: int = 1
    chat: ChatService | None = None

    def __post_init__(self) -> None:
        declared = {**self.declared, "api": self.slack.url}
        file = {
            "hosts": ["127.0.0.1"],
            "targets": [declared],
            "routes": [{"to": [declared["name"]]}],
        }
        self.file = NotifyFile.model_validate({**file, "wait_s": 0})
        accounts = Policy(accounts=by_accounts(self.store, "root"))
        self.engine = CountedEngine(self.store, NOW, policy=accounts, needed=self.needed)
        (target,) = self.file.targets
        self.router = NoticeRouter(self.store, self.file, self.clock, self.clock)
        self.courier = NoticeCourier(
            self.store, target, sender(target, self.file, SECRETS, self.clock), 60, self.clock
        )
        self.doors = doors(self.file, SECRETS, self.clock)
        app = FastAPI()
        name = target.name
        self.desk = ChannelDesk(self.engine, name, self.doors[name], self.chat)
        app.include_router(hooks({name: self.desk}))
        self.client = TestClient(app, base_url=BASE)
        self.router.route()
        self.happens("planned")

    def happens(self, kind: str) -> None:
        self.store.journal.append("I1", kind, "copilot", {}, NOW)
        self.told()

    def told(self) -> None:
        """What happened is shown in the channel."""
        while self.router.route() or self.courier.deliver():
            pass

    @property
    def message(self) -> str:
        (name,) = self.slack.messages
        return name

    @property
    def buttons(self) -> dict[str, dict[str, Any]]:
        return self.slack.buttons(self.message)

    def head(self) -> str:
        text: str = self.slack.messages[self.message][-1]["text"]
        return text

    def press(self, choice: str, user: str, **changed: str) -> str:
        """What is whispered to who pressed a button, whose value may be `changed`."""
        button = dict(self.buttons[choice])
        button["value"] = json.dumps({**json.loads(button["value"]), **changed})
        self.clock.now += 1
        headers, body = self.slack.pressed(button, user, self.clock.now)
        assert self.post(headers, body).status_code == 200
        to, text = self.slack.whispers[-1]
        assert to == user
        return text

    def post(self, headers: Mapping[str, str], body: bytes) -> Response:
        hook = f"/hooks/{self.declared['name']}"
        return self.client.post(hook, headers=dict(headers), content=body)

    def status(self) -> str:
        found = self.store.approvals.get(PLAN.id)
        assert found is not None
        return found.status


@pytest.fixture(scope="module")
def app() -> Iterator[SlackServer]:
    with serving(SlackServer()) as server:
        yield server


@pytest.fixture
def slack(app: SlackServer) -> SlackServer:
    app.clear()
    return app


@pytest.fixture
def channel(store: Store, slack: SlackServer) -> Channel:
    return Channel(store, slack)


def kinds(store: Store) -> list[tuple[str, str]]:
    return [(one.kind, one.by) for one in store.journal.events("I1")]


@pytest.fixture
def asking(store: Store, slack: SlackServer) -> Channel:
    """As `channel`, with the chat that answers without a model."""
    return answering(store, slack)


def answering(store: Store, slack: SlackServer) -> Channel:
    return Channel(store, slack, chat=chat_of(store))


class StillClock:
    """A clock of the world's one moment."""

    def now(self) -> float:
        return NOW

    def sleep(self, seconds: float) -> None:
        """It stands still."""


def chat_of(store: Store) -> ChatService:
    """The chat that answers without a model."""
    wall = StillClock()

    def scope_of(incident: Incident | None) -> ToolContext:
        return ToolContext(Deps(store, Sources(), wall, DryRunRunner(wall), ()), incident)

    names = iter(map(str, range(1000)))
    return ChatService(store, scope_of, wall, names.__next__)
