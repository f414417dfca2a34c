"""timeline, compare: what happened to the incident, and in the most alike one before it."""

import re
from collections.abc import Sequence
from typing import get_args

from pydantic import Field

from copilot.case.briefing import plain
from copilot.case.confirming import open_by_hand
from copilot.case.reporting import reason_of
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.times import moment
from copilot.surfaces.chat.tool_result import Statement, ToolResult, noted
from copilot.surfaces.chat.tools.tool import MOST_ROWS, Tool, ToolArguments
from copilot.types.incident import CLOSED, Event, Incident
from copilot.types.time_format import clock_time, date_time, duration
from prompts import LANGUAGES, Language, word
from tools.types import FaultKind, Finding


class JournalArguments(ToolArguments):
    """Which part of the journal."""

    before: str = Field(default="", max_length=40, description="Until this moment, as 14:02.")
    most: int = Field(default=MOST_ROWS, ge=1, le=MOST_ROWS, description="Rows at most.")


def timeline(given: JournalArguments, scope: ToolContext) -> ToolResult:
    """Rows of the journal in order; of a long one, the first and the newest."""
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
    shown = _both_ends(events, given.most)
    began = () if onset is None else (_began(incident.id, onset),)
    return ToolResult(lead=began, rows=tuple(map(_row, shown)), more=len(events) - len(shown))


def _both_ends(events: Sequence[Event], most: int) -> list[Event]:
    """All, or of a long row the first quarter and the newest: how it opened is never left out."""
    if len(events) <= most:
        return [*events]
    first = most // 4
    return [*events[:first], *events[first - most :]]


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
    chinese = plain(reason_of(event, "zh"), 240)
    tail_zh = f":{chinese}" if chinese else "。"
    return Statement(
        f"{clock_time(event.at)} {event.kind}{who}{tail}",
        f"{clock_time(event.at)} {word('event', event.kind, 'zh')}{who}{tail_zh}",
        (fact,),
    )


LOOKED_AT = 300
"""Earlier incidents that are held beside this one: the newest."""


class EarlierIncidentArguments(ToolArguments):
    """Which earlier incident."""

    incident: str = Field(default="", max_length=80, description="Its id; empty: the most alike.")


def compare(given: EarlierIncidentArguments, scope: ToolContext) -> ToolResult:
    """Cause, kind, services and outcome of the two, side by side."""
    this = scope.incident
    if this is None:
        return ToolResult(missing=("incident: none is stored",))
    if given.incident:
        other: Incident | None = scope.store.incidents.require(given.incident)
    else:
        earlier = [one for one in scope.store.incidents.list(limit=LOOKED_AT) if one.id != this.id]
        other = max(earlier, key=lambda one: (likeness(this, one), one.opened_at), default=None)
    if other is None:
        return ToolResult(lead=(NOTHING_EARLIER,))
    cites = (_fact(this), _fact(other))
    alike = likeness(this, other) > 0
    title, when = plain(other.title, 120), date_time(other.opened_at)
    en, zh = "No earlier incident is like this one; the last was", "没有相似的历史事件;上一次是"
    if given.incident:
        en, zh = "Beside this one:", "与之对比:"
    elif _cause(this) == _cause(other) and _cause(this)[0]:
        en, zh = "The same cause has been there before:", "同样的原因以前出现过:"
    elif alike:
        en, zh = "None before had this cause; most alike is", "以前没有相同原因的事件;最相似的是"
    lead = Statement(
        f"{en} {other.id} of {when}: {title}.", f"{zh} {when} 的 {other.id}:{title}。", cites[1:]
    )
    return ToolResult(lead=(lead,), rows=tuple(_side_by_side(this, other, cites)))


def likeness(one: Incident, other: Incident) -> float:
    """2 for the same component, 1 for the same kind, and the share of services in common."""
    a, b = _cause(one), _cause(other)
    shared, either = {*one.services} & {*other.services}, {*one.services} | {*other.services}
    same = 2.0 * (a[0] == b[0] != "") + 1.0 * (a[1] == b[1] != "unknown")
    return same + (len(shared) / len(either) if either else 0.0)


def _side_by_side(this: Incident, other: Incident, cites: Sequence[Finding]) -> list[Statement]:
    (here, kind), (there, kind_then) = _cause(this), _cause(other)
    rows = [_fact_row("cause", "原因", here or "?", there or "?", cites)]
    kinds = [[word("fault_kind", one, lang) for one in (kind, kind_then)] for lang in ("en", "zh")]
    rows.append(_row_in("kind", "故障类型", kinds, cites))
    rows.append(
        _fact_row("services", "涉及服务", _names(this.services), _names(other.services), cites)
    )
    rows.append(_row_in("signs", "迹象", [_signs(this, other, lang) for lang in LANGUAGES], cites))
    status = [[word("status", one.status, lang) for one in (this, other)] for lang in ("en", "zh")]
    rows.append(_row_in("outcome", "结果", status, cites))
    plans = [[_plan(this, lang), _plan(other, lang)] for lang in LANGUAGES]
    rows.append(_row_in("plan", "方案", plans, cites))
    rows.append(_fact_row("recovered after", "恢复用时", _lasted(this), _lasted(other), cites))
    return rows


