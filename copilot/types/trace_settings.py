"""The settings of a store of traces; a part of `copilot.settings`, which reads them."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class TraceSettings(BaseSettings):
    """Where traces are read, what opens it, and how many of them."""

    tempo_url: str = Field(
        default="",
        description="Tempo whose traces are read: its query frontend, such as http://tempo:3200.",
    )
    tempo_token: SecretStr | None = Field(
        default=None, description="Bearer token that Tempo asks for, if it does."
    )
    tempo_tenant: str = Field(
        default="", description="Its tenant (X-Scope-OrgID); empty: it has none."
    )
    tempo_user: str = Field(
        default="", description="User, where it asks for a password (Grafana Cloud: the number)."
    )
    tempo_password: SecretStr | None = Field(default=None, description="The password.")
    jaeger_url: str = Field(
        default="",
        description="Jaeger whose traces are read: its query service, such as "
        "http://jaeger:16686, with its base path if it has one.",
    )
    jaeger_token: SecretStr | None = Field(
        default=None, description="Bearer token that Jaeger asks for, if it does."
    )
    jaeger_user: str = Field(default="", description="User, where it asks for a password.")
    jaeger_password: SecretStr | None = Field(default=None, description="The password.")
    traces_most: int = Field(
        default=200,
        ge=20,
        le=2000,
        description="Most traces read in one look, half of them from before the onset.",
    )
