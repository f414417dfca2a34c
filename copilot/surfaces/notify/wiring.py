"""Which sender each target has, and the threads that tell; only here Apprise is loaded."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

import httpx

from copilot.case.engine import Engine
from copilot.ports import NoticeSender
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.surfaces.notify.alertmanager import AlertmanagerSender
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.surfaces.notify.channels import (
    AlertmanagerChannel,
    AnyChannel,
    AppriseChannel,
    DingTalkChannel,
    FeishuChannel,
    SlackChannel,
    WebhookChannel,
)
from copilot.surfaces.notify.courier import NoticeCourier, Wakeup
from copilot.surfaces.notify.doors import ChannelDoor
from copilot.surfaces.notify.feishu import FeishuApi, FeishuSender
from copilot.surfaces.notify.robots import DINGTALK, TEAMS, WECOM, RobotSender
from copilot.surfaces.notify.router import NoticeRouter
from copilot.surfaces.notify.routing import NotifyFile, read
from copilot.surfaces.notify.slack import SlackApi, SlackDoor, SlackSender
from copilot.surfaces.notify.webhook import WebhookSender
from copilot.types.errors import install
from copilot.types.secret_place import ChannelSecretError
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
    for name in ("httpcore", "httpx", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return _sender(channel, file, environment, wall, transport)
    except ChannelSecretError as error:
        raise SettingsError(f"target {channel.name!r} of notify_file: {error}") from None


def _sender(
    channel: AnyChannel,
    file: NotifyFile,
    environment: Mapping[str, str],
    wall: Callable[[], Timestamp],
    transport: httpx.BaseTransport | None,
) -> NoticeSender:
    if isinstance(channel, AppriseChannel):
        return _apprise(channel, file, environment)
    http, language = ChannelHttp(file.hosts, transport), channel.language
    if isinstance(channel, SlackChannel):
        slack = SlackApi(http, channel.token.read(environment), channel.api)
        answered = channel.signing_secret is not None
        return SlackSender(slack, channel.channel, language, buttons=answered)
    if isinstance(channel, FeishuChannel):
        answered = channel.encrypt_key is not None
        api = _feishu(channel, http, environment, wall)
        return FeishuSender(api, channel.chat_id, language, buttons=answered)
    url = channel.url.read(environment)
    if isinstance(channel, AlertmanagerChannel):
        return AlertmanagerSender(http, url, language, wall)
    if isinstance(channel, WebhookChannel):
        return WebhookSender(http, url, channel.secret.read(environment), wall)
    if isinstance(channel, DingTalkChannel):
        signs = channel.secret.read(environment) if channel.secret else None
        return RobotSender(http, DINGTALK, url, signs, language, wall)
    robot = WECOM if channel.kind == "wecom" else TEAMS
    return RobotSender(http, robot, url, None, language, wall)


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
    for channel in file.targets:
        try:
            door = _door(channel, ChannelHttp(file.hosts, transport), environment, wall)
        except ChannelSecretError as error:
            raise SettingsError(f"target {channel.name!r} of notify_file: {error}") from None
        if door is not None:
            found[channel.name] = door
    return found


def _door(
    channel: AnyChannel,
    http: ChannelHttp,
    environment: Mapping[str, str],
    wall: Callable[[], Timestamp],
) -> ChannelDoor | None:
    if isinstance(channel, SlackChannel) and channel.signing_secret is not None:
        api = SlackApi(http, channel.token.read(environment), channel.api)
        secret, mail = channel.signing_secret.read(environment), channel.by_email
        return SlackDoor(api, secret, channel.language, channel.people, wall, by_email=mail)
    if isinstance(channel, FeishuChannel) and channel.encrypt_key and channel.verification_token:
        try:
            from copilot.surfaces.notify.feishu_door import FeishuDoor  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            problem = f"its buttons need cryptography, which is missing: {install('notify')}"
            raise ChannelSecretError(problem) from error
        return FeishuDoor(
            _feishu(channel, http, environment, wall),
            channel.encrypt_key.read(environment),
            channel.verification_token.read(environment),
            channel.language,
            channel.people,
            wall,
        )
    return None


def _feishu(
    channel: FeishuChannel,
    http: ChannelHttp,
    environment: Mapping[str, str],
    wall: Callable[[], Timestamp],
) -> FeishuApi:
    secret = channel.app_secret.read(environment)
    return FeishuApi(http, channel.app_id, secret, wall, channel.api)


def tell(engine: Engine, settings: Settings) -> None:
    """Tell targets what happens, until the engine stops, by whoever leads; raises `SettingsError`.

    Without a routing file nobody is told.
    """
    file = routing(settings)
    if file is None:
        return
    wall, leads, bell = SystemClock().now, threading.Event(), Wakeup()
    senders = {one.name: sender(one, file, os.environ, wall) for one in file.targets}
    router = NoticeRouter(engine.store, file, engine.now, wall, settings.public_url)

    def route() -> None:
        (leads.set if engine.leading else leads.clear)()
        while leads.is_set() and router.route() + router.ripen():
            bell.ring()

    def carry(courier: NoticeCourier) -> None:
        if not leads.is_set() or not courier.deliver():
            bell.wait(POLL_S)

    engine.every("notices", route, POLL_S)
    for one in file.targets:
        courier = NoticeCourier(engine.store, one, senders[one.name], file.give_up_s, wall)
        engine.every(f"notices to {one.name}", partial(carry, courier))
