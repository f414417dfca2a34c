"""The commands by which people decide: on a plan, on a step, on what is stopped or set aside."""

from typing import Annotated

import typer

from copilot.surfaces.cli_options import AsJson
from copilot.surfaces.cli_options import call as _call

decide_app = typer.Typer()


@decide_app.command()
def approve(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(metavar="ID", help="Plan or incident.")],
    by: Annotated[str, typer.Option(help="Who approves.", envvar="USER")] = "",
    digest: Annotated[
        str, typer.Option(help="The digest that was shown; asked for where it is missing.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="The plan was read; do not ask.")] = False,
) -> None:
    """Approve a plan by its digest and run it."""
    _call(context, "approve", plan=plan, by=by, digest=digest, yes=yes)


@decide_app.command()
def reject(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(metavar="ID", help="Plan or incident.")],
    reason: Annotated[str, typer.Option(help="Why; the next plan heeds it.")],
    by: Annotated[str, typer.Option(help="Who rejects.", envvar="USER")] = "",
) -> None:
    """Reject a plan with a reason."""
    _call(context, "reject", plan=plan, by=by, reason=reason)


@decide_app.command()
def edit(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(metavar="ID", help="Plan or incident.")],
    given: Annotated[
        list[str] | None, typer.Option("--set", help="A value, as name=value.")
    ] = None,
    playbook: Annotated[
        str, typer.Option(help="Take the other way that the plan shows: its playbook.")
    ] = "",
    by: Annotated[str, typer.Option(help="Who edits.", envvar="USER")] = "",
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "",
) -> None:
    """Change values of a waiting plan, or take the other way; it has to be approved anew."""
    told = {"given": given or (), "playbook": playbook, "by": by, "reason": reason}
    _call(context, "edit", plan=plan, **told)


@decide_app.command()
def step(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="The incident that asks.")],
    ran: Annotated[
        bool, typer.Option("--ran/--not-ran", help="Whether its target shows that it ran.")
    ],
    by: Annotated[str, typer.Option(help="Who says so.", envvar="USER")] = "",
    reason: Annotated[str, typer.Option(help="How you know, for the journal.")] = "",
) -> None:
    """Say whether a step ran whose end nobody saw; its plan then goes on."""
    _call(context, "step", incident=incident, ran=ran, by=by, reason=reason)


@decide_app.command()
def retry(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="A failed incident.")],
    by: Annotated[str, typer.Option(help="Who wants it.", envvar="USER")] = "",
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "",
) -> None:
    """Work again on an incident whose run was set aside, from where it stood."""
    _call(context, "retry", incident=incident, by=by, reason=reason)


Incident = Annotated[str, typer.Argument(help="The incident.")]
By = Annotated[str, typer.Option(help="Who says so.", envvar="USER")]


@decide_app.command()
def take(
    context: typer.Context,
    incident: Incident,
    by: By = "",
    text: Annotated[str, typer.Option(help="For the others.")] = "",
) -> None:
    """Say that you work on an incident."""
    _call(context, "on_call", incident=incident, action="take", by=by, to="", text=text)


@decide_app.command()
def handover(
    context: typer.Context,
    incident: Incident,
    to: Annotated[str, typer.Option(help="Who takes it from here; else who is on call.")] = "",
    by: By = "",
    text: Annotated[str, typer.Option(help="What they should know.")] = "",
) -> None:
    """Hand an incident over."""
    _call(context, "on_call", incident=incident, action="hand_over", by=by, to=to, text=text)


@decide_app.command()
def note(
    context: typer.Context,
    incident: Incident,
    text: Annotated[str, typer.Argument(help="The note.")],
    by: By = "",
) -> None:
    """Write a note into the timeline of an incident."""
    _call(context, "on_call", incident=incident, action="note", by=by, to="", text=text)


@decide_app.command()
def resolve(
    context: typer.Context,
    incident: Incident,
    by: By = "",
    text: Annotated[str, typer.Option(help="How it ended.")] = "",
) -> None:
    """Close an incident on which only people still worked."""
    _call(context, "on_call", incident=incident, action="resolve", by=by, to="", text=text)


@decide_app.command()
def merge(
    context: typer.Context,
    incident: Incident,
    into: Annotated[str, typer.Option(help="The incident that it is part of.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in both timelines.")],
    by: By = "",
) -> None:
    """Close an incident into another one, with its alerts and those that follow."""
    _call(context, "merge", incident=incident, into=into, by=by, reason=reason)


@decide_app.command()
def split(
    context: typer.Context,
    incident: Incident,
    alert: Annotated[
        list[int], typer.Option(help="Key of an alert; GET /incidents/ID/alerts lists them.")
    ],
    reason: Annotated[str, typer.Option(help="Why; it stands in both timelines.")],
    by: By = "",
) -> None:
    """Open an incident with some alerts of another one, to be investigated anew."""
    _call(context, "split", incident=incident, alerts=alert, by=by, reason=reason)


@decide_app.command()
def oncall(context: typer.Context, as_json: AsJson = False) -> None:
    """Say who is on call now, by every schedule of COPILOT_ON_CALL_FILE."""
    _call(context, "who_is_on_call", as_json=as_json)


@decide_app.command()
def stop(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why; everybody is told.")],
    by: Annotated[str, typer.Option(help="Who stops.", envvar="USER")] = "",
) -> None:
    """Emergency stop: no step of any plan is run until `resume`."""
    _call(context, "stop", by=by, reason=reason)


@decide_app.command()
def resume(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="Who lifts the stop.", envvar="USER")] = "",
) -> None:
    """Lift the emergency stop."""
    _call(context, "resume", by=by)
