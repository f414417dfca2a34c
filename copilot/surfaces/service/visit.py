"""A visit of a page: who looks, in which language, and how the answer is sent."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from copilot.surfaces.console import rendered
from copilot.surfaces.service.access import COOKIE, Access
from copilot.types.people import PersonSession
from prompts import LANGUAGES, Language

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}

YEAR_S = 31_536_000


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks for a page and how it is to be sent; without a session it can be read."""

    language: Language
    asked: Language | None
    packed: bool
    secure: bool
    origin: str
    peer: str  # the other end of the connection, which may be a proxy
    address: str  # where they are
    session: PersonSession | None
    csrf: str
    cookie: str
    in_person: bool  # whether people have accounts
    provider: bool  # whether they can sign in by one


def visits(access: Access | None) -> Callable[..., Visit]:
    """What reads a visit from a request; without `access` everybody only looks on."""

    def visiting(
        request: Request,
        asked: Annotated[Language | None, Query(alias="lang")] = None,
    ) -> Visit:
        cookie = request.cookies.get(COOKIE, "")
        peer = request.client.host if request.client else ""
        session = access.session(cookie) if access else None
        if access and session and not access.fits(session, peer, request.headers):
            session = None
        scheme = request.url.scheme
        if access and access.behind(peer):
            scheme = request.headers.get("x-forwarded-proto", scheme)
        accepted = request.headers.get("accept-language", "")
        return Visit(
            language=chosen(asked, request.cookies.get("lang", ""), accepted),
            asked=asked,
            packed="gzip" in request.headers.get("accept-encoding", ""),
            secure=scheme == "https",
            origin=f"{scheme}://{request.headers.get('host', '')}",
            peer=peer,
            address=access.origin(peer, request.headers) if access else peer,
            session=session,
            csrf=access.csrf(cookie) if access and session else "",
            cookie=cookie,
            in_person=access is not None and access.shut,
            provider=bool(access and access.outside and access.outside.provider),
        )

    return visiting


def chosen(asked: Language | None, kept: str, accepted: str) -> Language:
    """The language asked for, else the one kept, else the first the browser accepts that we have.

    >>> chosen(None, "", "fr;q=0.9, zh-CN, en;q=0.5"), chosen("en", "zh", "zh")
    ('zh', 'en')
    """
    if asked is not None:
        return asked
    for language in LANGUAGES:
        if kept == language:
            return language
    wanted = sorted(map(_weighed, accepted[:500].split(",")), key=lambda one: -one[1])
    for name, _ in wanted:
        for language in LANGUAGES:
            if name.partition("-")[0] == language:
                return language
    return LANGUAGES[0]


def _weighed(part: str) -> tuple[str, float]:
    name, _, weight = part.strip().lower().partition(";q=")
    try:
        return name, float(weight or 1)
    except ValueError:
        return name, 0.0


def page(name: str, visit: Visit, values: Mapping[str, object], status: int = 200) -> Response:
    """A page as it is sent: with its policy, its language kept."""
    text = rendered(name, visit.language, visit=visit, **values)
    answer = sent(text.encode(), HTMLResponse.media_type, visit, status, HEADERS)
    if visit.asked is not None:
        answer.set_cookie("lang", visit.asked, max_age=YEAR_S, samesite="strict", httponly=True)
    return answer


def wants_page(path: str, headers: Headers) -> bool:
    """Whether a person's browser waits there for a page, and no program or script for a document.

    A script of ours that follows a stream says so.
    """
    accepted = headers.get("accept", "")
    return path.startswith("/console/") and "text/html" in accepted


def refused(request: Request, status: int, detail: str, headers: Mapping[str, str]) -> Response:
    """A refusal as a page, in the reader's language, for who sent a form without a script."""
    visit = visits(None)(request, None)
    answer = page("refused.html", visit, {"detail": detail, "status": status}, status)
    answer.headers.update(headers)
    return answer


def keep_session(answer: Response, visit: Visit, cookie: str) -> None:
    """Of no other site's requests, of no script, and gone with the browser."""
    answer.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=visit.secure)


def sent(
    content: bytes, media_type: str | None, visit: Visit, status: int, headers: dict[str, str]
) -> Response:
    """Packed where the browser says that it unpacks."""
    if visit.packed and len(content) > 1024:
        content = gzip.compress(content, compresslevel=5)
        headers = {**headers, "content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(content, status, headers, media_type)
