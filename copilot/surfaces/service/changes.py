"""`POST /changes`: what people and pipelines changed. The answer is 202 only when it is on disk.

Senders that sign are believed by their signature, which covers the whole body. Sources:
docs.github.com validating-webhook-deliveries; docs.gitlab.com webhooks (secret token);
launchdarkly.com/docs/home/infrastructure/webhooks (sign a webhook); developer.hashicorp.com
notification-configurations (authenticity); fluxcd.io notification provider `generic-hmac`.
"""

import hmac
from collections.abc import Callable, Mapping
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import SecretStr
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse

from copilot.alerts.formats.document import decoded
from copilot.sources.changes import SENDERS, ChangeDelivery, read
from copilot.surfaces.service.body import body
from copilot.surfaces.service.ports import ServiceEngine
from copilot.types.change_settings import SignedSender

MOST_TOLD = 3
"""Reasons why something was no change that an answer repeats."""


class ChangeSignature(NamedTuple):
    """Where a sender puts its signature; without a digest the header is the secret itself."""

    header: str
    digest: str = ""
    prefix: str = ""


SIGNED: Mapping[SignedSender, ChangeSignature] = {
    "github": ChangeSignature("x-hub-signature-256", "sha256", "sha256="),
    "gitlab": ChangeSignature("x-gitlab-token"),
    "launchdarkly": ChangeSignature("x-ld-signature", "sha256"),
    "terraform": ChangeSignature("x-tfe-notification-signature", "sha512"),
    "flux": ChangeSignature("x-signature", "sha256", "sha256="),
}

_Name = Annotated[str, Query(max_length=200)]


def changes(
    engine: ServiceEngine,
    secrets: Mapping[SignedSender, SecretStr],
    fetch: Callable[[], object] | None = None,
) -> APIRouter:
    """Deploys, configuration, scaling, flags, by whoever makes them; a route per sender.

    `fetch` asks for what the changes do not tell of their commits, after they were answered.
    """
    router = APIRouter(tags=["changes"])
    known = frozenset(one.name for one in SENDERS)

    def take(
        request: Request, content: bytes, sender: str, service: str, environment: str
    ) -> JSONResponse:
        _authenticate(request, content, sender, secrets)
        now = engine.now()
        told = read(
            decoded(content),
            now,
            sender=sender,
            headers=request.headers,
            service=service,
            environment=environment,
        )
        new = engine.store.changes.record(told.changes, now, told.commits)
        more = BackgroundTask(fetch) if fetch is not None and told.changes else None
        return JSONResponse(_receipt(told, new), 202, background=more)

    @router.post("/changes", status_code=202, summary="Say what was changed")
    def told(
        request: Request,
        content: Annotated[bytes, Depends(body)],
        service: _Name = "",
        environment: _Name = "",
    ) -> JSONResponse:
        return take(request, content, "", service, environment)

    @router.post("/changes/{sender}", status_code=202, summary="Deliver changes of one sender")
    def delivered(
        sender: str,
        request: Request,
        content: Annotated[bytes, Depends(body)],
        service: _Name = "",
        environment: _Name = "",
    ) -> JSONResponse:
        if sender not in known:
            names = ", ".join(sorted(known))
            detail = f"{sender[:64]!r} is no sender of changes; known: {names}, or /changes itself"
            raise HTTPException(404, detail)
        return take(request, content, sender, service, environment)

    return router


def _authenticate(
    request: Request, content: bytes, route: str, secrets: Mapping[SignedSender, SecretStr]
) -> None:
    """Refuse with 401 what a sender with a secret has not signed.

    At `/changes` this is asked of whoever brings a signature or names itself GitHub.
    """
    for sender, secret in secrets.items():
        header, digest, prefix = SIGNED[sender]
        given = request.headers.get(header, "")
        by_event = sender == "github" and "x-github-event" in request.headers
        if sender != route and (route or not (given or by_event)):
            continue
        key = secret.get_secret_value().encode()
        right = prefix + hmac.new(key, content, digest).hexdigest() if digest else key.decode()
        if not hmac.compare_digest(given.encode(), right.encode()):
            detail = f"{header} is {'wrong' if given else 'missing'}: it has to be made with the "
            raise HTTPException(401, f"{detail}secret of {sender!r} in change_secrets")


def _receipt(told: ChangeDelivery, new: int) -> dict[str, object]:
    """What became of a delivery; `ignored` says why something of it was no change."""
    receipt: dict[str, object] = {
        "status": "success",
        "recorded": new,
        "repeated": len(told.changes) - new,
    }
    if told.commits:
        receipt["commits"] = len(told.commits)
    if told.ignored:
        receipt["ignored"] = told.ignored[:MOST_TOLD]
    return receipt
