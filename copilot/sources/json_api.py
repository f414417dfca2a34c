"""A JSON API that is only read: one base address, bounded time and bytes, retries where safe.

What every telemetry adapter needs and none should write again. Nothing here changes the other
side, so a question that met a passing fault is asked again, a bounded number of times.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from copilot.ports import SourceError

MOST_BYTES = 64 * 1024 * 1024
"""An answer above this is refused while it arrives; the question has to be a smaller one."""

AnswerT = TypeVar("AnswerT")

ATTEMPTS = 3
LONGEST_WAIT_S = 5.0
"""Longest pause between two attempts, also where the server asks for a longer one."""

_AGAIN = frozenset({429, 502, 503, 504})
_SAID = 300


class AnswerError(SourceError):
    """The server answered, and not with what was asked for; `status` 0: it did not answer."""

    def __init__(self, source: str, problem: str, *, status: int = 0, wait_s: float = 0.0) -> None:
        recoverable = status == 0 or status in _AGAIN or status >= 500
        super().__init__(source, problem, recoverable=recoverable)
        self.status = status
        self.wait_s = wait_s


class TooLargeError(SourceError):
    """The answer was larger than anybody should read at once."""


@dataclass(frozen=True, slots=True)
class ApiEndpoint:
    """Where an API is, and what opens it; both come from the settings alone."""

    url: str
    token: SecretStr | None = None
    scheme: str = "Bearer"
    user: str = ""
    password: SecretStr | None = None
    headers: Mapping[str, str] | None = None


class JsonApi:
    """Asks one server. Redirects are not followed, proxies of the environment are not used."""

    def __init__(
        self,
        name: str,
        address: ApiEndpoint,
        *,
        timeout_s: float = 30.0,
        most_bytes: int = MOST_BYTES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _checked(name, address.url)
        self.source = f"{name} at {self.url}"
        self._most = most_bytes
        self._sleep = sleep
        self._timeout_s = timeout_s
        self._client = httpx.Client(
            headers=_headers(address),
            auth=_basic(address),
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 5.0)),
            trust_env=False,
            follow_redirects=False,
        )

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON that a GET returns; `path` is a constant of an adapter, never input."""
        return self._asked(lambda: self._client.build_request("GET", self.url + path, params=query))

    def post(self, path: str, body: Mapping[str, Any], *, form: bool = False) -> Any:
        """The JSON that a POST returns which only asks: a search, or a query too long for a URL."""
        given: dict[str, Any] = {"data" if form else "json": dict(body)}
        return self._asked(lambda: self._client.build_request("POST", self.url + path, **given))

    def post_unread(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The JSON that a form returns which only asks, as it came: it may be large."""
        return self._answered(
            lambda: self._client.build_request("POST", self.url + path, data=dict(body))
        )

    def json_of(self, body: bytes) -> Any:
        """Read an answer; raises AnswerError where it is no JSON."""
        try:
            return json.loads(body)
        except ValueError as error:
            problem = f"the answer is not JSON ({error}); is this the right address?"
            raise AnswerError(self.source, problem) from error

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _asked(self, request: Callable[[], httpx.Request]) -> Any:
        return self._attempted(lambda: self.json_of(self._once(request())))

    def _answered(self, request: Callable[[], httpx.Request]) -> bytes:
        return self._attempted(lambda: self._once(request()))

    def _attempted(self, ask: Callable[[], AnswerT]) -> AnswerT:
        attempts = Retrying(
            retry=retry_if_exception(lambda e: isinstance(e, SourceError) and e.recoverable),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_pause,
            sleep=self._sleep,
            reraise=True,
        )
        return attempts(ask)

    def _once(self, request: httpx.Request) -> bytes:
        deadline = time.monotonic() + self._timeout_s
        try:
            response = self._client.send(request, stream=True)
            try:
                body = self._body(response, deadline)
            finally:
                response.close()
        except httpx.TimeoutException as error:
            # Asked again at once, a query that was too much for the server would be so again.
            problem = f"no answer within {self._timeout_s:g} s"
            raise SourceError(self.source, problem, recoverable=False) from error
        except httpx.HTTPError as error:
            raise AnswerError(self.source, str(error) or type(error).__name__) from error
        self._check(response, body)
        return body

    def _body(self, response: httpx.Response, deadline: float) -> bytes:
        kept = bytearray()
        for chunk in response.iter_bytes():
            kept += chunk
            if len(kept) > self._most:
                problem = f"the answer is larger than {self._most} bytes"
                raise TooLargeError(self.source, problem, recoverable=False)
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer dribbles", request=response.request)
        return bytes(kept)

    def _check(self, response: httpx.Response, body: bytes) -> None:
        if not response.is_success:
            said = _reason(body)
            where = response.headers.get("location")
            if where is not None:
                said = f"it redirects to {where[:_SAID]!r}; configure the final address"
            problem = f"{response.status_code} {response.reason_phrase}: {said}".rstrip(": ")
            raise AnswerError(
                self.source, problem, status=response.status_code, wait_s=_retry_after(response)
            )
        if body.lstrip()[:1] == b"<":
            # A login or a user interface; asked again it would be the same page.
            problem = "the answer is a web page and no JSON; is this the right address?"
            raise AnswerError(self.source, problem, status=response.status_code)


def _reason(body: bytes) -> str:
    """What an error's body says, in the field where servers of this kind put it, or as it is."""
    text = body.decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except ValueError:
        said = text
    for field in ("errors", "error", "reason", "message", "msg"):
        said = said.get(field) or said if isinstance(said, dict) else said
        said = said[0] if isinstance(said, list) and said else said
    return str(said).strip()[:_SAID]


_growing = wait_random_exponential(multiplier=0.2, max=2.0)


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wanted = error.wait_s if isinstance(error, AnswerError) else 0.0
    return min(max(_growing(state), wanted), LONGEST_WAIT_S)


def _retry_after(response: httpx.Response) -> float:
    given = response.headers.get("retry-after", "")
    return float(given[:6]) if given.isascii() and given.isdigit() else 0.0


def _checked(name: str, url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise SourceError(name, f"{url!r} is no address: {error}", recoverable=False) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        problem = f"{url!r} is no address; it reads like http://HOST:PORT"
        raise SourceError(name, problem, recoverable=False)
    if parsed.userinfo or parsed.query or parsed.fragment:
        problem = "the address must hold no user, query or fragment; secrets have their own setting"
        raise SourceError(name, problem, recoverable=False)
    return str(parsed).rstrip("/")


def _headers(address: ApiEndpoint) -> dict[str, str]:
    found = {"accept": "application/json", **(address.headers or {})}
    if address.token is not None:
        found["authorization"] = f"{address.scheme} {address.token.get_secret_value()}"
    return found


def _basic(address: ApiEndpoint) -> httpx.BasicAuth | None:
    if not address.user or address.password is None:
        return None
    return httpx.BasicAuth(address.user, address.password.get_secret_value())
