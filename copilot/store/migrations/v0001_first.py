"""The tables as they were before migrations; makes those that a database of then may lack."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

_SERIAL = {
    "sqlite": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGSERIAL NOT NULL PRIMARY KEY",
}


def upgrade() -> None:
    """Create what is missing; tables were added to version 1 as the program grew."""
    text = Path(__file__).with_name("schema_1.sql").read_text(encoding="utf-8")
    for kind in ("TABLE", "INDEX"):
        text = text.replace(f"CREATE {kind} ", f"CREATE {kind} IF NOT EXISTS ")
    text = text.replace("UNIQUE INDEX ", "UNIQUE INDEX IF NOT EXISTS ")
    for statement in text.format(serial=_SERIAL[op.get_bind().dialect.name]).split(";\n"):
        if statement.strip():
            op.execute(statement)
