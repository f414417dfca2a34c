"""Signing in and out: by the admin link, or by name and password."""

import re
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from copilot.surfaces.service.access import COOKIE, Access
from copilot.surfaces.service.forms import Sent, meant, same_origin
from copilot.surfaces.service.gate import SIGN_IN
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.throttle import TooManyTriesError
from copilot.surfaces.service.visit import Visit, keep_session, page, visits
from tools.log_retriever.sanitize import plain

LONGEST_NAME = 80

EVERYWHERE = ""
"""The journal's incident for what concerns all of them."""

_WAYS = {"token": "by the admin link", "link": "by the admin link", "password": "by password"}

_LOCAL = re.compile(r"/(?:console/[A-Za-z0-9._~%/-]*)?")
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
    def door(visit: Visiting, token: str = "", next: str = "/") -> Response:
        values = {"token": token[:200], "next": ours(next), "problem": ""}
        return page("sign_in.html", visit, values)

    @router.post(SIGN_IN)
    def sign_in(request: Request, visit: Visiting, sent: Sent) -> Response:
        same_origin(request, visit)
        name, token = plain(sent.get("name", ""), LONGEST_NAME), sent.get("token", "")
        way, after, status = "token" if token else "password", sent.get("next", "/"), 403
        cookie = None
        if not name and not (token and access.shut):
            problem = "name missing"
        else:
            try:
                cookie = (
                    access.by_token(name, token)
                    if token
                    else access.by_password(name, sent.get("password", ""), visit.address)
                )
                problem = f"wrong {way}"
            except TooManyTriesError:
                problem, status = "too many tries", 429
        if cookie is not None:
            return desk.entered(visit, cookie, way, after)
        if problem == f"wrong {way}":
            desk.told("refused", name, way, visit)
        values = {"token": "", "next": ours(after), "problem": problem}
        return page("sign_in.html", visit, values, status)

    @router.post("/console/sign-out")
    def sign_out(request: Request, visit: Visiting, sent: Sent) -> Response:
        return desk.left(visit, meant(request, visit, sent).name)

    return router
