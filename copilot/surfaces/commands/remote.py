"""What commands ask of the running service: of the data folder, or the one `--server` names."""

from collections.abc import Mapping

import httpx
from pydantic import JsonValue

from copilot.settings import Settings
from copilot.store import home
from copilot.types.errors import OperatorError

TIMEOUT_S = 30.0
"""An examination waits for the slowest source of the service."""


NAMES = frozenset({"approver", "by", "editor"})
"""Fields in which a request says who decides, where no account tells."""


class RemoteError(OperatorError):
    """The running service did not take or give something; the message is its reason."""


def service(settings: Settings) -> str:
    """Where the service is that works on this data folder; empty where none runs."""
    return settings.server or home.service_address(settings.home)


def fetched(settings: Settings, address: str, path: str) -> dict[str, JsonValue]:
    """What the service tells at `path`; raises `RemoteError`."""
    return _document(_asked(settings, "GET", address, path, None), address)


def text(settings: Settings, address: str, path: str) -> str:
    """What the service tells at `path`, as it came; raises `RemoteError`."""
    return _asked(settings, "GET", address, path, None).text


def posted(
    settings: Settings, address: str, path: str, content: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """Hand something over and return the answer; raises `RemoteError` with the reason for a no."""
    return _document(_asked(settings, "POST", address, path, {**content}), address)


def _asked(
    settings: Settings, method: str, address: str, path: str, content: dict[str, JsonValue] | None
) -> httpx.Response:
    key = home.login(settings.home, address)
    if key and content:  # who it is, is whose login it is
        content = {name: v for name, v in content.items() if name not in NAMES}
    key = key or (settings.api_key.get_secret_value() if settings.api_key else "")
    if not key and not settings.server:
        # The service of this data folder: who may read the folder may decide.
        key = home.admin_token(settings.home)
    try:
        answer = httpx.request(
            method,
            f"{address.rstrip('/')}{path}",
            json=content,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=TIMEOUT_S,
        )
    except httpx.HTTPError as error:
        raise RemoteError(f"the service at {address} did not answer: {error}") from error
    if answer.is_error:
        raise RemoteError(f"the service at {address} refused: {answer.text[:500]}")
    return answer


def _document(answer: httpx.Response, address: str) -> dict[str, JsonValue]:
    try:
        told = answer.json()
    except ValueError as error:
        raise RemoteError(f"what answers at {address} is no copilot") from error
    if not isinstance(told, dict):
        raise RemoteError(f"what answers at {address} is no copilot")
    return told
