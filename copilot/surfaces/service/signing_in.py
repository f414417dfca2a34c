"""Signing in and out: by the admin link, or by name and password."""

import re
import secrets
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from copilot.surfaces.service.access import COOKIE, Access
from copilot.surfaces.service.forms import Sent, meant, same_origin
from copilot.surfaces.service.gate import SIGN_IN
from copilot.surfaces.service.outside import IdentityProvider, SignInRefusedError
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.throttle import TooManyTriesError
from copilot.surfaces.service.visit import Visit, keep_session, page, visits
from tools.log_retriever.sanitize import plain

LONGEST_NAME = 80

EVERYWHERE = ""
"""The journal's incident for what concerns all of them."""

SIGN_IN_COOKIE, SIGN_IN_S = "copilot_sign_in", 600.0
"""Of a browser that is at the provider, and how long it may stay there."""

_WAYS = {
    "token": "by the admin link",
    "link": "by the admin link",
    "password": "by password",
    "oidc": "by the OpenID provider",
    "proxy": "by the proxy",
}

_LOCAL = re.compile(r"/(?:console/[A-Za-z0-9._~%/-]*)?(?:\?[A-Za-z0-9._~%=&+-]*)?")
"""Where one may be sent after signing in: a page of ours."""


class SignInDesk:
    """Begins sessions, and tells the journal who came, who went and who was refused."""

    def __init__(self, engine: ServiceEngine, access: Access) -> None:
        self._engine, self._access = engine, access

    def told(self, kind: str, name: str, way: str, visit: Visit) -> None:
        """Write it down."""
        detail = {"reason": _WAYS.get(way, way), "address": visit.address}
        self._engine.store.journal.append(EVERYWHERE, kind, name, {**detail}, self._engine.now())

    def entered(self, visit: Visit, cookie: str, way: str, after: str) -> Response:
        """The way into the console, with a session in the place of the one there was."""
        self._access.end(visit.cookie)
        session = self._access.session(cookie)
        self.told("signed_in", session.name if session else "", way, visit)
        answer = RedirectResponse(ours(after), 303)
        keep_session(answer, visit, cookie)
        return answer

    def tried(self, visit: Visit, sent: Mapping[str, str]) -> tuple[str | None, str, int]:
        """The cookie that a form's token or password gives; else what is wrong, and its status."""
        name, token = plain(sent.get("name", ""), LONGEST_NAME), sent.get("token", "")
        if not name and not (token and self._access.shut):
            return None, "name missing", 403
        way = "token" if token else "password"
        try:
            if token:
                cookie = self._access.by_token(name, token, visit.address)
            else:
                password = sent.get("password", "")
                cookie = self._access.by_password(name, password, visit.address)
        except TooManyTriesError:
            return None, "too many tries", 429
        if cookie is None:
            self.told("refused", name, way, visit)
        return cookie, f"wrong {way}", 403

    def provider(self) -> IdentityProvider:
        """Who says who somebody is; raises `SignInRefusedError` where nobody does."""
        outside = self._access.outside
        if outside is None or outside.provider is None:
            raise SignInRefusedError("no provider is configured (oidc_issuer)")
        return outside.provider

    def refused(self, refusal: Exception) -> dict[str, str]:
        """What the page says of a refusal that is not about a password."""
        return {"token": "", "next": "/", "problem": "", "said": str(refusal)}

    def left(self, visit: Visit, name: str) -> Response:
        """The way out; the cookie is worth nothing from now on, wherever it went."""
        self._access.end(visit.cookie)
        self.told("signed_out", name, "", visit)
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(COOKIE)
        return answer


def ours(path: str) -> str:
    """The page of ours that is meant, or the first one."""
    return path if len(path) < 500 and _LOCAL.fullmatch(path) else "/"


