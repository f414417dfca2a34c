"""The gate: who may come in, and how much they may carry. Nothing is parsed before it.

Written against ASGI, since a body has to be counted while it arrives.
"""

import asyncio
import hmac
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlencode

from pydantic import JsonValue
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copilot.store import StoreError
from copilot.surfaces.service.access import COOKIE, EVERYBODY, NOBODY, TRUSTED, Access
from copilot.surfaces.service.alertmanager.errors import speaks_alertmanager, wrapped
from copilot.surfaces.service.openai.shapes import openai_error, speaks_openai
from copilot.surfaces.service.ports import ServiceSettings
from copilot.surfaces.service.rights import CALLER, LEAST, Caller, need_of
from copilot.surfaces.service.visit import refused, wants_page

SIGN_IN = "/console/sign-in"
PAGES = "/console/"
"""Below it a form is read, which a page of ours sends: the handlers check where it came from."""

OTLP = frozenset({"/v1/traces", "/v1/logs", "/v1/metrics"})
"""Where exporters post, in JSON or in protobuf."""

FORM = "application/x-www-form-urlencoded"

OTHER_TYPES = {
    "/webhooks/aliyun": frozenset({FORM}),
    "/webhooks/auto": frozenset({FORM, "text/plain"}),
    "/webhooks/huawei": frozenset({"text/plain"}),
    "/webhooks/sns": frozenset({"text/plain"}),
    "/webhooks/tencent": frozenset({"text/plain"}),
}
"""What senders post that call their JSON text, or post a form; never from a page in a browser."""

BODY_SECONDS = 30.0
"""A body that takes longer to arrive is not waited for."""

_TO_DECIDE = (
    "to decide, open the admin link that `copilot serve` printed, or send what stands in "
    "admin.token of its data folder as a Bearer token"
)

_DRAINED = 16
_CARRYING = frozenset({"POST", "PUT", "PATCH"})


