"""Lines that we open, for services that no platform can reach: over a real websocket."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from copilot.ports import NoticeError
from copilot.store import Store
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.surfaces.notify.channels import SlackChannel
from copilot.surfaces.notify.doors import LineMessage
from copilot.surfaces.notify.lines import LineHolder
from copilot.surfaces.notify.slack_door import SlackLine
from copilot.testing.channels import LineServer, SlackServer
from copilot.testing.dingtalk_server import DingTalkAppServer
from copilot.testing.strict_http import serving
from tests.copilot.channel_world import DINGTALK, PEOPLE, Channel
from tests.copilot.people_world import NOW, empty, planned, store, waiting

__all__ = ["empty", "planned", "store", "waiting"]

SOCKET = {
    "name": "slack", "kind": "slack", "channel": "#sre", "token": {"env": "T"},
    "app_token": {"env": "X"}, "people": PEOPLE,
}  # fmt: skip


@contextmanager
def held(channel: Channel) -> Iterator[LineHolder]:
    line = channel.desk.door.line
    assert line is not None
    holder = LineHolder("it", line, channel.desk)
    try:
        yield holder
    finally:
        holder.close()


def worked(holder: LineHolder, server: LineServer, frame: str) -> dict[str, Any]:
    """What is sent back for a frame; the line listens until it came."""
    server.frames.put(frame)
    while server.receipts.empty():
        holder.work()
    found: dict[str, Any] = json.loads(server.receipts.get(timeout=5))
    return found


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it took too long"


def test_slack_is_answered_over_socket_mode(store: Store) -> None:
    hello = '{"type": "hello", "envelope_id": "e-%d"}'
    with serving(SlackServer()) as server:
        channel = Channel(store, server, SOCKET)
        pressed = server.pressed(channel.buttons["take"], "U0RESP", NOW)
        with held(channel) as holder:
            frame = server.enveloped("interactive", "e-1", pressed)
            assert worked(holder, server, frame) == {"envelope_id": "e-1"}
            assert store.incidents.require("I1").taken_by == "the responder"
            until(lambda: bool(server.whispers))
            assert server.whispers == [("U0RESP", "It is yours, the responder.")]
            noted = len(store.journal.events("I1"))
            again = server.enveloped("interactive", "e-2", pressed)
            assert worked(holder, server, again) == {"envelope_id": "e-2"}, "or it is sent for ever"
            assert len(store.journal.events("I1")) == noted, "it came before"
            server.frames.put(json.dumps({"type": "disconnect", "reason": "refresh_requested"}))
            holder.work()
            assert worked(holder, server, hello % 3) == {"envelope_id": "e-3"}
        opened = [one for one in server.asked if one.path == "/apps.connections.open"]
        assert len(opened) == 2, "another connection, as Slack asks for"
        assert channel.post(*pressed).status_code == 401, "nothing is posted"


@pytest.mark.integration
def test_dingtalk_is_answered_over_stream_mode(store: Store) -> None:
    with serving(DingTalkAppServer()) as server:
        channel = Channel(store, server, DINGTALK)  # type: ignore[arg-type]
        value = str(channel.buttons["approve"])
        with held(channel) as holder:
            told = worked(holder, server, server.pressed(value, "U0APP", "m-1"))
        assert (told["code"], told["headers"]["messageId"]) == (200, "m-1")
        assert channel.status() == "approved"


class LostLine:
    """A line whose ticket is not known any more."""

    asked = 0

    def __init__(self, url: str) -> None:
        self._url = url

    def address(self) -> str:
        self.asked += 1
        return f"{self._url}?ticket=a-secret-of-before"

    def heard(self, frame: str | bytes) -> LineMessage:
        return LineMessage()

    def beat(self) -> None:
        pass


def test_a_line_that_does_not_open_rests_and_says_so_without_its_secret(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with serving(SlackServer()) as server:
        lost = LostLine(server.line_url)
        holder = LineHolder("it", lost, Channel(store, server, SOCKET).desk)
        holder.work()
        holder.work()
        assert lost.asked == 1, "it rests"
    (line,) = {one.getMessage() for one in caplog.records}
    assert "line of target 'it' is down" in line
    assert "a-secret" not in line


def test_a_line_is_opened_to_declared_hosts_only() -> None:
    with serving(SlackServer()) as server:
        line = SlackLine(ChannelHttp(["127.0.0.1"]), SecretStr(server.app_token), server.url)
        assert line.address().startswith("ws://127.0.0.1:")
    with pytest.raises(NoticeError, match="not declared"):
        ChannelHttp(["slack.com"]).declared("wss://wss-primary.slack.com/link")


def test_people_of_a_target_that_is_not_answered_are_an_error() -> None:
    alone = {one: it for one, it in SOCKET.items() if one != "app_token"}
    with pytest.raises(ValueError, match="signing_secret or app_token"):
        SlackChannel.model_validate(alone)
