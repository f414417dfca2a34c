"""`copilot cause`, `record` and `learned`: names, options and help."""

from pathlib import Path
from typing import Annotated

import typer

from copilot.surfaces.cli_options import Lang, call

learned_app = typer.Typer(
    no_args_is_help=True, help="See what was learned from confirmed causes, or throw it away."
)


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
