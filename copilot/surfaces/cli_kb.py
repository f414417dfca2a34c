"""`copilot kb ...`, `cause`, `record` and `learned`: what is known, and what was learned here."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from copilot.surfaces.cli_options import Lang, call

kb_app = typer.Typer(no_args_is_help=True, help="Search, read and keep runbooks and postmortems.")
learned_app = typer.Typer(
    no_args_is_help=True, help="See what was learned from confirmed causes, or throw it away."
)

DocumentKind = Literal["runbook", "postmortem", "note"]


@kb_app.command("search")
def kb_search(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="Symptom, error or name, in any words.")],
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    lang: Lang = None,
) -> None:
    """Find the runbooks and postmortems that answer; says so where none does."""
    call(context, "kb_search", question=question, limit=limit, as_json=as_json, lang=lang)


@kb_app.command("show")
def kb_show(
    context: typer.Context,
    document: Annotated[str, typer.Argument(metavar="ID", help="As search, chat or a brief says.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    lang: Lang = None,
) -> None:
    """Print one document whole; needs no model and no index."""
    call(context, "kb_show", document=document, as_json=as_json, lang=lang)


@kb_app.command("index")
def kb_index(
    context: typer.Context,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Throw the index away first.")] = False,
) -> None:
    """Embed what is new or changed, for search by meaning; goes on where it was interrupted."""
    call(context, "kb_index", rebuild=rebuild)


@kb_app.command("list")
def kb_list(
    context: typer.Context,
    kind: Annotated[DocumentKind | None, typer.Option(help="Only this kind.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    lang: Lang = None,
) -> None:
    """List every document with its trust and the causes it is about."""
    call(context, "kb_list", kind=kind, as_json=as_json, lang=lang)


@kb_app.command("add")
def kb_add(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Markdown files with front matter.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace one of the same id.")] = False,
) -> None:
    """Check documents and take them into the knowledge base."""
    call(context, "kb_add", files=files, replace=replace)


@kb_app.command("remove")
def kb_remove(
    context: typer.Context,
    document: Annotated[str, typer.Argument(metavar="ID", help="A document that was added.")],
) -> None:
    """Take an added document out again; shipped ones stay."""
    call(context, "kb_remove", document=document)


@learned_app.command("show")
def learned_show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    lang: Lang = None,
) -> None:
    """Which incidents taught what, and how the chances are calibrated here."""
    call(context, "learned_show", as_json=as_json, lang=lang)


@learned_app.command("reset")
def learned_reset(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="Who says so.", envvar="USER")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Throw away what was learned; confirmed causes stay confirmed."""
    call(context, "learned_reset", by=by, yes=yes)


def cause(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="A closed incident.")],
    component: Annotated[str, typer.Argument(help="What was at fault; empty: show it.")] = "",
    kind: Annotated[str, typer.Argument(help="The kind of fault, e.g. pool_exhaustion.")] = "",
    by: Annotated[str, typer.Option(help="Who says it.", envvar="USER")] = "",
    note: Annotated[str, typer.Option(help="Why, for the journal.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="The incident has not heard of it, and yet.")
    ] = False,
    close: Annotated[
        bool, typer.Option("--close", help="Also end an incident that was handed over or failed.")
    ] = False,
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Nobody knows after all; nothing is learned of it.")
    ] = False,
    lang: Lang = None,
) -> None:
    """Say what the cause was, once it is over; the copilot learns from it (docs/learning.md)."""
    call(
        context,
        "cause",
        incident=incident,
        component=component,
        kind=kind,
        by=by,
        note=note,
        force=force,
        close=close,
        take_back=take_back,
        lang=lang,
    )


def record(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="A closed incident.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A bundle set; made where missing.")],
    cause: Annotated[str, typer.Option(help="What was at fault.")] = "",
    kind: Annotated[str, typer.Option(help="The kind of fault.")] = "",
    by: Annotated[str, typer.Option(help="Who says so.", envvar="USER")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="The incident has not heard of it, and yet.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="It was confirmed; do not ask.")] = False,
    system: Annotated[str, typer.Option(help="What the incidents of this site are.")] = "site",
    lang: Lang = None,
) -> None:
    """Turn a closed incident into a redacted recording with its answer, to be replayed."""
    call(
        context,
        "record",
        incident=incident,
        out=out,
        cause=cause,
        kind=kind,
        by=by,
        force=force,
        yes=yes,
        system=system,
        lang=lang,
    )
