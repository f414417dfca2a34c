"""Runs have a due time and a priority, people confirm causes, the journal goes to archives."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and tables; rows of before keep their meaning by the defaults."""
    for name, kind, default in (
        ("due_at", sa.Double(), "0"),
        ("place", sa.Text(), "''"),
        ("priority", sa.Integer(), "0"),
    ):
        column = sa.Column(name, kind, nullable=False, server_default=sa.text(default))
        op.add_column("runs", column)
    op.drop_index("runs_queue", "runs")
    op.create_index("runs_queue", "runs", ["status", "priority", "created_at"])
    op.create_table(
        "causes",
        sa.Column("incident_id", sa.Text, primary_key=True),
        sa.Column("component", sa.Text, nullable=False),
        sa.Column("fault_kind", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("lesson", sa.Text, nullable=False),
        sa.Column("forgotten", sa.Integer, nullable=False),
    )
    op.create_table(
        "journal_archives",
        sa.Column("last_seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