class RequestRefusedError(Exception):
    """The request is answered here with a status and one sentence."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers

    def response(self, path: str) -> JSONResponse:
        """In the words of the API that was asked."""
        said: dict[str, JsonValue] = {"detail": self.detail}
        if speaks_openai(path):
            said = openai_error(self.status, self.detail)
        elif speaks_alertmanager(path):
            said = wrapped(self.status, self.detail)
        return JSONResponse(said, self.status, headers=self.headers)


class Gate:
    """Checks host, key, type and size of a request, then hands on its whole body.

    Paths that are `signed` need no key: what is posted there is checked against its signature.
    Each other request needs the right that `rights` says; a session opens what is read, and decides
    by the forms of pages alone. Without `access`, whoever is let in may do everything.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServiceSettings,
        signed: Iterable[str] = (),
        access: Access | None = None,
    ) -> None:
        self._app = app
        self._key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._limit = settings.max_body_bytes
        self._signed = frozenset(signed)
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            caller = await self._known(scope, headers)
            shut = self._access is not None and self._access.settled_shut
            _admit(scope, caller, in_person=bool(shut))
            scope.setdefault("state", {})[CALLER] = caller
            if scope["method"] in _CARRYING:
                receive = await self._carried(scope, headers, receive)
        except RequestRefusedError as refusal:
            await _refused(refusal, scope, headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _known(self, scope: Scope, headers: Headers) -> Caller:
        """As `_caller`; while the store is away, what is open says so itself, all else is 503."""
        try:
            return await self._caller(scope, headers)
        except StoreError as error:
            if need_of(scope["method"], scope["path"]) == "open":
                return TRUSTED
            raise RequestRefusedError(503, str(error), **{"retry-after": "2"}) from error

    async def _caller(self, scope: Scope, headers: Headers) -> Caller:
        """Who asks; raises where nobody may, or the host is not this machine's."""
        given = _credentials(headers.get("authorization", ""))
        if self._access is None:
            if not self._key:
                _check_host(headers.get("host", ""))
            held = hmac.compare_digest(given.encode(), self._key.encode())
            return TRUSTED if held or not self._key or scope["path"] in self._signed else NOBODY
        shut = self._access.settled_shut
        if shut is None:
            shut = await run_in_threadpool(lambda access: access.shut, self._access)
        if not (shut or self._key):
            _check_host(headers.get("host", ""))
        if scope["path"] in self._signed or need_of(scope["method"], scope["path"]) == "open":
            return TRUSTED
        found = self._access.held(given) if given else None
        if found is None and given:
            found = await run_in_threadpool(self._access.bearer, given)
        cookie = HTTPConnection(scope).cookies.get(COOKIE, "")
        if found is None and cookie:
            peer = scope["client"][0] if scope.get("client") else ""
            found = await run_in_threadpool(self._access.visitor, cookie, peer, headers)
        found = found or NOBODY
        # While the house is open, a lesser credential gives no less than none.
        lesser = found.looks_only or not found.reaches("responder")
        return EVERYBODY if lesser and not (shut or self._key) else found

    async def _carried(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        in_browser = "origin" in headers or "sec-fetch-site" in headers
        _check_type(headers.get("content-type", ""), scope["path"], in_browser=in_browser)
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip"):
            raise RequestRefusedError(
                415, f"content encoding {encoding[:40]!r} is not read; send gzip or none"
            )
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._read(headers, receive)
        except TimeoutError:
            raise RequestRefusedError(
                408, f"the body did not arrive within {BODY_SECONDS:.0f} s"
            ) from None
        if encoding == "gzip":
            body = self._unpacked(body)
            scope["headers"] = [h for h in scope["headers"] if h[0] != b"content-encoding"]
        return _replay(body, receive)

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        declared = headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and len(declared) < 20:
            if int(declared) > self._limit and "expect" in headers:
                raise self._too_large()  # the client asked before sending: it may keep its body
        else:
            raise RequestRefusedError(
                400, f"content length {declared[:40]!r} is not a number of bytes"
            )
        chunks: list[bytes] = []
        total, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestRefusedError(400, "the client went away before its body arrived")
            total += len(message.get("body", b""))
            if total <= self._limit:
                chunks.append(message.get("body", b""))
            elif total > _DRAINED * self._limit:
                raise self._too_large()
            more = message.get("more_body", False)
        # What is too large is read to its end, dropped, so that the client hears the answer.
        if total > self._limit:
            raise self._too_large()
        return b"".join(chunks)

    def _unpacked(self, body: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            unpacked = unpacker.decompress(body, self._limit + 1)
        except zlib.error as problem:
            raise RequestRefusedError(400, f"the body is not gzip: {problem}") from problem
        if len(unpacked) > self._limit:
            raise self._too_large()
        if not unpacker.eof:
            raise RequestRefusedError(400, "the body is not gzip: it ends too early")
        return unpacked

    def _too_large(self) -> RequestRefusedError:
        return RequestRefusedError(
            413,
            f"the body is larger than {self._limit} bytes; send less at once",
            connection="close",
        )


def _admit(scope: Scope, caller: Caller, *, in_person: bool) -> None:
    """Raise unless the caller may do what the request needs."""
    need = need_of(scope["method"], scope["path"])
    if caller.may(need):
        return
    if caller.looks_only:
        detail = "a session decides by the forms of the console; a program shows a token"
        raise RequestRefusedError(401, detail, **{"www-authenticate": "Bearer"})
    if caller.role is not None or caller.scopes:
        if not caller.via:  # open to everybody, but for this
            raise RequestRefusedError(401, _TO_DECIDE, **{"www-authenticate": "Bearer"})
        who = f"{caller.name!r}, by {caller.via}," if caller.name else "you"
        raise RequestRefusedError(403, f"{who} may not do this: it needs {LEAST[need]} or above")
    wanted = (
        "a token (`copilot tokens add`, `copilot login`) or a session"
        if in_person
        else ("its API key")
    )
    raise RequestRefusedError(
        401,
        f"this service needs {wanted}, as a Bearer token or a Basic password",
        **{"www-authenticate": 'Bearer, Basic realm="incident-copilot"'},
    )


def _refused(refusal: RequestRefusedError, scope: Scope, headers: Headers) -> Response:
    """The refusal; a person who wanted a page is sent to where they sign in."""
    path: str = scope["path"]
    reads = scope["method"] in ("GET", "HEAD") and "text/html" in headers.get("accept", "")
    if refusal.status == 401 and reads and (path == "/" or path.startswith(PAGES)):
        asked = scope.get("query_string", b"").decode("latin-1")
        after = f"{path}?{asked}" if asked else path
        return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': after})}", 303)
    if wants_page(path, headers):
        return refused(Request(scope), refusal.status, refusal.detail, refusal.headers)
    return refusal.response(path)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _check_type(content_type: str, path: str, *, in_browser: bool) -> None:
    """A page in a browser can send forms and plain text anywhere, but JSON only where allowed."""
    media = content_type.partition(";")[0].strip().lower()
    if media in OTHER_TYPES.get(path, ()) and not in_browser:
        return
    if media == FORM and path.startswith(PAGES):
        return
    if path.startswith("/hooks/") and not in_browser:
        return  # a form of Slack's, XML of WeCom's: read behind their signature alone
    if media == "application/x-protobuf" and path in OTLP:
        return
    if media not in ("application/json", "text/json") and not (
        media.startswith("application/") and media.endswith("+json")
    ):
        given = f"content type {media[:80]!r}" if media else "no content type"
        raise RequestRefusedError(415, f"{given} is not read; send application/json")


def _check_host(host: str) -> None:
    """Without a key, other names than this machine's own may be a page that rebinds its name."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]").lower()
    if name in ("", "localhost") or name.endswith(".localhost"):
        return
    try:
        loopback = ip_address(name).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise RequestRefusedError(
            421, f"host {name[:80]!r} is not this machine; set an API key to serve other names"
        )


def _credentials(authorization: str) -> str:
    """The Bearer token or the Basic password; empty where there is neither."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(given.strip(), validate=True).decode().partition(":")[2]
    except (Base64Error, UnicodeDecodeError):
        return ""
