"""Topics that ask whether they may send here: confirmed only at a host that the operator allows.

The address comes with the request, from anybody: asking it unseen would let anybody make this
service send requests to wherever they like.
"""

import logging
from collections.abc import Collection
from urllib.parse import urlsplit

import httpx

from copilot.alerts.formats.sns import Subscription

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0


class SubscriptionDesk:
    """Answers a topic's question; `transport` stands in for the network in tests."""

    def __init__(
        self, hosts: Collection[str] = (), transport: httpx.BaseTransport | None = None
    ) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._transport = transport

    def answer(self, asked: Subscription) -> dict[str, str]:
        """Confirm it, or say whom to allow; the address holds a token and is not repeated."""
        host = asked.host
        if host not in self._hosts or not _plain(asked.url):
            log.warning(
                "the topic %r asks to be confirmed at %r, which is not allowed", asked.topic, host
            )
            return {
                "status": "unconfirmed",
                "detail": f"to confirm {asked.topic!r}, add {host!r} to sns_confirm_hosts "
                "(COPILOT_SNS_CONFIRM_HOSTS, https only) and request the confirmation again, "
                "or open the address of this message yourself",
            }
        return self._confirmed(asked)

    def _confirmed(self, asked: Subscription) -> dict[str, str]:
        try:
            with httpx.Client(
                timeout=TIMEOUT_S,
                follow_redirects=False,
                trust_env=False,
                transport=self._transport,
            ) as client:
                status = client.get(asked.url).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            log.warning("the topic %r was not confirmed: %s", asked.topic, problem)
            return {"status": "unconfirmed", "detail": f"{asked.host} did not answer; try again"}
        log.info("the topic %r was confirmed at %s: %d", asked.topic, asked.host, status)
        if status != httpx.codes.OK:
            return {"status": "unconfirmed", "detail": f"{asked.host} answered {status}"}
        return {"status": "confirmed", "detail": asked.topic}


def _plain(url: str) -> bool:
    """https at its own port, without a name and password."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and parts.port in (None, 443) and "@" not in parts.netloc
    except ValueError:
        return False
