"""Where a secret is that a file of the operator needs, so that it does not stand in the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from copilot.types.errors import OperatorError
from tools.types import FrozenModel


class ChannelSecretError(OperatorError):
    """What opens a channel is not where the file says; its value is never repeated."""


class SecretPlace(FrozenModel):
    """Where a secret is: a variable of the environment, or a file; never this file itself."""

    env: str = Field(default="", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$|^$")
    file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_no_secret(cls, given: object) -> object:
        if not isinstance(given, dict):
            raise ValueError(
                "a secret does not stand in this file: write {env: NAME} or {file: PATH}"
            )
        return given

    @model_validator(mode="after")
    def _names_one_place(self) -> Self:
        if bool(self.env) == (self.file is not None):
            raise ValueError("name one place of the secret: {env: NAME} or {file: PATH}")
        return self

    def read(self, environment: Mapping[str, str]) -> SecretStr:
        """The secret; raises `ChannelSecretError`."""
        if self.file is None:
            value = environment.get(self.env, "")
        else:
            try:
                value = self.file.expanduser().read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                problem = getattr(error, "strerror", None) or "it is not text"
                raise ChannelSecretError(f"file {str(self.file)!r}: {problem}") from None
        if not value.strip():
            where = f"file {str(self.file)!r}" if self.file else f"environment variable {self.env}"
            raise ChannelSecretError(f"{where} is empty or not set")
        return SecretStr(value.strip())
