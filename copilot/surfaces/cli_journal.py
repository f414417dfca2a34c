"""`copilot journal`: the chain verified, written out, and its head noted."""

from pathlib import Path
from typing import Annotated

import typer

from copilot.surfaces.cli_options import call as _call

journal_app = typer.Typer(no_args_is_help=True, help="Look at the hash-chained journal.")


@journal_app.command("verify")
def journal_verify(
    context: typer.Context,
    head: Annotated[Path | None, typer.Option(help="Heads noted elsewhere.")] = None,
) -> None:
    """Check the hash chain, and hold it against the heads that were noted."""
    _call(context, "journal_verify", head=head)


@journal_app.command("head")
def journal_head(context: typer.Context) -> None:
    """Print the signed head, to be kept elsewhere."""
    _call(context, "journal_head")


@journal_app.command("export")
def journal_export(
    context: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="File; empty: standard output.")] = None,
) -> None:
    """Write the journal as JSON lines."""
    _call(context, "journal_export", path=path)
