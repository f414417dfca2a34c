"""incident_summary, clocks, incidents: what is wrong, since when, and what else is open."""

from pydantic import Field

from copilot.case.briefing import plain, symptom
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import NO_INCIDENT, Statement, ToolResult, capped, noted, own
from copilot.surfaces.chat.tools.suspects import the_cause
from copilot.surfaces.chat.tools.tool import MOST_ROWS, Tool, ToolArguments
from copilot.types.incident import CLOSED, LIMITS_S, Incident, clock_lines
from copilot.types.time_format import date_time, duration
from prompts import word
from tools.types import Finding

RECENT_S = 3600.0


class IncidentListArguments(ToolArguments):
    """Which incidents."""

    open_only: bool = Field(default=False, description="Only those that are not closed.")


def incident_summary(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """Status, symptom, cause, changes just before, and what waits for a person."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    felt = symptom(list(incident.evidence), scope.topology)
    lead = [_status(incident)]
    if felt is not None:
        lead.append(own(felt))
    lead += the_cause(incident)
    onset = scope.onset or incident.opened_at
    changes = [
        own(item)
        for item in incident.evidence
        if item.kind == "change" and item.onset is not None and onset - item.onset <= RECENT_S
    ]
    waiting = [_waits(incident)] if incident.status == "awaiting_approval" else []
    return ToolResult(
        lead=tuple(lead + waiting), rows=tuple(changes[:4]), services=incident.services
    )


def clocks(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """Detected, located, recovered: seconds after the onset, against 1-5-10."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    onset = incident.clocks.onset
    if onset is None:
        return ToolResult(missing=("onset: not known yet",))
    fact = _clock_fact(incident, onset)
    began = _began_and_lasts(incident, onset, scope.now, fact)
    if not incident.clocks.measurable:
        return ToolResult(lead=(began, _not_measurable(incident, fact)))
    rows = []
    for line in clock_lines(incident.clocks):
        done = line.met is not None
        met_en = ("met" if line.met else "MISSED") if done else "still running"
        met_zh = ("达标" if line.met else "超时") if done else "仍在计时"
        after_en = f"{line.after} after the onset" if done else "not yet"
        after_zh = f"起始后 {line.after}" if done else "尚未"
        rows.append(
            Statement(
                f"{line.name}: {after_en} (limit {line.limit}, {met_en}).",
                f"{word('clock', line.name, 'zh')}:{after_zh}(限 {line.limit},{met_zh})。",
                (fact,),
            )
        )
    return ToolResult(lead=(began,), rows=tuple(rows))


def _began_and_lasts(incident: Incident, onset: float, now: float, fact: Finding) -> Statement:
    """When it began, by which measure, and until when or that it goes on."""
    by, by_zh = (
        ("the metrics show", "据指标")
        if incident.clocks.measured_from == "metrics"
        else ("its alerts say", "据告警")
    )
    ended = incident.clocks.recovered
    if ended is not None:
        took = duration(max(0.0, ended - onset))
        lasts, lasts_zh = f"it recovered after {took}", f"已恢复,历时 {took}"
    elif incident.status in CLOSED:
        lasts, lasts_zh = "it is closed, no recovery was measured", "已关闭,未测到恢复时刻"
    else:
        took = duration(max(0.0, now - onset))
        lasts, lasts_zh = f"still going on after {took}", f"仍在持续,已 {took}"
    return Statement(
        f"It began at {date_time(onset)}, as {by}; {lasts}.",
        f"故障始于 {date_time(onset)}({by_zh});{lasts_zh}。",
        (fact,),
    )


def _not_measurable(incident: Incident, fact: Finding) -> Statement:
    basis = incident.clocks.measured_from
    return Statement(
        f"1-5-10 is not measurable: {word('measured_from', basis, 'en')}.",
        f"1-5-10 无法衡量:{word('measured_from', basis, 'zh')}。",
        (fact,),
    )


def incidents(given: IncidentListArguments, scope: ToolContext) -> ToolResult:
    """The incidents that are stored, newest first."""
    listed = [
        one
        for one in scope.store.incidents.list(limit=200)
        if not given.open_only or one.status not in CLOSED
    ]
    if not listed:
        return NO_INCIDENT
    count = noted(
        "store",
        "incidents",
        f"{len(listed)} incidents are stored",
        scope.now,
        source="store",
        query="incidents",
        figures={"count": float(len(listed))},
    )
    lead = Statement(
        f"{len(listed)} incidents, newest first.", f"共 {len(listed)} 个事件,最新的在前。", (count,)
    )
    rows, more = capped([_listed(one) for one in listed], MOST_ROWS)
    return ToolResult(lead=(lead,), rows=rows, more=more)


def _status(incident: Incident) -> Statement:
    title, services = plain(incident.title, 160), ", ".join(incident.services[:6])
    said = f"{title}: {incident.status}, {incident.severity}"
    since = date_time(incident.clocks.onset or incident.opened_at)
    fact = noted(
        incident.id,
        "status",
        said,
        incident.updated_at,
        source="store",
        query=f"incident={incident.id}",
    )
    en_status, zh_status = (word("status", incident.status, lang) for lang in ("en", "zh"))
    return Statement(
        f"{title} ({incident.id}): {en_status}, severity {incident.severity}; "
        f"since {since}; services with alerts: {plain(services, 200) or 'none named'}.",
        f"{title}({incident.id}):{zh_status},级别 {incident.severity};始于 {since};"
        f"有告警的服务:{plain(services, 200) or '未指明'}。",
        (fact,),
    )


def _waits(incident: Incident) -> Statement:
    plan = incident.plan
    if plan is None:
        return Statement("A plan waits for an answer.", "有方案等待答复。")
    fact = noted(
        incident.id,
        "plan",
        f"plan {plan.id} waits: {plan.title}",
        plan.created_at,
        source="store",
        query=f"plan={plan.id}",
        excerpt=plan.title,
    )
    return Statement(
        f"A plan waits for a person: {plan.title} (risk {plan.risk}); ask for the plan to see it.",
        f"有方案等待批准:{plan.title_zh or plan.title}(风险 {plan.risk});可询问该方案。",
        (fact,),
    )


def _clock_fact(incident: Incident, onset: float) -> Finding:
    figures = {
        f"{name}_s": max(0.0, moment - onset)
        for name in LIMITS_S
        if (moment := getattr(incident.clocks, name)) is not None
    }
    said = ", ".join(f"{name[:-2]} {duration(value)}" for name, value in figures.items())
    limits = ", ".join(f"{name} {duration(limit)}" for name, limit in LIMITS_S.items())
    return noted(
        incident.id,
        "clocks",
        f"began {date_time(onset)}; {said or 'none stopped'}; limits: {limits}",
        onset,
        source="store",
        query=f"incident={incident.id} clocks",
        figures=figures,
    )


def _listed(incident: Incident) -> Statement:
    located = incident.ranking.located
    shown = "?" if located is None else located.component
    title = plain(incident.title, 120)
    fact = noted(
        incident.id,
        "incident",
        f"{title}: {incident.status}",
        incident.opened_at,
        source="store",
        query=f"incident={incident.id}",
    )
    opened = date_time(incident.opened_at)
    return Statement(
        f"{incident.id} {opened}: {title}, {word('status', incident.status, 'en')}, cause {shown}.",
        f"{incident.id} {opened}:{title},{word('status', incident.status, 'zh')},原因 {shown}。",
        (fact,),
    )


TOOLS = (
    Tool(
        "incident_summary",
        "What is wrong: status, symptom, located cause, changes just before, waiting plan.",
        ToolArguments,
        incident_summary,
    ),
    Tool(
        "clocks", "When it began, was detected, located, recovered (1-5-10).", ToolArguments, clocks
    ),
    Tool("incidents", "The stored incidents, newest first.", IncidentListArguments, incidents),
)