def signing_in(engine: ServiceEngine, access: Access) -> APIRouter:
    """The forms; outside of the schema, since programs show a token."""
    router = APIRouter(include_in_schema=False)
    desk = SignInDesk(engine, access)
    Visiting = Annotated[Visit, Depends(visits(access))]

    @router.get(SIGN_IN)
    def door(request: Request, visit: Visiting, token: str = "", next: str = "/") -> Response:
        named = access.proxied(visit.peer, request.headers)
        if named is not None and not token:
            try:
                return desk.entered(visit, access.by_word(named), named.by, next)
            except SignInRefusedError as refusal:
                desk.told("refused", named.name, named.by, visit)
                return page("sign_in.html", visit, desk.refused(refusal), 403)
        values = {"token": token[:200], "next": ours(next), "problem": "", "said": ""}
        return page("sign_in.html", visit, values)

    @router.post(SIGN_IN)
    def sign_in(request: Request, visit: Visiting, sent: Sent) -> Response:
        same_origin(request, visit)
        after = sent.get("next", "/")
        cookie, problem, status = desk.tried(visit, sent)
        if cookie is not None:
            return desk.entered(visit, cookie, "token" if sent.get("token") else "password", after)
        values = {"token": "", "next": ours(after), "problem": problem, "said": ""}
        return page("sign_in.html", visit, values, status)

    @router.post("/console/sign-out")
    def sign_out(request: Request, visit: Visiting, sent: Sent) -> Response:
        return desk.left(visit, meant(request, visit, sent).name)

    return router


def by_provider(engine: ServiceEngine, access: Access) -> APIRouter:
    """To the OpenID provider and back."""
    router = APIRouter(include_in_schema=False)
    desk = SignInDesk(engine, access)
    Visiting = Annotated[Visit, Depends(visits(access))]

    @router.get(f"{SIGN_IN}/oidc")
    def away(visit: Visiting, next: str = "/") -> Response:
        try:
            address, kept = desk.provider().begin()
        except SignInRefusedError as refusal:
            return page("sign_in.html", visit, desk.refused(refusal), 503)
        on_its_way, now = secrets.token_urlsafe(32), access.clock()
        told = kept | {"next": ours(next)}
        engine.store.sessions.begin(access.digest(on_its_way), told, now + SIGN_IN_S, now)
        answer = RedirectResponse(address, 303)
        answer.set_cookie(
            SIGN_IN_COOKIE,
            on_its_way,
            path=SIGN_IN,
            httponly=True,
            samesite="lax",  # the provider's page sends the browser back
            secure=visit.secure,
        )
        return answer

    @router.get(f"{SIGN_IN}/back")
    def back(request: Request, visit: Visiting) -> Response:
        on_its_way, came_from = request.cookies.get(SIGN_IN_COOKIE, ""), f"back {visit.address}"
        try:
            # Anybody may come back with nothing, and the journal keeps each refusal for good.
            access.throttle.check(came_from)
        except TooManyTriesError:
            values = {"token": "", "next": "/", "problem": "too many tries", "said": ""}
            return page("sign_in.html", visit, values, 429)
        kept = engine.store.sessions.take(access.digest(on_its_way), access.clock())
        try:
            if kept is None:
                raise SignInRefusedError("this sign-in is over, or was begun elsewhere: once more")
            person = desk.provider().finish(kept, request.query_params)
            cookie = access.by_word(person)
        except SignInRefusedError as refusal:
            access.throttle.failed(came_from)
            desk.told("refused", "", f"by the provider: {refusal}", visit)
            return page("sign_in.html", visit, desk.refused(refusal), 403)
        let_in = desk.entered(visit, cookie, "oidc", "/")
        # A redirect would still be the provider's, and a strict cookie is not sent along with it.
        answer = page("entered.html", visit, {"next": ours(str(kept["next"]))})
        answer.headers.append("set-cookie", let_in.headers["set-cookie"])
        answer.delete_cookie(SIGN_IN_COOKIE, path=SIGN_IN)
        return answer

    return router
