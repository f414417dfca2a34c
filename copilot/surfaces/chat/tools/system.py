"""changes, commit, topology: what was changed, which commit did it, and who calls whom."""

from pydantic import Field

from copilot.case.briefing import commit_lines, plain
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.times import moment
from copilot.surfaces.chat.tool_result import CitedItem, Statement, ToolResult, capped, noted, own
from copilot.surfaces.chat.tools.tool import MOST_ROWS, ServiceArguments, Tool, ToolArguments
from copilot.types.incident import Incident
from copilot.types.time_format import date_time, duration
from prompts import word
from tools.log_retriever import sanitize
from tools.topology_walker import blast_radius, downstream, upstream
from tools.types import Change, Finding, Subject, Window

DAY_S = 86_400.0


class ChangesArguments(ToolArguments):
    """Which changes."""

    before: str = Field(
        default="",
        max_length=60,
        description="Until this moment: 14:02, ISO 8601, 10 minutes ago; empty: now.",
    )
    service: str = Field(default="", max_length=200, description="Only of this service.")
    within_s: float = Field(
        default=DAY_S, gt=0, le=7 * DAY_S, description="How far back, in seconds."
    )


def changes(given: ChangesArguments, scope: ToolContext) -> ToolResult:
    """Changes until the moment, newest first, each with its distance from the onset."""
    end = moment(given.before, scope.now, scope.onset) if given.before else scope.now
    if end is None:
        return ToolResult(missing=(f"before: {given.before!r} names no moment; say it as 14:02",))
    window = Window(start=end - given.within_s, end=end)
    made = [
        one
        for one in scope.sources.changes.changes(window)
        if not given.service or one.service == given.service
    ]
    made.sort(key=lambda one: -one.at)
    if not made:
        return ToolResult(lead=(_none(given, window),))
    rows, more = capped([_row(one, scope) for one in made], MOST_ROWS)
    count, until = len(made), date_time(end)
    back = duration(given.within_s)
    fact = noted(
        given.service or "all",
        "changes",
        f"{count} changes in the {back} before {until}",
        end,
        source="changes",
        query=f"service={given.service or '*'}",
        figures={"count": float(count), "within_s": given.within_s},
    )
    plural = "change is" if count == 1 else "changes are"
    lead = Statement(
        f"{count} {plural} recorded in the {back} before {until}:",
        f"{until} 之前 {back} 内有 {count} 项变更:",
        (fact,),
    )
    return ToolResult(
        lead=(lead,), rows=rows, more=more, services=(given.service,) if given.service else ()
    )


def _none(given: ChangesArguments, window: Window) -> Statement:
    back, until = duration(given.within_s), date_time(window.end)
    return Statement(
        f"No change is recorded in the {back} before {until}.",
        f"{until} 之前 {back} 内没有变更记录。",
    )


def _row(change: Change, scope: ToolContext) -> Statement:
    known = _in_evidence(change, scope)
    cited: CitedItem = known if known is not None else _finding(change)
    step = f" {change.from_version} → {change.to_version}" if change.to_version else ""
    summary, author = plain(change.summary, 160), plain(change.author, 60)
    tail = f" ({summary})" if summary else ""
    by_en, by_zh = (f" by {author}", f",{author} 操作") if author else ("", "")
    away_en, away_zh = _distance(change, scope)
    return Statement(
        f"{date_time(change.at)} {change.service}: {word('change', change.kind, 'en')}"
        f"{step}{by_en}{away_en}{tail}.",
        f"{date_time(change.at)} {change.service}:{word('change', change.kind, 'zh')}"
        f"{step}{by_zh}{away_zh}{tail}。",
        (cited,),
    )


def _distance(change: Change, scope: ToolContext) -> tuple[str, str]:
    if scope.onset is None:
        return "", ""
    ago = scope.onset - change.at
    if ago >= 0:
        return f", {duration(ago)} before the onset", f",故障前 {duration(ago)}"
    return f", {duration(-ago)} after the onset", f",故障后 {duration(-ago)}"


def _in_evidence(change: Change, scope: ToolContext) -> CitedItem | None:
    """The change as evidence of the incident, so that it keeps its number."""
    items = scope.incident.evidence if scope.incident is not None else ()
    return next(
        (
            one
            for one in items
            if one.kind == "change" and one.subject == change.service and one.onset == change.at
        ),
        None,
    )


def _finding(change: Change) -> Finding:
    step = f" from {change.from_version} to {change.to_version}" if change.to_version else ""
    return Finding(
        kind="change",
        subject=change.service,
        name=change.kind,
        source="changes",
        query=f"service={change.service}",
        window=Window(start=change.at, end=change.at),
        onset=change.at,
        excerpt=sanitize(change.summary, 200) if change.summary else "",
        statement=f"{change.service}: {change.kind}{step} at {date_time(change.at)}.",
    )


