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
    keep_incidents_days: float = Field(
        default=90, gt=0, description="How long closed incidents are kept, with all that is theirs."
    )
    keep_evidence_days: float = Field(
        default=30,
        gt=0,
        description="How long they keep the evidence that neither brief, ranking nor report cites.",
    )
    keep_alerts_days: float = Field(
        default=14, gt=0, description="How long alerts are kept that belong to no incident."
    )
    keep_journal_days: float = Field(
        default=0,
        ge=0,
        description="After how long rows of the journal go to files in the data folder, where its "
        "chain goes on; 0: never.",
    )
    keep_bytes: int = Field(
        default=20 * 2**30,
        ge=0,
        description="Most bytes of the store; where it has more, all is kept half as long, down to "
        "a day; 0: no limit.",
    )
    prune_every_s: float = Field(
        default=3600, ge=10, description="Seconds between two looks at what is too old."
    )
