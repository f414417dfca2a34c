"""People with accounts, tokens of programs, sessions, and sign-ins on their way."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the four tables; nobody had an account before."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("identity", sa.Text, nullable=True, unique=True),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "access_tokens",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("used_at", sa.Double, nullable=True),
        sa.Column("revoked_at", sa.Double, nullable=True),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "person_sessions",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("person_sessions_seen", "person_sessions", ["seen_at"])
    op.create_table(
        "sign_ins",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("ends_at", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
