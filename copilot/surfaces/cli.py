"""The command line: names, options and help. What a command does is in `copilot.surfaces.commands`.

Only this file is imported for `--help`: the state machine and the database are loaded by the
command that needs them.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from copilot import __version__
from copilot.surfaces.cli_db import db_app, journal_app
from copilot.surfaces.cli_decide import decide_app
from copilot.surfaces.cli_kb import cause, kb_app, learned_app, record
from copilot.surfaces.cli_notify import looks_app, mcp, notify_app
from copilot.surfaces.cli_options import AsJson, Flags, Lang
from copilot.surfaces.cli_options import call as _call
from copilot.surfaces.cli_people import login, tokens_app, users_app
from copilot.surfaces.cli_playbook import alerts_app, playbook_app, rehearse

app = typer.Typer(
    name="copilot",
    help="Incident copilot: instruments decide, a model explains, a person approves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(journal_app, name="journal")
app.add_typer(kb_app, name="kb")
app.add_typer(decide_app)
app.add_typer(db_app, name="db")
app.add_typer(learned_app, name="learned")
app.add_typer(notify_app, name="notify")
app.add_typer(looks_app, name="looks")
app.add_typer(users_app, name="users")
app.add_typer(tokens_app, name="tokens")
app.command()(login)
app.command()(cause)
app.command()(mcp)
app.command()(record)
app.add_typer(playbook_app, name="playbook")
app.command()(rehearse)
app.add_typer(alerts_app, name="alerts")

LogFormat = Literal["text", "json"]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def flags(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for database, checkpoints and locks.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(help="Address of a running service, where it is not the configured one."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and leave.")
    ] = False,
) -> None:
    """Options that every command takes."""
    context.obj = Flags(config, data_dir, server)


@app.command()
def demo(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="Which shipped incident; empty: the first.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Approve without asking.")] = False,
    console: Annotated[bool, typer.Option("--console", help="On a page; prints its link.")] = False,
    port: Annotated[int | None, typer.Option(help="Port of that page; 0: any free one.")] = None,
    lang: Lang = None,
) -> None:
    """Replay a shipped incident from its alerts to a verified recovery."""
    if console:
        _call(context, "demo_console", incident=incident, port=port, lang=lang)
    else:
        _call(context, "demo", incident=incident, yes=yes, lang=lang)


@app.command()
def investigate(
    context: typer.Context,
    what: Annotated[Path, typer.Argument(help="Incident bundle (folder) or alerts (JSON file).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the incident as JSON.")] = False,
    lang: Lang = None,
) -> None:
    """Investigate recorded or exported alerts and print the brief."""
    _call(context, "investigate", what=what, as_json=as_json, lang=lang)


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Recording to use as telemetry.")] = None,
    log_format: Annotated[LogFormat | None, typer.Option(help="Lines on stderr.")] = None,
    apart: Annotated[
        bool,
        typer.Option("--apart", help="API and intake only; `worker` and `watch` do the rest."),
    ] = False,
) -> None:
    """Take alerts by HTTP and work on incidents until stopped."""
    _call(context, "serve", host=host, port=port, bundle=bundle, log_format=log_format, apart=apart)


@app.command()
def worker(context: typer.Context) -> None:
    """Work on incidents beside `serve --apart` until stopped; as many as wanted (PostgreSQL)."""
    _call(context, "worker")


@app.command()
def watch(context: typer.Context) -> None:
    """Scan the series beside `serve --apart` until stopped; several share them (PostgreSQL)."""
    _call(context, "watch")


@app.command()
def incidents(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="One incident; empty: the newest.")] = "",
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    report: Annotated[bool, typer.Option("--report", help="The report, not the brief.")] = False,
    lang: Lang = None,
) -> None:
    """List incidents, newest first, or show one."""
    _call(
        context,
        "incidents",
        incident=incident,
        as_json=as_json,
        limit=limit,
        report=report,
        lang=lang,
    )


@app.command(name="status-update")
def status_update(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="Which incident; empty: the newest.")] = "",
    audience: Annotated[
        Literal["engineers", "customers"], typer.Option("--for", help="Who reads it.")
    ] = "engineers",
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Print what may be told of an incident now, to paste into a channel or a status page."""
    said = {"incident": incident, "audience": audience, "as_json": as_json}
    _call(context, "status_update", **said, lang=lang)


@app.command()
def chat(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="An incident; empty: the newest open one.")] = "",
    once: Annotated[str, typer.Option("--once", help="Answer this one question and leave.")] = "",
    conversation: Annotated[str, typer.Option(help="Go on with a conversation, by its id.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="With --once: print as JSON.")] = False,
    lang: Lang = None,
) -> None:
    """Ask about an incident; answered from evidence. It reads only, and approves nothing."""
    said = {"incident": incident, "once": once, "conversation": conversation, "as_json": as_json}
    _call(context, "chat", **said, lang=lang)


@app.command()
def postmortem(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="A closed incident.")],
    accept: Annotated[
        bool, typer.Option("--accept", help="Take it into the knowledge base, after a question.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the draft here, to be edited.")] = None,
    by: Annotated[str, typer.Option(help="Who accepts it.", envvar="USER")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="It was read; do not ask.")] = False,
    lang: Lang = None,
) -> None:
    """Draft the postmortem of a closed incident; once accepted, the next one like it recalls it."""
    _call(
        context, "postmortem", incident=incident, accept=accept, out=out, by=by, yes=yes, lang=lang
    )


@app.command(name="slice")
def slice_of(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(help="CSV with a header; may be packed by gzip.")],
    at: Annotated[str, typer.Option(help="The moment in question; empty: the last.")] = "",
    time: Annotated[str, typer.Option(help="Column of the moment; empty: by its name.")] = "",
    value: Annotated[str, typer.Option(help="Column of the amount.")] = "",
    count: Annotated[str, typer.Option(help="Column of what was tried: then a ratio.")] = "",
    by: Annotated[list[str] | None, typer.Option(help="Columns of attributes; all others.")] = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Find which attributes of a business metric are to blame for a change (isp, region, …)."""
    columns = {"time": time, "value": value, "count": count, "dimensions": tuple(by or ())}
    _call(context, "slice_of", table=table, at=at, columns=columns, as_json=as_json, lang=lang)


@app.command()
def forecast(
    context: typer.Context,
    bundle: Annotated[
        Path | None, typer.Argument(help="A recording; empty: what the settings name.")
    ] = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Say which resources will be full, when (with an interval), and what to do in time."""
    _call(context, "forecast", bundle=bundle, as_json=as_json, lang=lang)


@app.command()
def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Say what is configured, reachable or missing, and what to do."""
    _call(context, "doctor", as_json=as_json)


@app.command()
def graph(context: typer.Context) -> None:
    """Draw the state machine as Mermaid."""
    _call(context, "graph")


def main() -> None:
    """Entry point of the `copilot` command."""
    app()
