"""`copilot login`: a person agrees on the console, and this command line acts in their name."""

import json
import platform
import time

import httpx
from rich.console import Console

from copilot.settings import Settings
from copilot.surfaces.remote import RemoteError, service
from copilot.types import home


def login(settings: Settings) -> int:
    """Show a code, wait until somebody agrees, keep the token in a file of its owner's only."""
    address = service(settings).rstrip("/")
    if not address:
        raise RemoteError("no service runs here; name one: copilot --server https://… login")
    console = Console(markup=False, highlight=False)
    begun = _told(address, "/login/device", {"machine": platform.node()})
    if "device_code" not in begun:
        raise RemoteError(f"the service at {address} gives no code: {begun.get('error', begun)}")
    console.print(
        f"Open {begun['verification_uri_complete']}\nand agree to the code "
        f"{begun['user_code']}, if that is what it shows.",
        soft_wrap=True,
    )
    until = time.monotonic() + float(begun["expires_in"])
    while time.monotonic() < until:
        time.sleep(float(begun["interval"]))
        told = _told(address, "/login/token", {"device_code": begun["device_code"]})
        if "access_token" in told:
            home.keep_login(settings.home, address, told["access_token"])
            console.print(f"You are {told['name']} at {address}, for a week.", soft_wrap=True)
            return 0
        if told.get("error") != "authorization_pending":
            raise RemoteError(f"the service at {address} says {told.get('error')!r}: once more")
    raise RemoteError("nobody agreed to the code in time: once more")


def _told(address: str, path: str, content: dict[str, str]) -> dict[str, str]:
    try:
        answer = httpx.post(f"{address}{path}", json=content, timeout=30)
        found = answer.json()
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        raise RemoteError(f"the service at {address} did not answer: {error}") from error
    if not isinstance(found, dict) or (answer.is_error and "error" not in found):
        raise RemoteError(f"the service at {address} refused: {answer.text[:200]}")
    return found