def _fact_row(en: str, zh: str, now: str, then: str, cites: Sequence[Finding]) -> Statement:
    return _row_in(en, zh, [[now, then], [now, then]], cites)


def _row_in(en: str, zh: str, both: list[list[str]], cites: Sequence[Finding]) -> Statement:
    (now, then), (now_zh, then_zh) = both
    same = now == then
    return Statement(
        f"{en}: the same, {now}." if same else f"{en}: now {now}; then {then}.",
        f"{zh}:相同,{now_zh}。" if same else f"{zh}:这次 {now_zh};上次 {then_zh}。",
        tuple(cites),
    )


def _cause(incident: Incident) -> tuple[str, str]:
    located = incident.ranking.located
    return (
        ("", "unknown") if located is None else (located.component, located.fault_kind or "unknown")
    )


def _names(services: Sequence[str]) -> str:
    return plain(", ".join(sorted(services)[:6]), 200) or "–"


def _signs(this: Incident, other: Incident, language: Language) -> list[str]:
    """The terms of the leading candidates, in one order where they are the same."""
    first = (one.ranking.candidates[:1] for one in (this, other))
    mine, theirs = ([term.name for one in of for term in one.terms[:6]] for of in first)
    if {*mine} == {*theirs}:
        theirs = mine
    return [", ".join(word("term", n, language) for n in of) or "–" for of in (mine, theirs)]


def _plan(incident: Incident, language: Language) -> str:
    if incident.plan is None:
        return "–"
    outcome = f" ({word('outcome', incident.outcome, language)})" if incident.outcome else ""
    return f"{incident.plan.playbook_id}{outcome}"


def _lasted(incident: Incident) -> str:
    clocks = incident.clocks
    if clocks.onset is None or clocks.recovered is None:
        return "–"
    return duration(max(0.0, clocks.recovered - clocks.onset))


def _fact(incident: Incident) -> Finding:
    component, kind = _cause(incident)
    said = (
        f"{incident.id}: {plain(incident.title, 100)}, {incident.status}, cause {component or '?'} "
        f"{kind}, plan {_plan(incident, 'en')}, recovered {_lasted(incident)}"
    )
    return noted(
        incident.id,
        "incident",
        said,
        incident.opened_at,
        source="store",
        query=f"incident={incident.id}",
    )


NOTHING_EARLIER = Statement("No earlier incident is stored.", "没有存储更早的事件。")


class CauseArguments(ToolArguments):
    """What somebody says it was."""

    component: str = Field(default="", max_length=200, description="What was at fault.")
    words: str = Field(default="", max_length=500, description="How, in any words.")


def confirmation(given: CauseArguments, scope: ToolContext) -> ToolResult:
    """Who confirmed which cause, and the command that confirms this one: chat writes nothing."""
    incident = scope.incident
    if incident is None:
        return ToolResult(missing=("incident: none is stored",))
    fact, one = _fact(incident), incident.cause
    confirmed = Statement("Nobody has confirmed a cause yet.", "尚无人确认原因。", (fact,))
    if one is not None:
        by = f"{one.component}, {one.fault_kind} ({plain(one.by, 60)})"
        confirmed = Statement(f"Confirmed: {by}.", f"已确认:{by}。", (fact,))
    close = " --close" if open_by_hand(incident) else ""
    component, kind = given.component or "COMPONENT", kind_in(given.words) or "KIND"
    command = f"copilot cause {incident.id} {plain(component, 120)} {kind}{close}"
    told = Statement(
        f"Chat writes nothing down; to confirm it: {command}",
        f"对话不做任何记录;要确认请执行:{command}",
        (fact,),
    )
    over = incident.status in CLOSED or bool(close)
    late = Statement(
        f"It is {incident.status}; its cause is confirmed once it is over.",
        f"当前状态为{word('status', incident.status, 'zh')};结束后才能确认原因。",
        (fact,),
    )
    return ToolResult(lead=(confirmed, told if over else late))


_STEM = 5
"""Letters in which `exhausted` and `exhaustion` agree."""


def kind_in(text: str) -> FaultKind | None:
    """The kind of fault that a text names by most of its words, in either language."""
    said = {one[:_STEM] for one in re.findall(r"[a-z0-9]+", text.lower())}
    found: dict[FaultKind, float] = {}
    for kind in get_args(FaultKind):
        for name in (kind, word("fault_kind", kind, "en").lower()):
            stems = {one[:_STEM] for one in re.findall(r"[a-z0-9]{2,}", name)}
            found[kind] = max(found.get(kind, 0.0), len(stems & said) / len(stems))
        if word("fault_kind", kind, "zh") in text:
            found[kind] = 1.0
    best = max(found, key=lambda kind: found[kind])
    return best if found[best] > MOSTLY else None


MOSTLY = 0.5
"""More than half of the words of a kind have to be said: one of two names nothing."""


TOOLS = (
    Tool("confirmation", "Who confirmed which cause, and how to.", CauseArguments, confirmation),
    Tool("timeline", "What happened, by whom: the journal in order.", JournalArguments, timeline),
    Tool(
        "compare",
        "The most alike earlier incident, side by side with this one.",
        EarlierIncidentArguments,
        compare,
    ),
)
