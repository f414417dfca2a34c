"""Notices whose words are found when they are due: escalations and digests."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the index by which they are looked for; nothing waited before."""
    waiting = sa.text("status = 'waiting'")
    op.create_index(
        "notices_waiting", "notices", ["due_at"], sqlite_where=waiting, postgresql_where=waiting
    )
