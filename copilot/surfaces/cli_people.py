"""The commands for accounts of people and tokens of programs."""

from typing import Annotated, Literal

import typer

from copilot.surfaces.cli_options import AsJson
from copilot.surfaces.cli_options import call as _call

users_app = typer.Typer(help="Accounts of people.", no_args_is_help=True)
tokens_app = typer.Typer(help="Tokens of programs.", no_args_is_help=True)

# Said again, not imported: `--help` loads nothing that the commands need.
Role = Literal["viewer", "responder", "approver", "admin"]

Name = Annotated[str, typer.Argument(help="Who; the name stands in the journal and stays.")]
Risks = Annotated[
    list[str] | None, typer.Option("--risk", help="Classes (A, B, C) they approve; empty: all.")
]
Services = Annotated[
    list[str] | None,
    typer.Option("--service", help="Services an approver approves for, as a pattern (shop-*)."),
]
Namespaces = Annotated[
    list[str] | None, typer.Option("--namespace", help="Namespaces, as a pattern.")
]


def login(context: typer.Context) -> None:
    """Act in your name on this command line: agree to a code on the console."""
    _call(context, "login")


@users_app.command("add")
def users_add(
    context: typer.Context,
    name: Name,
    role: Annotated[Role, typer.Option(help="What they may; each may what the ones before may.")],
    risks: Risks = None,
    services: Services = None,
    namespaces: Namespaces = None,
) -> None:
    """Make an account; asks for its password, or reads it as a line of standard input."""
    scope = {"risks": risks or (), "services": services or (), "namespaces": namespaces or ()}
    _call(context, "users_add", name=name, role=role, **scope)


@users_app.command("set")
def users_set(
    context: typer.Context,
    name: Name,
    role: Annotated[Role | None, typer.Option(help="The new role.")] = None,
    risks: Risks = None,
    services: Services = None,
    namespaces: Namespaces = None,
) -> None:
    """Change what somebody may do."""
    scope = {"risks": risks or (), "services": services or (), "namespaces": namespaces or ()}
    _call(context, "users_set", name=name, role=role, **scope)


@users_app.command("list")
def users_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the accounts and what each may do."""
    _call(context, "users_list", as_json=as_json)


@users_app.command("disable")
def users_disable(context: typer.Context, name: Name) -> None:
    """Let somebody in no more; their sessions and logins end at once."""
    _call(context, "users_disable", name=name)


@users_app.command("enable")
def users_enable(context: typer.Context, name: Name) -> None:
    """Let somebody in again."""
    _call(context, "users_enable", name=name)


@users_app.command("passwd")
def users_passwd(context: typer.Context, name: Name) -> None:
    """Set a password; sessions and logins made with the old one end at once."""
    _call(context, "users_passwd", name=name)


@tokens_app.command("add")
def tokens_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="For which program.")],
    scopes: Annotated[
        list[str] | None, typer.Option("--scope", help="alerts, read or chat; once or more.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0.01, help="Valid so long; else for good.")] = (
        None
    ),
) -> None:
    """Make a token and print it, once. No token of a program decides anything."""
    _call(context, "tokens_add", name=name, scopes=scopes or (), days=days)


@tokens_app.command("list")
def tokens_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the tokens: for whom, what each may, when it was last used."""
    _call(context, "tokens_list", as_json=as_json)


@tokens_app.command("revoke")
def tokens_revoke(
    context: typer.Context, token: Annotated[str, typer.Argument(help="Its id, as listed.")]
) -> None:
    """End a token; requests with it are refused within a second."""
    _call(context, "tokens_revoke", token=token)
