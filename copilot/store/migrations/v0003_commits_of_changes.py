"""Changes carry what has no column as a document, and commits have rows of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column and the table; a change of before has no document."""
    document = sa.Column("document", sa.Text, nullable=False, server_default=sa.text("''"))
    op.add_column("changes", document)
    op.create_table(
        "commits",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("commits_newest", "commits", ["at"])
