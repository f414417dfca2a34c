"""The settings of what keeps the copilot safe; a part of `copilot.settings`, which reads them."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class SafetySettings(BaseSettings):
    """Keys, bounds, deadlines, and where the head of the journal is noted."""

    redaction_key: SecretStr | None = Field(
        default=None,
        description="Key by which a secret always gets the same token, so that silences and "
        "grouping hold; the same for all that share a database. Empty: `redaction.key` in the "
        "data folder, made at first use.",
    )
    max_body_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="Largest request body accepted."
    )
    max_alerts: int = Field(
        default=10_000, ge=1, description="Largest number of alerts accepted in one request."
    )
    telemetry_timeout_s: float = Field(
        default=20, gt=0, le=300, description="Longest wait for one answer of a telemetry server."
    )
    gather_s: float = Field(
        default=10,
        gt=0,
        le=300,
        description="Longest wait for all telemetry sources together, asked side by side; the "
        "brief says which did not answer.",
    )
    journal_key: Path | None = Field(
        default=None,
        description="File with the key that signs the journal's head; best where the database's "
        "owner cannot read it. Empty: `journal.key` in the data folder, made at first use.",
    )
    journal_anchor: str = Field(
        default="",
        description="Where the signed head is noted: a file that only grows, or an http(s) address "
        "that it is posted to; empty: nowhere.",
    )
    journal_anchor_every_s: float = Field(
        default=300, ge=10, description="Seconds between two such notes, where the head has moved."
    )
