"""`copilot notify`, `copilot looks` and `copilot mcp`: names, options and help."""

from typing import Annotated

import typer

from copilot.surfaces.cli_options import AsJson, call

notify_app = typer.Typer(no_args_is_help=True, help="Who is told of incidents, and by what.")


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


looks_app = typer.Typer(no_args_is_help=True, help="Further looks: MCP servers, JSON over HTTP.")

LookName = Annotated[str, typer.Argument(help="A look of the looks_file.")]


@looks_app.command("list")
def looks_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the declared looks, and ask each server whether they can be taken."""
    call(context, "looks_list", as_json=as_json)


@looks_app.command("pin")
def looks_pin(context: typer.Context, name: LookName) -> None:
    """Show the tool of a look as its server describes it now, and the hash to pin it by."""
    call(context, "looks_pin", name=name)


@looks_app.command("try")
def looks_try(
    context: typer.Context,
    name: LookName,
    service: Annotated[str, typer.Option(help="For {service}.")] = "",
    namespace: Annotated[str, typer.Option(help="For {namespace}.")] = "",
    as_json: AsJson = False,
) -> None:
    """Take one look at the last hour, and print what an incident would be told."""
    call(context, "looks_try", name=name, service=service, namespace=namespace, as_json=as_json)


def mcp(context: typer.Context) -> None:
    """Answer an assistant by the Model Context Protocol, on standard input and output."""
    call(context, "mcp")
