"""Call an allow-listed address: plain path, no redirects, bounded time and answer."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock
from tools.playbook_executor.vocabulary import HttpArguments
from tools.types import PlanStep, StepResult

MAX_ANSWER = 65_536
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True)
class Base:
    """An address of the allow-list, and the headers (such as a token) that go with it."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def hide(self, text: str) -> str:
        """The text without what the headers carry, for a target that repeats what it was sent."""
        for value in self.headers.values():
            for secret in (value, value.rpartition(" ")[2]):
                text = text.replace(secret, "<SECRET>")
        return text

    def __post_init__(self) -> None:
        parsed = httpx.URL(self.url)
        if parsed.scheme not in ("http", "https") or not _HOST.fullmatch(parsed.host):
            raise ValueError(f"base {self.url!r} needs http or https and a plain host name")
        if parsed.userinfo or parsed.query or parsed.fragment or "\\" in self.url:
            raise ValueError(f"base {self.url!r} must have no user, query or fragment")


class HttpRunner:
    """Sends one request per step to a base of its allow-list, named in the step.

    A redirect is never followed: its status is an answer like any other, and fails unless the
    step expects it. Proxies and credentials of the environment are not used. The idempotency key
    travels as `Idempotency-Key`, so that a repeated step can be recognised by the target.
    """

    def __init__(
        self,
        bases: Mapping[str, Base],
        clock: Clock,
        transport: httpx.BaseTransport | None = None,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bases = dict(bases)
        self._clock = clock
        self._stopwatch = stopwatch
        self._client = client(transport)

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
        base = self._bases.get(call.base)
        if base is None:
            raise StepFailedError(f"base {call.base!r} is not on the allow-list")
        below(base, call.path, call.query)
        request = self._client.build_request(
            "GET", base.url, headers=base.headers, timeout=step.timeout_s
        )
        try:
            status, _ = answered(self._client, request, step.timeout_s, self._stopwatch)
        except httpx.HTTPError as error:
            raise StepFailedError(f"{base.url} is not reached: {error!r}") from error
        refused = f"{base.url} answers {status} to the token" if status in (401, 403) else ""
        return Rehearsal(f"GET {base.url} answered {status}; {call.method} was not sent", refused)

    def touches(self, step: PlanStep) -> bool:
        """The target is called."""
        return True

    def _call(self, call: HttpArguments, step: PlanStep, key: str) -> str:
        base = self._bases.get(call.base)
        if base is None:
            raise StepFailedError(f"base {call.base!r} is not on the allow-list")
        request = self._client.build_request(
            call.method,
            below(base, call.path, call.query),
            json=call.body,
            headers={**base.headers, "Idempotency-Key": key},
            timeout=step.timeout_s,
        )
        try:
            status, body = answered(self._client, request, step.timeout_s, self._stopwatch)
        except httpx.HTTPError as error:
            raise StepFailedError(f"{call.method} {request.url}: {error!r}") from error
        body = base.hide(body)
        said = f"{call.method} {request.url} answered {status}"
        if status not in call.expect:
            wanted = ", ".join(map(str, call.expect))
            raise StepFailedError(f"{said}; expected {wanted}", body)
        return f"{said}\n{body}"


def client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """One that follows nothing, takes nothing from the environment and keeps no line open."""
    return httpx.Client(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        max_redirects=0,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def answered(
    client: httpx.Client, request: httpx.Request, within_s: float, stopwatch: Callable[[], float]
) -> tuple[int, str]:
    """Status and body: cut at `MAX_ANSWER` bytes; `httpx.HTTPError` where it takes too long."""
    deadline = stopwatch() + within_s
    response = client.send(request, stream=True)
    kept = bytearray()
    try:
        for chunk in response.iter_bytes():
            kept += chunk[: MAX_ANSWER - len(kept)]
            if len(kept) >= MAX_ANSWER:
                break
            if stopwatch() > deadline:
                raise httpx.ReadTimeout("the answer took too long", request=request)
    finally:
        response.close()
    return response.status_code, kept.decode("utf-8", errors="replace")


def below(base: Base, path: str, query: Mapping[str, object]) -> httpx.URL:
    """Base and path joined, checked to have stayed at the base's origin and below its path."""
    root = httpx.URL(base.url)
    url = httpx.URL(base.url.rstrip("/") + path)
    same_origin = (url.scheme, url.host, url.port) == (root.scheme, root.host, root.port)
    if not same_origin or url.userinfo or not url.path.startswith(root.path.rstrip("/") + "/"):
        raise StepFailedError(f"path {path!r} leads away from the base {base.url!r}")
    return url.copy_merge_params({name: _plain(value) for name, value in query.items()})


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
