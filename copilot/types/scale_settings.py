"""The settings of growth and upkeep; a part of `copilot.settings`, which reads them."""

from pydantic import Field
from pydantic_settings import BaseSettings


class ScaleSettings(BaseSettings):
    """How work is shared among processes, and how long what they leave is kept."""

    watch_shards: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Into how many parts the watch is cut by owner, for that many `copilot watch`.",
    )
