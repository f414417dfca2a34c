"""`copilot db ...`: the options of the commands about the database."""

import typer

from copilot.surfaces.cli_options import call

db_app = typer.Typer(no_args_is_help=True, help="Check and upgrade the database.")


@db_app.command("check")
def db_check(context: typer.Context) -> None:
    """Say which schema version the database has; exit code 1 where it has to be upgraded."""
    call(context, "db_check")


@db_app.command("upgrade")
def db_upgrade(context: typer.Context) -> None:
    """Bring the database to the schema of this version; of SQLite a copy is kept beside it."""
    call(context, "db_upgrade")
