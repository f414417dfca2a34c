"""The numbered files, run by Alembic."""

from collections.abc import Iterable
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def run(connection: Connection, folder: Path) -> None:
    """Run those of `folder` that the database has not seen, inside the caller's transaction."""

    def steps(heads: Iterable[str], _context: MigrationContext) -> Iterable[MigrationStep]:
        scripts = ScriptDirectory(str(folder), version_locations=[str(folder)])
        found: Iterable[MigrationStep] = scripts._upgrade_revs("head", "".join(heads) or "base")
        return found

    context = MigrationContext.configure(connection, opts={"fn": steps})
    with Operations.context(context):
        context.run_migrations()
