"""Operator: talks to the platform over HTTP."""

from typing import Any

import httpx


class PlatformError(Exception):
    """The platform refused; the message says what and why."""


class Platform:
    """A client with one of the platform's two tokens."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=60.0,
            trust_env=False,
        )

    def get(self, path: str) -> Any:
        """What the platform knows."""
        return self._told(self._client.get(path))

    def do(self, service: str, verb: str, **body: Any) -> str:
        """An operator's verb."""
        return str(self._told(self._client.post(f"/services/{service}/{verb}", json=body))["done"])

    def break_(self, service: str, verb: str, **body: Any) -> str:
        """A saboteur's verb."""
        return str(self._told(self._client.post(f"/faults/{service}/{verb}", json=body))["done"])

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    @staticmethod
    def _told(response: httpx.Response) -> Any:
        if response.is_error:
            raise PlatformError(f"{response.request.url.path}: {response.text}")
        return response.json()