def commit(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """The commit that did it, or those that were looked at and why they are innocent."""
    incident = scope.incident
    answer = incident.commit if incident is not None else None
    if incident is None or answer is None:
        return _authors(scope)
    told = [
        Statement(en, zh, (_said(incident, en),))
        for en, zh in zip(
            commit_lines(answer, "en", everything=True),
            commit_lines(answer, "zh", everything=True),
            strict=True,
        )
    ]
    first = Statement(f"Commit: {told[0].en}", f"提交:{told[0].zh}", told[0].cites)
    return ToolResult(lead=(first,), rows=tuple(told[1:]))


def _authors(scope: ToolContext) -> ToolResult:
    """Who made the last changes, as far as the source of changes tells it."""
    end = scope.now
    made = scope.sources.changes.changes(Window(start=end - DAY_S, end=end))
    known = [one for one in made if one.author]
    missing = ("commits: nobody told of any (docs/changes.md)",)
    if known:
        said = ", ".join(f"{plain(one.author, 60)} ({one.service})" for one in known[-3:])
        return ToolResult(lead=(Statement(f"Author: {said}.", f"作者:{said}。"),), missing=missing)
    return ToolResult(
        lead=(
            Statement(
                "Who did it is not known: the source of changes names no author.",
                "谁改的未知:变更数据源没有作者信息。",
            ),
        ),
        missing=missing,
    )


def _said(incident: Incident, line: str) -> Finding:
    query = f"incident={incident.id}"
    at = incident.updated_at
    return noted(incident.id, "commit", line, at, source="commits", query=query, excerpt=line)


SHOWN = 15


class ComponentArguments(ToolArguments):
    """One component of the service graph."""

    service: str = Field(min_length=1, max_length=200, description="Name of a service.")


def topology(given: ComponentArguments, scope: ToolContext) -> ToolResult:
    """Callers, callees and blast radius, nearest first."""
    graph, name = scope.topology, given.service
    if not graph.edges:
        return ToolResult(missing=("topology: not configured",))
    if name not in {end for edge in graph.edges for end in (edge.caller, edge.callee)}:
        return ToolResult(missing=(f"topology: {name} is not in the service graph",))
    touched = tuple(one for one in blast_radius(graph, name) if one != name)
    rows = (
        _listed(scope, name, "callers", upstream(graph, name), "Called by", "调用它的服务"),
        _listed(scope, name, "callees", downstream(graph, name), "Depends on", "它依赖的服务"),
    )
    lead = _listed(
        scope,
        name,
        "blast radius",
        touched,
        f"If {name} breaks, so may",
        f"若 {name} 故障,可能波及",
    )
    return ToolResult(lead=(lead,), rows=rows, services=(name,))


def _listed(
    scope: ToolContext, name: str, what: str, them: tuple[str, ...], en: str, zh: str
) -> Statement:
    shown = ", ".join(them[:SHOWN]) + (f" +{len(them) - SHOWN}" if len(them) > SHOWN else "")
    fact = noted(
        name,
        what,
        f"{what} of {name}: {shown or 'none known'}",
        scope.now,
        source="topology",
        query=f"component={name} {what}",
        kind="topology",
        figures={"count": float(len(them)), "more": float(max(0, len(them) - SHOWN))},
    )
    return Statement(f"{en}: {shown or 'none known'}.", f"{zh}:{shown or '未知'}。", (fact,))


def looks(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """What the looks that the operator declared tell of a service, or of what is suspected."""
    located = scope.incident.ranking.located if scope.incident is not None else None
    name = given.service or (located.component if located is not None else "")
    if not scope.sources.looks:
        return ToolResult(missing=("looks: none is declared (COPILOT_LOOKS_FILE)",))
    about = [Subject(kind="service", name=name)] if name else []
    told = scope.sources.further(scope.recent(), about)
    rows, more = capped([own(one) for one in told.findings], MOST_ROWS)
    return ToolResult(
        lead=rows[:1],
        rows=rows[1:],
        more=more,
        missing=told.missing,
        services=(name,) if name else (),
    )


TOOLS = (
    Tool(
        "looks",
        "What declared outside sources (MCP servers, JSON APIs) tell of a service; their words.",
        ServiceArguments,
        looks,
    ),
    Tool(
        "changes", "Deploys, configuration and scaling before a moment.", ChangesArguments, changes
    ),
    Tool(
        "commit", "Which commit did it, or why those looked at are innocent.", ToolArguments, commit
    ),
    Tool(
        "topology",
        "Callers, dependencies, blast radius of a service.",
        ComponentArguments,
        topology,
    ),
)
