"""logs, alerts: new messages and matching lines of a service; the alerts of the incident."""

from collections import defaultdict

from pydantic import Field

from copilot.case.briefing import plain
from copilot.store import StoredAlert
from copilot.surfaces.chat.scope import ToolContext, concerns
from copilot.surfaces.chat.tool_result import CitedItem, Statement, ToolResult, capped, noted, own
from copilot.surfaces.chat.tools.tool import ServiceArguments, Tool, ToolArguments
from copilot.types.time_format import clock_time, date_time, duration
from prompts import word
from tools.log_retriever import Index, Miner, excerpt, novelty
from tools.types import Finding, LogLine, SplitLog, Window

MOST_LINES = 200_000
"""Lines that are searched for one answer: the newest."""

SHOWN = 10

_NEWS = ("new_template", "requests_failed")
"""What an answer about new messages tells, where there is any."""


class LogSearchArguments(ToolArguments):
    """Which lines."""

    service: str = Field(default="", max_length=200, description="Only of this service.")
    query: str = Field(default="", max_length=300, description="Words that the line holds.")
    level: str = Field(default="", max_length=20, description="Only of this level, as error.")
    new_only: bool = Field(
        default=False, description="Messages that were not there before the onset."
    )


def logs(given: LogSearchArguments, scope: ToolContext) -> ToolResult:
    """New messages, or the lines that match, newest first."""
    window = scope.recent()
    log = scope.sources.whole_log(window) if given.new_only else scope.sources.recent_log(window)
    about_it = [line for line in log if not given.service or line.service == given.service]
    lines = [line for line in about_it if line.at in window][-MOST_LINES:]
    if not lines:
        if given.service:
            return ToolResult(missing=(f"logs: no line of {given.service} in the last while",))
        return ToolResult(missing=("logs: no line in the last while",))
    if not given.new_only and given.level and not given.query:
        return _by_message(given, lines, window)
    if not given.new_only:
        return _matching(given, lines, window)
    split = SplitLog(tuple(about_it[-MOST_LINES:]), scope.normal_before(), log.gaps)
    return _new(given, scope, split)


