"""What commands ask of the running service: of the data folder, or the one `--server` names.

It stands on the standard library alone: `copilot stop` loads nothing else.
"""

import json
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from copilot.types import home
from copilot.types.errors import OperatorError
from copilot.types.home import ToldKey

TIMEOUT_S = 30.0
"""An examination waits for the slowest source of the service."""

NAMES = frozenset({"approver", "by", "editor"})
"""Fields in which a request says who decides, where no account tells."""

LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts that no proxy stands before."""


class RemoteError(OperatorError):
    """The running service did not take or give something; the message is its reason."""


class SilentServiceError(RemoteError):
    """No answer came: nobody listens there, or it hangs."""


class ServicePlace(Protocol):
    """Where a service is looked for, and what is shown to it; the settings are one."""

    @property
    def home(self) -> Path: ...

    @property
    def server(self) -> str: ...

    @property
    def api_key(self) -> ToldKey | None: ...


def service(place: ServicePlace) -> str:
    """Where the service is that works on this data folder; empty where none runs."""
    return place.server or home.service_address(place.home)


def fetched(
    place: ServicePlace, address: str, path: str, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """What the service tells at `path`; raises `RemoteError`."""
    return _document(text(place, address, path, timeout_s), address)


def text(place: ServicePlace, address: str, path: str, timeout_s: float = TIMEOUT_S) -> str:
    """What the service tells at `path`, as it came; raises `RemoteError`."""
    return _asked(place, "GET", address, path, None, timeout_s)


def posted(
    place: ServicePlace,
    address: str,
    path: str,
    content: Mapping[str, object],
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Any]:
    """Hand something over and return the answer; raises `RemoteError` with the reason for a no."""
    return _document(_asked(place, "POST", address, path, {**content}, timeout_s), address)


def credential(place: ServicePlace, address: str) -> str:
    """What is shown to the service: a login's token, the key, or the token of the data folder."""
    key = home.login(place.home, address)
    key = key or (place.api_key.get_secret_value() if place.api_key else "")
    # The service of this data folder: who may read the folder may decide.
    return key if key or place.server else home.admin_token(place.home)


class _Unforwarded(HTTPRedirectHandler):
    """Follows no redirect: the token is for this host alone."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return no request, so that the redirect is told as an error."""


def _asked(
    place: ServicePlace,
    method: str,
    address: str,
    path: str,
    content: dict[str, object] | None,
    timeout_s: float,
) -> str:
    if home.login(place.home, address) and content:  # who it is, is whose login it is
        content = {name: v for name, v in content.items() if name not in NAMES}
    key, headers = credential(place, address), {"Content-Type": "application/json"}
    if key:
        # The client would repeat it in its complaint; a header is Latin-1.
        if not key.isprintable() or max(key) > "\xff":
            raise RemoteError("the API key or login holds what no header can hold; set it anew")
        headers["Authorization"] = f"Bearer {key}"
    body = None if content is None else json.dumps(content).encode()
    try:
        url = f"{address.rstrip('/')}{path}"
        direct = [ProxyHandler({})] if urlsplit(url).hostname in LOCAL else []
        request = Request(url, body, headers, method=method)
        with build_opener(_Unforwarded, *direct).open(request, timeout=timeout_s) as answer:
            told: bytes = answer.read()
            return told.decode("utf-8", "replace")
    except HTTPError as error:
        raise RemoteError(f"the service at {address} refused: {_reason(error)}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise SilentServiceError(f"the service at {address} did not answer: {error}") from error


def _reason(error: HTTPError) -> str:
    """The sentence of a refusal, without the document around it."""
    told = error.read(4096).decode("utf-8", "replace")
    try:
        return str(json.loads(told)["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return told[:500] or f"{error.code} {error.reason}"


def _document(told: str, address: str) -> dict[str, Any]:
    try:
        found = json.loads(told)
    except ValueError as error:
        raise RemoteError(f"what answers at {address} is no copilot") from error
    if not isinstance(found, dict):
        raise RemoteError(f"what answers at {address} is no copilot")
    return found
