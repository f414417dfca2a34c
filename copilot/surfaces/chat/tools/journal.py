"""timeline: what happened to the incident, by whom, from the journal."""

from pydantic import Field

from copilot.case.briefing import plain
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.times import moment
from copilot.surfaces.chat.tool_result import Statement, ToolResult, noted
from copilot.surfaces.chat.tools.tool import MOST_ROWS, Tool, ToolArguments
from copilot.types.incident import Event
from copilot.types.time_format import clock_time, date_time
from prompts import word


class JournalArguments(ToolArguments):
    """Which part of the journal."""

    before: str = Field(default="", max_length=40, description="Until this moment, as 14:02.")
    most: int = Field(default=MOST_ROWS, ge=1, le=MOST_ROWS, description="Rows, the newest.")


def timeline(given: JournalArguments, scope: ToolContext) -> ToolResult:
    """Rows of the journal in order; of a long one, the newest."""
    incident = scope.incident
    if incident is None:
        return ToolResult(missing=("incident: none is stored",))
    until = moment(given.before, scope.now, scope.onset) if given.before else None
    events = [
        event
        for event in scope.store.journal.events(incident.id, limit=10_000)
        if until is None or event.at <= until
    ]
    if not events:
        return ToolResult(missing=("journal: nothing is recorded of it by then",))
    onset = scope.onset
    shown = events[-given.most :]
    began = () if onset is None else (_began(incident.id, onset),)
    return ToolResult(lead=began, rows=tuple(map(_row, shown)), more=len(events) - len(shown))


def _began(incident_id: str, onset: float) -> Statement:
    fact = noted(
        incident_id,
        "onset",
        f"it began at {date_time(onset)}",
        onset,
        source="store",
        query=f"incident={incident_id} onset",
    )
    return Statement(
        f"It began at {date_time(onset)}; the journal says:",
        f"故障始于 {date_time(onset)};日志簿记录如下:",
        (fact,),
    )


def _row(event: Event) -> Statement:
    reason = plain(str(event.detail.get("reason", "")), 240)
    fact = noted(
        event.incident_id,
        f"journal {event.kind}",
        f"{event.kind} by {event.by}: {reason}",
        event.at,
        source="journal",
        query=f"row {event.seq}",
    )
    who = "" if event.by == "copilot" else f" ({plain(event.by, 60)})"
    tail = f": {reason}" if reason else "."
    return Statement(
        f"{clock_time(event.at)} {event.kind}{who}{tail}",
        f"{clock_time(event.at)} {word('event', event.kind, 'zh')}{who}{tail}",
        (fact,),
    )


TOOLS = (
    Tool("timeline", "What happened, by whom: the journal in order.", JournalArguments, timeline),
)
