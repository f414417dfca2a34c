"""Call an allow-listed address: plain path, no redirects, bounded time and answer."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx
from pydantic import JsonValue

from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock
from copilot.types.strict_toml import FileError
from tools.playbook_executor.vocabulary import HttpArguments
from tools.types import PlanStep, StepResult

MAX_ANSWER = 65_536
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True)
class Base:
    """An address of the allow-list, and what gives the headers, such as a token, it is sent."""

    url: str
    current: Callable[[], Mapping[str, str]] = field(default=dict, repr=False)

    def __post_init__(self) -> None:
        parsed = httpx.URL(self.url)
        if parsed.scheme not in ("http", "https") or not _HOST.fullmatch(parsed.host):
            raise ValueError(f"base {self.url!r} needs http or https and a plain host name")
        if parsed.userinfo or parsed.query or parsed.fragment or "\\" in self.url:
            raise ValueError(f"base {self.url!r} must have no user, query or fragment")


def hidden(text: str, headers: Mapping[str, str]) -> str:
    """The text without what the headers carry, for a target that repeats what it was sent."""
    for value in headers.values():
        for secret in (value, value.rpartition(" ")[2]):
            text = text.replace(secret, "<SECRET>")
    return text


class HttpAnswer(NamedTuple):
    """What a base answered: at most so many bytes, without what its headers carry."""

    address: str
    status: int
    headers: Mapping[str, str]
    body: str


class UnknownEndError(StepFailedError):
    """The request may have arrived, and no whole answer came back."""


_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)


class HttpCaller:
    """Sends one request to a base of its allow-list.

    A redirect is never followed: its status is an answer like any other. Proxies and credentials of
    the environment are not used.
    """

    def __init__(
        self,
        bases: Mapping[str, Base],
        transport: httpx.BaseTransport | None = None,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bases = dict(bases)
        self._stopwatch = stopwatch
        self._client = httpx.Client(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            max_redirects=0,
            limits=httpx.Limits(max_keepalive_connections=0),  # minutes lie between two steps
        )

    def base(self, name: str) -> Base:
        """The base of that name; `StepFailedError` where it is not on the allow-list."""
        found = self._bases.get(name)
        if found is None:
            raise StepFailedError(f"base {name!r} is not on the allow-list")
        return found

    def send(
        self,
        name: str,
        method: str,
        path: str,
        *,
        timeout_s: float,
        query: Mapping[str, object] | None = None,
        body: JsonValue = None,
        form: Mapping[str, str] | None = None,
        content: str | None = None,
        headers: Mapping[str, str] | None = None,
        most: int = MAX_ANSWER,
    ) -> HttpAnswer:
        """The answer, whatever its status; `UnknownEndError` where it may have arrived."""
        base = self.base(name)
        try:
            own = base.current()
        except FileError as error:
            raise StepFailedError(f"the credential of {name!r}: {error}") from error
        request = self._client.build_request(
            method,
            address(base, name, path, query or {}),
            json=body,
            data=form,
            content=content,
            headers={**(headers or {}), **own},
            timeout=timeout_s,
        )
        said = f"{method} {request.url}"
        try:
            response, text = self._answer(request, self._stopwatch() + timeout_s, most)
        except httpx.HTTPError as error:
            kind = StepFailedError if isinstance(error, _NOT_SENT) else UnknownEndError
            raise kind(f"{said}: {error!r}") from error
        return HttpAnswer(
            str(request.url), response.status_code, response.headers, hidden(text, own)
        )

    def _answer(
        self, request: httpx.Request, deadline: float, most: int
    ) -> tuple[httpx.Response, str]:
        response = self._client.send(request, stream=True)
        kept = bytearray()
        try:
            for chunk in response.iter_bytes():
                kept += chunk[: most - len(kept)]
                if len(kept) >= most:
                    break
                if self._stopwatch() > deadline:
                    raise httpx.ReadTimeout("the answer took too long", request=request)
        finally:
            response.close()
        return response, kept.decode("utf-8", errors="replace")


class HttpRunner:
    """Sends one request per step to a base of its allow-list, named in the step.

    A redirect fails unless the step expects it. The idempotency key travels as `Idempotency-Key`,
    so that a repeated step can be recognised by the target.
    """

    def __init__(self, caller: HttpCaller, clock: Clock) -> None:
        self._caller = caller
        self._clock = clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Send the request; ok if the status is an expected one."""
        return reported(
            self._clock, key, lambda: self._call(of_type(step, HttpArguments), step, key)
        )

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Ask for the base with its token, by GET; the step itself is sent where it is a GET."""
        call = of_type(step, HttpArguments)
        if call.method == "GET":
            return Rehearsal(self._call(call, step, "rehearsal"))
        base = self._caller.base(call.base)
        address(base, call.base, call.path, call.query)
        answer = self._caller.send(call.base, "GET", "", timeout_s=step.timeout_s)
        barred = answer.status in (401, 403)
        refused = f"{base.url} answers {answer.status} to the token" if barred else ""
        said = f"GET {base.url} answered {answer.status}; {call.method} was not sent"
        return Rehearsal(said, refused)

    def touches(self, step: PlanStep) -> bool:
        """The target is called."""
        return True

    def _call(self, call: HttpArguments, step: PlanStep, key: str) -> str:
        answer = self._caller.send(
            call.base,
            call.method,
            call.path,
            query=call.query,
            body=call.body,
            headers={"Idempotency-Key": key},
            timeout_s=step.timeout_s,
        )
        said = f"{call.method} {answer.address} answered {answer.status}"
        if answer.status not in call.expect:
            wanted = ", ".join(map(str, call.expect))
            raise StepFailedError(f"{said}; expected {wanted}", answer.body)
        return f"{said}\n{answer.body}"


def address(base: Base, name: str, path: str, query: Mapping[str, object]) -> httpx.URL:
    """Base and path joined, checked to have stayed at the base's origin and below its path."""
    root = httpx.URL(base.url)
    if not path:
        return root
    url = httpx.URL(base.url.rstrip("/") + path)
    same_origin = (url.scheme, url.host, url.port) == (root.scheme, root.host, root.port)
    if not same_origin or url.userinfo or not url.path.startswith(root.path.rstrip("/") + "/"):
        raise StepFailedError(f"path {path!r} leads away from the base {name!r}")
    return url.copy_merge_params({key: _plain(value) for key, value in query.items()})


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
