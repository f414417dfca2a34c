"""`copilot notify`: names, options and help."""

from typing import Annotated

import typer

from copilot.surfaces.cli_options import call

notify_app = typer.Typer(no_args_is_help=True, help="Who is told of incidents, and by what.")

AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@notify_app.command("test")
def notify_test(
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="A target of the notify_file.")],
) -> None:
    """Send a message that says it is a test; exit code 1 where the channel refuses it."""
    call(context, "notify_test", target=target)


@notify_app.command("explain")
def notify_explain(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="An incident.")],
    as_json: AsJson = False,
) -> None:
    """Say who was told of an incident, when and by which route, and who was not and why."""
    call(context, "notify_explain", incident=incident, as_json=as_json)
