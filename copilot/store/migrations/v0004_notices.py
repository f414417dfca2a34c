"""What is said of incidents to people's channels, and what those show of it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the three tables; nothing was said before."""
    op.create_table(
        "notices",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("incident_id", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("notices_incident", "notices", ["incident_id"])
    op.create_index("notices_newest", "notices", ["target", "created_at"])
    pending = sa.text("status = 'pending'")
    op.create_index(
        "notices_queue",
        "notices",
        ["target", "due_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_table(
        "notice_cards",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("incident_id", sa.Text, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
    )
    op.create_table(
        "notice_cursor",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
