"""`copilot playbook ...` and `copilot alerts ...`: their options."""

from pathlib import Path
from typing import Annotated

import typer

from copilot.surfaces.cli_options import AsJson, Lang, call

playbook_app = typer.Typer(no_args_is_help=True, help="Look at playbooks, and run one by hand.")
alerts_app = typer.Typer(no_args_is_help=True, help="See how alerts are read; nothing is kept.")

PlaybookId = Annotated[str, typer.Argument(metavar="ID", help="Playbook; see `playbook list`.")]
Component = Annotated[str, typer.Argument(help="What the plan acts on.")]
ParameterOptions = Annotated[
    list[str] | None, typer.Option("--set", help="Parameter, as name=value.")
]


@playbook_app.command("list")
def playbook_list(context: typer.Context, as_json: AsJson = False, lang: Lang = None) -> None:
    """The catalogue: risk, the faults each is for, its title."""
    call(context, "playbook_list", as_json=as_json, lang=lang)


@playbook_app.command("show")
def playbook_show(
    context: typer.Context,
    playbook: PlaybookId,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
    lang: Lang = None,
) -> None:
    """Print the card: when, risk, who agrees, how long, how verified and undone, what to watch."""
    call(context, "playbook_show", playbook=playbook, as_json=as_json, lang=lang)


@playbook_app.command("validate")
def playbook_validate(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None, typer.Argument(help="YAML files; none: the catalogue.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check playbook files as strictly as the catalogue's; says file, line and what is wrong."""
    call(context, "playbook_validate", paths=paths or [], as_json=as_json)


@playbook_app.command("import")
def playbook_import(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Runbook (.md) or Ansible playbook (.yml).")],
) -> None:
    """Print a draft playbook; it cannot run before every FILL-IN of it is replaced by a person."""
    call(context, "playbook_import", file=file)


@playbook_app.command("render")
def playbook_render(
    context: typer.Context,
    playbook: PlaybookId,
    component: Component,
    given: ParameterOptions = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Fill a playbook and show the plan as an approver would see it; nothing is run."""
    call(
        context,
        "playbook_render",
        playbook=playbook,
        component=component,
        given=given or [],
        as_json=as_json,
        lang=lang,
    )


@playbook_app.command("run")
def playbook_run(
    context: typer.Context,
    playbook: PlaybookId,
    component: Component,
    given: ParameterOptions = None,
    known: Annotated[
        list[str] | None,
        typer.Option("--fact", help="What no source can tell of the component, as name=value."),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Who approves; twice for class C. The first fills in.", envvar="USER"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="The plan was read; do not ask.")] = False,
    lang: Lang = None,
) -> None:
    """Fill a playbook by hand, show it, ask, and run it; a dry run unless a runner is wired."""
    call(
        context,
        "playbook_run",
        playbook=playbook,
        component=component,
        given=given or [],
        known=known or [],
        by=by or [],
        yes=yes,
        lang=lang,
    )


def rehearse(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Playbook, or incident; empty: those of the runners file.")
    ] = "",
    component: Annotated[str, typer.Argument(help="What the playbook would act on.")] = "",
    given: ParameterOptions = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Read what a plan would meet now and what would be refused; exit code 1 if anything would."""
    call(
        context,
        "rehearse",
        name=name,
        component=component,
        given=given or [],
        as_json=as_json,
        lang=lang,
    )


@alerts_app.command("explain")
def alerts_explain(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Webhook body or dump (JSON); -: standard input.")],
    kind: Annotated[
        str, typer.Option("--format", help="Sender, as its route names it; empty: recognised.")
    ] = "",
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Print sender, state, severity, subject and times of each alert, and why."""
    call(context, "alerts_explain", file=file, kind=kind, as_json=as_json, lang=lang)


@alerts_app.command("severities")
def alerts_severities(context: typer.Context, as_json: AsJson = False, lang: Lang = None) -> None:
    """Print which words of which sender mean which severity and which state."""
    call(context, "alerts_severities", as_json=as_json, lang=lang)
