"""`copilot kb ...`: the options of the commands about runbooks and postmortems."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from copilot.surfaces.cli_options import Lang, call

kb_app = typer.Typer(no_args_is_help=True, help="Search, read and keep runbooks and postmortems.")

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