def alerts(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """The alerts of the incident, or those that belong to none."""
    incident = scope.incident
    stored = scope.store.alerts.decisions(None if incident is None else incident.id, limit=500)
    found = [one for one in stored if not given.service or one.alert.service == given.service]
    if not found:
        return ToolResult(missing=("alerts: none is stored that fits",))
    firing = sum(one.alert.status == "firing" for one in found)
    names = dict.fromkeys(one.alert.service for one in found if one.alert.service)
    fact = noted(
        incident.id if incident else "alerts",
        "alerts",
        f"{len(found)} alerts, {firing} firing, on {len(names)} services",
        scope.now,
        source="store",
        query="alerts",
        kind="alert",
        figures={
            "count": float(len(found)),
            "firing": float(firing),
            "services": float(len(names)),
        },
    )
    shown = plain(", ".join(list(names)[:6]), 200) or "–"
    lead = Statement(
        f"{len(found)} alerts, {firing} of them firing, on {shown}.",
        f"共 {len(found)} 条告警,其中 {firing} 条仍在触发,涉及 {shown}。",
        (fact,),
    )
    rows, more = capped([_alert(one, scope) for one in found], SHOWN + 2)
    return ToolResult(lead=(lead,), rows=rows, more=more, services=tuple(names)[:6])


def _new(given: LogSearchArguments, scope: ToolContext, log: SplitLog) -> ToolResult:
    lines, findings = log.lines, novelty(log)
    findings = [one for one in findings if one.name in _NEWS] or findings
    if not findings:
        about = given.service or "any service"
        nothing = Statement(
            f"No new message: {len(lines)} lines of {about} were compared, before and since.",
            f"没有新日志:已比较 {given.service or '各服务'} 的 {len(lines)} 行日志。",
        )
        return ToolResult(lead=(nothing,))
    rows, more = capped([own(_known(one, scope)) for one in findings], SHOWN)
    names = dict.fromkeys(one.subject for one in findings)
    lead = _how_many(len(findings), given.service, log.onset)
    return ToolResult(lead=(lead,), rows=rows, more=more, services=tuple(names)[:4])


def _how_many(count: int, service: str, onset: float) -> Statement:
    since = date_time(onset)
    fact = noted(
        service or "logs",
        "new messages",
        f"{count} kinds of messages are new since {since}",
        onset,
        source="logs",
        query=f"service={service or '*'} new",
        kind="log",
        figures={"count": float(count)},
    )
    return Statement(
        f"{count} kinds of messages are new since {since}, the most telling first:",
        f"自 {since} 起新出现 {count} 类日志,最有意义的在前:",
        (fact,),
    )


def _known(finding: Finding, scope: ToolContext) -> CitedItem:
    """The finding as evidence of the incident where it is the same, so that it keeps its number."""
    items = scope.incident.evidence if scope.incident is not None else ()
    return next((one for one in items if _same(one, finding)), finding)


def _same(one: Finding, other: Finding) -> bool:
    return (one.kind, one.subject, one.name, one.query) == (
        other.kind,
        other.subject,
        other.name,
        other.query,
    )


MOST_MESSAGES = 6


def _by_message(given: LogSearchArguments, lines: list[LogLine], window: Window) -> ToolResult:
    """The lines of a level by what they say, each with its count, its last time and an excerpt."""
    level = _LEVELS.get(given.level.lower(), given.level.lower())
    fitting = [one for one in lines if one.level.lower().startswith(level)]
    if not fitting:
        return _matching(given, lines, window)
    miner = Miner()
    kinds: dict[str, list[LogLine]] = defaultdict(list)
    for line in fitting:
        kinds[miner.add_content(line.message).template_id].append(line)
    groups = sorted(kinds.values(), key=lambda group: -len(group))
    about = given.service or "all services"
    named = plain(given.level.upper(), 12)
    fact = noted(
        about,
        "lines",
        f"{len(fitting)} {named} lines of {about} of {len(groups)} kinds",
        window.end,
        source="logs",
        query=f"service={given.service or '*'} level={given.level}",
        kind="log",
        figures={"lines": float(len(fitting)), "kinds": float(len(groups))},
    )
    back = duration(window.end - window.start)
    whose = given.service or "所有服务"
    lead = Statement(
        f"{about}: {len(fitting)} {named} lines of {len(groups)} kinds in the last {back}:",
        f"{whose}:最近 {back} 内有 {len(fitting)} 行 {named},共 {len(groups)} 类:",
        (fact,),
    )
    rows, more = capped([_group(group) for group in groups], MOST_MESSAGES)
    services = (given.service,) if given.service else ()
    return ToolResult(lead=(lead,), rows=rows, more=more, services=services)


_LEVELS = {"warning": "warn", "errors": "error"}


def _group(group: list[LogLine]) -> Statement:
    last = group[-1]
    said, at = plain(excerpt(last.message, limit=160), 180), clock_time(last.at)
    fact = Finding(
        kind="log",
        subject=last.service,
        name="message",
        source="logs",
        query=plain(f"service={last.service} level={last.level}", 160),
        window=Window(start=group[0].at, end=last.at),
        figures={"count": float(len(group))},
        excerpt=said,
        statement=f"{last.service} logged it {len(group)} times, the last at {at}: “{said}”",
    )
    return Statement(
        f"{len(group)} times, last {at} {last.service}: “{said}”",
        f"{len(group)} 次,最近 {at} {last.service}:“{said}”",
        (fact,),
    )


def _matching(given: LogSearchArguments, lines: list[LogLine], window: Window) -> ToolResult:
    index = Index()
    try:
        index.add(lines)
        hits = index.search(given.query.replace("…", " "), level=given.level or None, limit=SHOWN)
    finally:
        index.close()
    asked = " ".join(part for part in (given.level, given.query, given.service) if part) or "*"
    shown = plain(asked, 120)
    if not hits:
        nothing = Statement(
            f"No line of {len(lines)} matches “{shown}”.",
            f"{len(lines)} 行日志中没有匹配“{shown}”的行。",
        )
        return ToolResult(lead=(nothing,))
    rows = [_line(hit.line, asked) for hit in hits]
    return ToolResult(rows=tuple(rows), services=(given.service,) if given.service else ())


def _line(line: LogLine, asked: str) -> Statement:
    said = plain(excerpt(line.message, limit=200), 220)
    level = plain(line.level, 12)
    fact = Finding(
        kind="log",
        subject=line.service,
        name="line",
        source="logs",
        query=plain(asked, 160),
        window=Window(start=line.at, end=line.at),
        excerpt=said,
        statement=f"{line.service} {level} at {clock_time(line.at)}: “{said}”",
    )
    text = f"{clock_time(line.at)} {line.service} {level}: “{said}”"
    return Statement(text, text, (fact,))


def _alert(stored: StoredAlert, scope: ToolContext) -> Statement:
    alert = stored.alert
    items = scope.incident.evidence if scope.incident is not None else ()
    known = next(
        (one for one in items if one.kind == "alert" and concerns(one.subject, alert.service)), None
    )
    name, service = plain(alert.name, 100), plain(alert.service, 80) or "–"
    cited: CitedItem = known or noted(
        service,
        "alert",
        f"{name}: {alert.severity}, {alert.status} since {date_time(alert.starts_at)}",
        alert.starts_at,
        source="store",
        query=f"alert={alert.fingerprint[:40]}",
        kind="alert",
    )
    at = clock_time(alert.starts_at)
    return Statement(
        f"{at} {service}: {name}, {alert.severity}, {alert.status}.",
        f"{at} {service}:{name},{alert.severity},{word('alert', alert.status, 'zh')}。",
        (cited,),
    )


TOOLS = (
    Tool("logs", "New messages of a service, or lines that hold words.", LogSearchArguments, logs),
    Tool("alerts", "Alerts of the incident: name, service, since when.", ServiceArguments, alerts),
)
