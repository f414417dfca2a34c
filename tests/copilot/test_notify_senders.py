"""Senders against servers on the loopback: what arrives, what is refused, what is never said."""

import base64
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from copilot.ports import NoticeError, NoticeSender
from copilot.settings import SettingsError, load
from copilot.surfaces.commands import notify
from copilot.surfaces.notify.routing import NotifyFile
from copilot.surfaces.notify.webhook import signed
from copilot.surfaces.notify.wiring import sender
from copilot.surfaces.notify.wording import probe
from copilot.testing.channels import WebhookReceiver
from copilot.testing.strict_http import ServerFailure, StrictServer, serving

SECRET = "a secret of the receiver, long enough"
TOKEN = "tok3nt0k3nt0k3n"
NOW = 1_700_000_000.0


def built(name: str, address: str, *, hosts: tuple[str, ...] = ("127.0.0.1",)) -> NoticeSender:
    """A sender of that kind for an address on the loopback."""
    file = NotifyFile.model_validate(
        {
            "hosts": hosts,
            "targets": [
                {"name": "hook", "kind": "webhook", "url": {"env": "U"}, "secret": {"env": "S"}},
                {"name": "text", "kind": "apprise", "url": {"env": "U"}, "language": "zh"},
            ],
            "routes": [{"to": ["hook"]}],
        }
    )
    channel = file.target(name)
    assert channel is not None
    return sender(channel, file, {"U": address, "S": SECRET}, lambda: NOW)


def address(name: str, server: StrictServer) -> str:
    """Where a server is, in the sender's way."""
    if name == "hook":
        return f"{server.url}/hook?token={TOKEN}"
    return f"json://user:{TOKEN}@127.0.0.1:{server.server_port}/{TOKEN}"


def test_a_webhook_is_signed_and_taken_once_however_often_it_is_sent() -> None:
    with serving(WebhookReceiver(SECRET.encode())) as server:
        server.clock = lambda: NOW
        hook = built("hook", server.hook)
        for key in ("a/1", "a/1", "a/2"):
            hook.send(probe(NOW, "https://c.example"), key, "")
        assert [one["type"] for one in server.told] == ["incident.test"] * 2
        assert server.told[0]["data"]["heads"]["en"] == "[info] copilot: this is a test"
        assert server.told[0]["data"]["links"]["zh"] == "https://c.example/?lang=zh"
        server.clock = lambda: NOW + 3600
        with pytest.raises(NoticeError, match="401") as caught:
            hook.send(probe(NOW, ""), "a/3", "")
        assert caught.value.fault == "target"


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of Standard Webhooks, `spec/standard-webhooks.md` of its repository."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_apprise_says_it_in_the_words_of_the_target() -> None:
    with serving(StrictServer()) as server:
        built("text", address("text", server)).send(probe(NOW, "https://c.example"), "k", "")
        told = json.loads(server.asked[0].body)
    assert told["title"] == "[info] copilot:这是一条测试消息"
    assert told["message"].endswith("\nhttps://c.example/?lang=zh")
    assert told["type"] == "info"


FAILED: Mapping[ServerFailure, tuple[str, float]] = {
    "busy": ("again", 1.0),
    "broken": ("again", 0.0),
    "unavailable": ("again", 0.0),
    "hung up": ("again", 0.0),
    "forbidden": ("target", 0.0),
    "redirect": ("target", 0.0),
}


@pytest.mark.parametrize("failure", FAILED)
def test_a_refusal_says_whether_trying_again_may_help_and_no_secret(
    failure: ServerFailure, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(StrictServer()) as server:
        server.failures.append(failure)
        with pytest.raises(NoticeError) as caught:
            built("hook", address("hook", server)).send(probe(NOW, ""), "k", "")
    assert (caught.value.fault, caught.value.wait_s) == FAILED[failure]
    assert TOKEN not in caplog.text + str(caught.value)


def test_what_apprise_complains_of_holds_no_part_of_its_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(StrictServer()) as server:
        server.failures.append("forbidden")
        with pytest.raises(NoticeError, match="403|Forbidden|JSON") as caught:
            built("text", address("text", server)).send(probe(NOW, ""), "k", "")
    assert TOKEN not in caplog.text + str(caught.value)


@pytest.mark.parametrize("name", ["hook", "text"])
def test_nothing_is_sent_to_a_host_that_was_not_declared(name: str) -> None:
    with serving(StrictServer()) as server:
        undeclared = built(name, address(name, server), hosts=("hooks.example.org",))
        with pytest.raises(NoticeError, match=r"host '127\.0\.0\.1' is not declared") as caught:
            undeclared.send(probe(NOW, ""), "k", "")
        assert caught.value.fault == "target"
        assert server.asked == []


UNBUILT = {
    "no such scheme": ("text", "pigeon://x", "Apprise does not know the address"),
    "nothing there": ("text", "", "environment variable U is empty or not set"),
}


@pytest.mark.parametrize("row", UNBUILT)
def test_a_target_that_cannot_be_built_is_named(row: str) -> None:
    name, given, said = UNBUILT[row]
    with pytest.raises(SettingsError, match=f"target '{name}' of notify_file: {said}"):
        built(name, given)


def test_a_short_secret_of_a_webhook_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.SECRET", "short")
    with pytest.raises(SettingsError, match="has 5 bytes; it needs 24"):
        built("hook", "https://x")


def test_a_channel_is_tried_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notify.yaml"
    path.write_text(
        "hosts: [127.0.0.1]\n"
        "targets: [{name: hook, kind: webhook, url: {env: U}, secret: {env: S}}]\n"
        "routes: [{to: [hook]}]\n"
    )
    settings = load(notify_file=path)
    with serving(WebhookReceiver(SECRET.encode())) as server:
        monkeypatch.setenv("U", server.hook)
        monkeypatch.setenv("S", SECRET)
        assert notify.notify_test(settings, target="hook") == 0
        monkeypatch.setenv("S", "b" * 32)
        assert notify.notify_test(settings, target="hook") == 1
    assert [one["type"] for one in server.told] == ["incident.test"]
    assert "hook (webhook) refused: 127.0.0.1 answered 401" in capsys.readouterr().out
    with pytest.raises(SettingsError, match="there is no target 'sre'; there are: hook"):
        notify.notify_test(settings, target="sre")
    (check,) = notify.checks(settings)
    assert (check.state, check.found) == ("ok", "hook (webhook): told nothing yet")
