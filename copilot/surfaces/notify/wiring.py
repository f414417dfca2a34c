"""Which sender each target has, and the threads that tell; only here Apprise is loaded."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import httpx
from pydantic import SecretStr

from copilot.case.engine import Engine
from copilot.ports import NoticeSender
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.surfaces.notify.alertmanager import AlertmanagerSender
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.surfaces.notify.channels import (
    AlertmanagerChannel,
    AnsweredChannel,
    AnyChannel,
    AppChannel,
    AppriseChannel,
    DingTalkAppChannel,
    DingTalkChannel,
    FeishuChannel,
    GrafanaChannel,
    RobotChannel,
    SlackChannel,
    WebhookChannel,
    WeComAppChannel,
)
from copilot.surfaces.notify.courier import NoticeCourier, Wakeup
from copilot.surfaces.notify.dingtalk import DingTalkApi, DingTalkDoor, DingTalkSender
from copilot.surfaces.notify.doors import AnsweringDesk, ChannelDoor
from copilot.surfaces.notify.feishu import FeishuApi, FeishuSender
from copilot.surfaces.notify.grafana import GrafanaSender
from copilot.surfaces.notify.lines import LineHolder
from copilot.surfaces.notify.pictures import DrawnOf, PictureShelf, no_picture
from copilot.surfaces.notify.robots import DINGTALK, TEAMS, WECOM, RobotSender
from copilot.surfaces.notify.router import NoticeRouter
from copilot.surfaces.notify.routing import NotifyFile, read
from copilot.surfaces.notify.slack import SlackApi, SlackSender
from copilot.surfaces.notify.slack_door import SlackDoor, SlackLine
from copilot.surfaces.notify.webhook import WebhookSender
from copilot.surfaces.notify.wecom import WeComApi, WeComSender
from copilot.types.errors import install
from copilot.types.secret_place import ChannelSecretError, SecretPlace
from tools.types import Timestamp

POLL_S = 1.0
"""How often the journal is looked at: a change is told within about so long."""


def routing(settings: Settings) -> NotifyFile | None:
    """The routing file; None where nobody is to be told."""
    return None if settings.notify_file is None else read(settings.notify_file)


def sender(
    channel: AnyChannel,
    file: NotifyFile,
    environment: Mapping[str, str],
    wall: Callable[[], Timestamp],
    transport: httpx.BaseTransport | None = None,
) -> NoticeSender:
    """The sender of a target; raises `SettingsError` with its name and what is wrong."""
    # Their lines hold addresses, and those hold secrets.
    for name in ("httpcore", "httpx", "urllib3", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    opening = ChannelOpening(ChannelHttp(file.hosts, transport), environment, wall)
    with _named(channel):
        if isinstance(channel, AppriseChannel):
            return _apprise(channel, file, environment)
        if isinstance(channel, AnsweredChannel):
            return opening.app(channel)
        return opening.robot(channel)


@contextmanager
def _named(channel: AnyChannel) -> Iterator[None]:
    try:
        yield
    except ChannelSecretError as error:
        raise SettingsError(f"target {channel.name!r} of notify_file: {error}") from None


@dataclass(frozen=True, slots=True)
class ChannelOpening:
    """What senders and doors are made of, with their secrets read."""

    http: ChannelHttp
    environment: Mapping[str, str]
    wall: Callable[[], Timestamp]

    def read(self, place: SecretPlace) -> SecretStr:
        """A secret; raises `ChannelSecretError`."""
        return place.read(self.environment)

    def robot(
        self,
        channel: AlertmanagerChannel
        | GrafanaChannel
        | WebhookChannel
        | DingTalkChannel
        | RobotChannel,
    ) -> NoticeSender:
        """The sender of a target that is one address."""
        http, language, wall = self.http, channel.language, self.wall
        if isinstance(channel, GrafanaChannel):
            return GrafanaSender(http, channel.api, self.read(channel.token), language)
        url = self.read(channel.url)
        if isinstance(channel, AlertmanagerChannel):
            return AlertmanagerSender(http, url, language, wall)
        if isinstance(channel, WebhookChannel):
            return WebhookSender(http, url, self.read(channel.secret), wall)
        if isinstance(channel, DingTalkChannel):
            signs = self.read(channel.secret) if channel.secret else None
            return RobotSender(http, DINGTALK, url, signs, language, wall)
        robot = WECOM if channel.kind == "wecom" else TEAMS
        return RobotSender(http, robot, url, None, language, wall)

    def app(self, channel: AppChannel) -> NoticeSender:
        """The sender of a target that is an app."""
        language, buttons = channel.language, channel.answers
        if isinstance(channel, SlackChannel):
            return SlackSender(self._slack(channel), channel.channel, language, buttons=buttons)
        if isinstance(channel, FeishuChannel):
            return FeishuSender(self._feishu(channel), channel.chat_id, language, buttons=buttons)
        if isinstance(channel, WeComAppChannel):
            return WeComSender(self._wecom(channel), buttons=buttons)
        return DingTalkSender(self._dingtalk(channel))

    def door(self, channel: AppChannel) -> ChannelDoor:
        """How a target is answered; raises `ChannelSecretError`."""
        if isinstance(channel, SlackChannel):
            return self._slack_door(channel)
        if isinstance(channel, DingTalkAppChannel):
            return DingTalkDoor(self._dingtalk(channel))
        try:
            from copilot.surfaces.notify import feishu_door, wecom_door  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            problem = f"its buttons need cryptography, which is missing: {install('notify')}"
            raise ChannelSecretError(problem) from error
        if isinstance(channel, WeComAppChannel) and (sealing := channel.sealing):
            token, key = map(self.read, sealing)
            return wecom_door.WeComDoor(self._wecom(channel), token, key, self.wall)
        if isinstance(channel, FeishuChannel):
            api, sealing = self._feishu(channel), channel.sealing
            return feishu_door.FeishuDoor(
                api,
                (self.read(sealing[0]), self.read(sealing[1])) if sealing else None,
                channel.language,
                channel.people,
                self.wall,
                feishu_door.FeishuLine(api) if channel.long_connection else None,
            )
        raise ChannelSecretError("it has no buttons")

    def _slack_door(self, channel: SlackChannel) -> ChannelDoor:
        signing, app = channel.signing_secret, channel.app_token
        return SlackDoor(
            self._slack(channel),
            self.read(signing) if signing else None,
            channel.language,
            channel.people,
            self.wall,
            by_email=channel.by_email,
            line=SlackLine(self.http, self.read(app), channel.api) if app else None,
        )

    def _slack(self, channel: SlackChannel) -> SlackApi:
        return SlackApi(self.http, self.read(channel.token), channel.api)

    def _feishu(self, channel: FeishuChannel) -> FeishuApi:
        secret = self.read(channel.app_secret)
        return FeishuApi(self.http, channel.app_id, secret, self.wall, channel.api)

    def _dingtalk(self, channel: DingTalkAppChannel) -> DingTalkApi:
        return DingTalkApi(self.http, channel, self.read(channel.client_secret), self.wall)

    def _wecom(self, channel: WeComAppChannel) -> WeComApi:
        return WeComApi(self.http, channel, self.read(channel.secret), self.wall)


def _apprise(
    channel: AppriseChannel, file: NotifyFile, environment: Mapping[str, str]
) -> NoticeSender:
    try:
        from copilot.surfaces.notify.apprise_sender import AppriseSender  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ChannelSecretError(
            f"it needs Apprise, which is missing: {install('notify')}"
        ) from error
    return AppriseSender(channel.url.read(environment), file.hosts, channel.language)


def doors(
    file: NotifyFile | None,
    environment: Mapping[str, str] = os.environ,
    wall: Callable[[], Timestamp] = time.time,
    transport: httpx.BaseTransport | None = None,
) -> dict[str, ChannelDoor]:
    """Targets whose messages can be answered; raises `SettingsError`."""
    found: dict[str, ChannelDoor] = {}
    if file is None:
        return found
    opening = ChannelOpening(ChannelHttp(file.hosts, transport), environment, wall)
    for channel in file.targets:
        if isinstance(channel, AnsweredChannel) and channel.answers:
            with _named(channel):
                found[channel.name] = opening.door(channel)
    return found


def hold(engine: Engine, desks: Mapping[str, AnsweringDesk]) -> None:
    """Hold the lines of targets whose platform cannot reach us, until the engine stops."""
    lines = {name: (desk, desk.door.line) for name, desk in desks.items()}
    for name, (desk, line) in lines.items():
        if line is not None:
            engine.every(f"line of {name}", LineHolder(name, line, desk).work)


def tell(engine: Engine, settings: Settings, drawn: DrawnOf = no_picture) -> None:
    """Tell targets what happens, until the engine stops, by whoever leads; raises `SettingsError`.

    Without a routing file nobody is told.
    """
    file = routing(settings)
    if file is None:
        return
    wall, leads, bell = SystemClock().now, threading.Event(), Wakeup()
    senders = {one.name: sender(one, file, os.environ, wall) for one in file.targets}
    base, rota = settings.public_url, engine.rota
    router = NoticeRouter(engine.store, file, engine.now, wall, base, rota)

    def route() -> None:
        (leads.set if engine.leading else leads.clear)()
        while leads.is_set() and router.route() + router.ripen():
            bell.ring()

    def carry(courier: NoticeCourier) -> None:
        if not leads.is_set() or not courier.deliver():
            bell.wait(POLL_S)

    engine.every("notices", route, POLL_S)
    pictures = PictureShelf(drawn).take
    for one in file.targets:
        to = senders[one.name]
        courier = NoticeCourier(engine.store, one, to, file.give_up_s, wall, pictures=pictures)
        engine.every(f"notices to {one.name}", partial(carry, courier))
