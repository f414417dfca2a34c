"""`copilot db ...` and `copilot journal ...`: their options."""

from pathlib import Path
from typing import Annotated

import typer

from copilot.surfaces.cli_options import AsJson, call

journal_app = typer.Typer(no_args_is_help=True, help="Look at the hash-chained journal.")
db_app = typer.Typer(
    no_args_is_help=True, help="Check, upgrade, prune, back up and restore the database."
)


@db_app.command("check")
def db_check(context: typer.Context, as_json: AsJson = False) -> None:
    """Say which schema version the database has; exit code 1 where it has to be upgraded."""
    call(context, "db_check", as_json=as_json)


@db_app.command("upgrade")
def db_upgrade(context: typer.Context) -> None:
    """Bring the database to the schema of this version; of SQLite a copy is kept beside it."""
    call(context, "db_upgrade")


@db_app.command("prune")
def db_prune(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Give all free room back to the disk; writes wait.")
    ] = False,
) -> None:
    """Take out what is older than the settings keep; `serve` does so every hour."""
    call(context, "db_prune", dry_run=dry_run, vacuum=vacuum)


@db_app.command("backup")
def db_backup(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
) -> None:
    """Write store, checkpoints and knowledge to one file; the service may go on meanwhile."""
    call(context, "db_backup", path=path)


@db_app.command("restore")
def db_restore(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="File that `copilot db backup` wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Replace what is there.")] = False,
) -> None:
    """Put a backup in place; the service must be stopped. What was there is kept beside it."""
    call(context, "db_restore", path=path, yes=yes)


@journal_app.command("verify")
def journal_verify(
    context: typer.Context,
    head: Annotated[Path | None, typer.Option(help="Heads noted elsewhere.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check the hash chain, and hold it against the heads that were noted."""
    call(context, "journal_verify", head=head, as_json=as_json)


@journal_app.command("head")
def journal_head(context: typer.Context) -> None:
    """Print the signed head, to be kept elsewhere."""
    call(context, "journal_head")


@journal_app.command("export")
def journal_export(
    context: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="File; empty: standard output.")] = None,
) -> None:
    """Write the journal as JSON lines."""
    call(context, "journal_export", path=path)
