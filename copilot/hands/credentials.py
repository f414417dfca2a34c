"""The secret of a target of the runners file: from a variable, a file, or a KV store of Vault.

A base or database has one of its own, so that a playbook gets no more than it needs: two bases may
have one address and two tokens. What is read stays in memory; it is in no store, journal or digest.
Vault is read by its KV version 2 API (developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2).
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from pydantic import Field, SecretStr

from copilot.hands.http import Base
from copilot.types import strict_toml
from tools.types import FrozenModel

MOST = 65_536
"""Bytes of a secret's file. source: a service account's token has about 1 kB."""
TIMEOUT_S = 5.0
"""One look into Vault. source: as long as a database is waited for."""
_PLACE = re.compile(r"(?P<mount>[\w-]+)/(?P<path>[\w./-]+)#(?P<field>[\w.-]+)", re.ASCII)


class RunnersFileError(strict_toml.FileError):
    """The file of runners is wrong; the message says in which file, at which key, and what."""

    setting = "runners_file"


class WithPassword(FrozenModel):
    """A target of the runners file with a password of its own, which never stands in the file."""

    password_env: str = ""
    password_file: Path | None = None
    password_vault: str = ""
    password: SecretStr | None = Field(default=None, exclude=True)


class HttpBase(FrozenModel):
    """An address that steps may call, and the secret that goes with it."""

    url: str
    token_env: str = ""
    token_file: Path | None = None
    token_vault: str = ""
    token: SecretStr | None = None
    token_as: str = Field(default="bearer", pattern=r"^[A-Za-z0-9-]{1,60}$")

    @property
    def secret(self) -> bool:
        """Whether it has one."""
        return bool(self.token_env or self.token_file or self.token_vault or self.token)

    @property
    def told(self) -> str:
        """For a person; the secret is named, not shown."""
        place = self.token_env or self.token_file or self.token_vault
        return (
            f"{self.url}, token from {place}"
            if place
            else (f"{self.url}, with a token" if self.token else self.url)
        )


class VaultServer(FrozenModel):
    """Where Vault is, and the token for it; a file, as Vault Agent writes it, is read each time."""

    url: str
    token_env: str = ""
    token_file: Path | None = None
    namespace: str = ""


@dataclass(frozen=True)
class SecretReader:
    """Reads the secrets that a runners file names."""

    file: Path
    environment: Mapping[str, str]
    vault: VaultServer | None = None
    transport: httpx.BaseTransport | None = None

    def read(
        self,
        key: str,
        kind: Literal["token", "password"],
        env: str = "",
        file: Path | None = None,
        vault: str = "",
    ) -> str:
        """The secret of the entry `key`, '' where it names none; `RunnersFileError` if unread."""
        named = {f"{kind}_{n}": p for n, p in (("env", env), ("file", file), ("vault", vault)) if p}
        if len(named) > 1:
            raise self._wrong(key, f"has both {' and '.join(named)}; keep one of them")
        if env:
            if not self.environment.get(env):
                raise self._wrong(f"{key}.{kind}_env", f"variable {env!r} is not set")
            return self.environment[env]
        if file is not None:
            return self._of_file(f"{key}.{kind}_file", file)
        return self._of_vault(f"{key}.{kind}_vault", vault) if vault else ""

    def base(self, name: str, declared: HttpBase) -> Base:
        """The base with its token, which is read again whenever a request is sent."""
        key = f"http.{name}"
        self._headers(key, declared)
        try:
            return Base(declared.url, current=lambda: self._headers(key, declared))
        except ValueError as error:
            raise self._wrong(f"{key}.url", str(error)) from error

    def _headers(self, key: str, declared: HttpBase) -> Mapping[str, str]:
        places = (declared.token_env, declared.token_file, declared.token_vault)
        if declared.token is not None and any(places):
            raise self._wrong(key, "has both token and another place of it; keep one of them")
        token = self.read(key, "token", *places)
        if declared.token is not None:
            token = declared.token.get_secret_value()
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise self._wrong(key, "the token has characters that no header can carry")
        if not token:
            return {}
        if declared.token_as == "basic":
            return {"Authorization": f"Basic {base64.b64encode(token.encode()).decode()}"}
        if declared.token_as == "bearer":
            return {"Authorization": f"Bearer {token}"}
        return {declared.token_as: token}

    def _of_file(self, key: str, place: Path) -> str:
        try:
            with place.open(encoding="utf-8") as file:
                text = file.read(MOST).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong(key, f"{str(place)!r} cannot be read: {error}") from error
        if not text:
            raise self._wrong(key, f"{str(place)!r} is empty")
        return text

    def _of_vault(self, key: str, place: str) -> str:
        found = _PLACE.fullmatch(place)
        if found is None or ".." in place:
            raise self._wrong(key, f"{place!r} is not of the form mount/path#field")
        if self.vault is None:
            raise self._wrong(key, "there is no [vault] in this file")
        vault = self.vault
        headers = {"X-Vault-Token": self.read("vault", "token", vault.token_env, vault.token_file)}
        if vault.namespace:
            headers["X-Vault-Namespace"] = vault.namespace
        try:
            Base(vault.url)
            address = f"{vault.url.rstrip('/')}/v1/{found['mount']}/data/{found['path']}"
            with httpx.Client(transport=self.transport, trust_env=False) as client:
                answer = client.get(address, headers=headers, timeout=TIMEOUT_S)
            if answer.status_code != 200:
                raise self._wrong(key, f"{address} answers {answer.status_code}")
            told = answer.json()["data"]["data"][found["field"]]
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            problem = f"{place!r} is not read from {vault.url}: {type(error).__name__}"
            raise self._wrong(key, problem) from error
        if not isinstance(told, str) or not told:
            raise self._wrong(key, f"{place!r} holds no text")
        return told

    def _wrong(self, key: str, problem: str) -> RunnersFileError:
        return RunnersFileError(self.file, key, problem)
