"""The settings of changes and repositories; a part of `copilot.settings`, which reads them."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

SignedSender = Literal["github", "gitlab", "launchdarkly", "terraform", "flux"]
"""Who signs what it posts, or sends a token of ours along."""


class ChangeSettings(BaseSettings):
    """Who may post changes by a signature, and where the commits of a revision are asked for."""

    change_secrets: dict[SignedSender, SecretStr] = Field(
        default={},
        description='Secrets of webhooks as JSON ({"github": "…"}): their posts to '
        "/changes/github must carry a right signature, and need no api_key.",
    )
    github_url: str = Field(
        default="https://api.github.com",
        description="GitHub's API; of an own server https://HOST/api/v3.",
    )
    github_token: SecretStr | None = Field(
        default=None,
        description="Token that may read contents; with it the commits of what was deployed are "
        "asked for.",
    )
    gitlab_url: str = Field(
        default="https://gitlab.com/api/v4",
        description="GitLab's API; of an own server https://HOST/api/v4.",
    )
    gitlab_token: SecretStr | None = Field(
        default=None, description="Token with the scope read_api, for the same of GitLab."
    )
    forge_s: float = Field(
        default=6,
        gt=0,
        le=60,
        description="Most seconds in one look that GitHub and GitLab are asked for commits.",
    )
