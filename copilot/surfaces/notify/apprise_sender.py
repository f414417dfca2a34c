"""Everything that Apprise speaks: one address for each channel, text of the channel's language.

Apprise chooses the host itself, out of the address. So that nothing goes to a host that was not
declared, name look-ups of the thread that sends are held against the declared hosts.
"""

import io
import logging
import re
import socket
import sys
import threading
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import apprise
from apprise.attachment.memory import AttachMemory
from pydantic import SecretStr

from copilot.ports import NoticeError
from copilot.types.notice import Notice
from copilot.types.secret_place import ChannelSecretError
from prompts import Language
from tools.types import Severity

_KINDS: dict[Severity, apprise.NotifyType] = {
    "critical": apprise.NotifyType.FAILURE,
    "high": apprise.NotifyType.FAILURE,
    "warning": apprise.NotifyType.WARNING,
    "info": apprise.NotifyType.INFO,
    "low": apprise.NotifyType.INFO,
}
_OVER = frozenset({"recovered", "resolved"})
_SHORTEST_SECRET = 6
"""Parts of an address shorter than this are words, and stay readable in a complaint."""


class AppriseSender:
    """Sends plain text by Apprise; a message cannot be changed afterwards."""

    def __init__(self, url: SecretStr, hosts: Collection[str], language: Language) -> None:
        with warnings.catch_warnings():
            # Its plugins, loaded here, try `imghdr` first, which Python 3.13 no longer has.
            warnings.simplefilter("ignore", DeprecationWarning)
            plugin = apprise.Apprise.instantiate(url.get_secret_value())
        if plugin is None:
            raise ChannelSecretError(
                "Apprise does not know the address; see https://appriseit.com/services/"
            )
        self._plugin = plugin
        self._hosts = frozenset(one.lower() for one in hosts)
        self._language = language
        parts = re.split(r"[/:@?&=#,]+", url.get_secret_value())
        self._hidden = sorted((one for one in parts if len(one) >= _SHORTEST_SECRET), key=len)

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Send it; what Apprise says of a failure is kept without parts of the address."""
        link = notice.links.get(self._language, "")
        lines = [
            *(readable(one) for one in notice.lines[self._language]),
            *([link] if link else []),
        ]
        kind = _KINDS[notice.severity]
        if notice.moment in _OVER:
            kind = apprise.NotifyType.SUCCESS
        with _captured() as log, _only(self._hosts) as outside:
            shown = notice.picture and not notice.pictured and self._plugin.attachment_support
            name = "series.png"
            more = {}
            if shown:
                more["attach"] = AttachMemory(notice.picture, name=name)  # type: ignore[no-untyped-call]
            sent = self._plugin.notify(
                title=readable(notice.heads[self._language]),
                body="\n".join(lines),
                notify_type=kind,
                body_format=apprise.NotifyFormat.TEXT,
                **more,
            )
            told = log.getvalue()
        if outside:
            raise NoticeError(
                "target", f"host {outside[0]!r} is not declared; add it to hosts of the notify_file"
            )
        if not sent:
            raise NoticeError("again", self._clean(told) or "Apprise could not send it")
        return ""

    def _clean(self, told: str) -> str:
        lines = told.strip().splitlines()
        said = lines[0] if lines else ""
        for secret in reversed(self._hidden):
            if secret not in self._hosts:
                said = said.replace(secret, "<SECRET>")
        return said


def readable(line: str) -> str:
    """A line without the marks of emphasis, for channels that show them as they are."""
    return line.replace("**", "").replace("`", "")


@contextmanager
def _captured() -> Iterator[io.StringIO]:
    """What Apprise complains of meanwhile; in the log it would stand with parts of the address."""
    told = io.StringIO()
    handler, here = logging.StreamHandler(told), threading.get_ident()
    handler.addFilter(lambda record: record.thread == here)
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)


_sending = threading.local()


@contextmanager
def _only(hosts: frozenset[str]) -> Iterator[list[str]]:
    """While inside, this thread looks up declared hosts only; yields the others it asked for."""
    _guard()
    outside: list[str] = []
    _sending.hosts, _sending.outside = hosts, outside
    try:
        yield outside
    finally:
        _sending.hosts = None


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("socket.getaddrinfo", "socket.gethostbyname"):
        return
    hosts = getattr(_sending, "hosts", None)
    if hosts is None:
        return
    host = str(arguments[0] or "").lower()
    if host not in hosts:
        _sending.outside.append(host)
        raise socket.gaierror(socket.EAI_FAIL, "the host is not declared")


_hooked = threading.Lock()


def _guard() -> None:
    """Set the hook, once: Python takes none back."""
    if _hooked.acquire(blocking=False):
        sys.addaudithook(_refuse)
