"""impact, trend, decisions, sureness, update, owners: what people ask first of an incident."""

from typing import Literal

import numpy as np
from pydantic import Field

from copilot.case.briefing import evidence_line, in_language, plain, symptom
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import Statement, ToolResult, noted, own
from copilot.surfaces.chat.tools.suspects import the_cause
from copilot.surfaces.chat.tools.tool import ServiceArguments, Tool, ToolArguments
from copilot.types.incident import CLOSED, Incident
from copilot.types.time_format import date_time
from prompts import word
from tools.impact import MOVED, impact_of
from tools.topology_walker.signals import read
from tools.types import ENTRY, Evidence, Finding, Series

NO_INCIDENT = ToolResult(missing=("incident: none is stored",))
MOST_ROUTES = 5


def impact(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """The measured share at the entry, since when, and the routes with their counts."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    routes = [one for one in incident.evidence if one.name == "requests_failed"]
    doors = {ENTRY, scope.topology.entry}
    routes.sort(key=lambda one: one.subject not in doors)
    return ToolResult(
        lead=(_felt(incident, scope),),
        rows=tuple(own(one) for one in routes[:MOST_ROUTES]),
        more=max(0, len(routes) - MOST_ROUTES),
        missing=("users: no source counts them, only requests",),
    )


def _felt(incident: Incident, scope: ToolContext) -> Statement:
    felt = symptom(list(incident.evidence), scope.topology)
    hurts = impact_of(felt) if felt is not None else None
    since = date_time(scope.onset or incident.opened_at)
    if felt is None or hurts is None:
        return Statement(
            f"Nothing measured at the entry shows what callers feel; it began at {since}.",
            f"入口没有测到调用方感受到的影响;故障始于 {since}。",
        )
    en, zh = (evidence_line(felt, language).statement for language in ("en", "zh"))
    return Statement(
        f"{en.rstrip('.')}: {in_language(hurts.reason, 'en')}, since {since}.",
        f"{zh}:{in_language(hurts.reason, 'zh')},始于 {since}。",
        (felt,),
    )


def one_line(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """What is felt and since when, then the cause: two lines."""
    if scope.incident is None:
        return NO_INCIDENT
    return ToolResult(lead=(_felt(scope.incident, scope), *the_cause(scope.incident)))


class TrendArguments(ToolArguments):
    """Which figure of which service."""

    service: str = Field(default="", max_length=200, description="Empty: the entry.")
    family: Literal["errors", "latency", "traffic"] = Field(
        default="errors", description="What of it."
    )


BARS = "▁▂▃▄▅▆▇█"
SHOWN_POINTS = 24


def trend(given: TrendArguments, scope: ToolContext) -> ToolResult:
    """The newest value, the normal one, whether it rises, and a drawing of the last values."""
    name = given.service or scope.topology.entry or ENTRY
    measured = scope.sources.measure(scope.recent(), normal_before=scope.normal_before())
    found = [
        one
        for one in measured.series
        if one.owner == name
        and read(one.metric).family == given.family
        and np.isfinite(one.values).any()
    ]
    if not found:
        return ToolResult(missing=(f"metrics: no {given.family} of {plain(name, 80)}",))
    baseline = {one.name: one for one in measured.baseline}
    return ToolResult(
        lead=(_moving(found[0], baseline.get(found[0].name), scope),), services=(name,)
    )


def _moving(series: Series, baseline: Series | None, scope: ToolContext) -> Statement:
    values = series.values[np.isfinite(series.values)][-SHOWN_POINTS:]
    half = max(1, len(values) // 4)
    newest, before = float(np.mean(values[-half:])), float(np.mean(values[-2 * half : -half]))
    if len(values) < 2 * half:
        before = newest
    moved = newest - before
    steady = abs(moved) <= MOVED * max(abs(before), abs(newest))
    en, zh = (
        ("steady", "持平") if steady else ("rising", "上升") if moved > 0 else ("falling", "下降")
    )
    normal = float("nan")
    if baseline is not None and np.isfinite(baseline.values).any():
        normal = float(np.nanmedian(baseline.values))
    unit = f" {series.unit}" if series.unit else ""
    last, low, high = float(values[-1]), float(values.min()), float(values.max())
    drawn = "".join(BARS[int(7 * (one - low) / ((high - low) or 1.0))] for one in values)
    usual = "" if np.isnan(normal) else f", normally {normal:.4g}{unit}"
    usual_zh = "" if np.isnan(normal) else f",平时 {normal:.4g}{unit}"
    window = scope.recent()
    fact = Finding(
        kind="metric",
        subject=series.owner,
        name=series.metric,
        source="metrics",
        query=series.name,
        window=window,
        value=last,
        baseline=None if np.isnan(normal) else normal,
        unit=series.unit,
        statement=plain(f"{series.owner} {series.metric} is {last:.4g}{unit}{usual}, {en}.", 300),
    )
    step = f"{before:.4g} → {newest:.4g}{unit}"
    return Statement(
        f"{series.owner} {series.metric} is {last:.4g}{unit} now{usual}; {en} ({step}). {drawn}",
        f"{series.owner} 的 {series.metric} 现为 {last:.4g}{unit}{usual_zh};{zh}({step})。{drawn}",
        (fact,),
    )


def decisions(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """Who decided what and when, and whether it helped."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    given = [(asked, one) for asked in scope.store.approvals.of(incident.id) for one in asked.given]
    lead = []
    for asked, one in given:
        said = f"{plain(one.approver, 60)} {one.decision}: {plain(asked.plan.title, 120)}"
        fact = noted(
            incident.id, "decision", said, one.decided_at, source="store",
            query=f"plan={asked.plan.id}",
        )  # fmt: skip
        at, yes = date_time(one.decided_at), one.decision == "approve"
        lead.append(
            Statement(
                f"{plain(one.approver, 60)} {'approved' if yes else 'rejected'} "
                f"“{plain(asked.plan.title, 120)}” at {at}.",
                f"{plain(one.approver, 60)} 于 {at} {'批准' if yes else '拒绝'}了"
                f"“{plain(asked.plan.title_zh or asked.plan.title, 120)}”。",
                (fact,),
            )
        )
    if not lead:
        lead.append(
            Statement("Nobody has approved or rejected anything yet.", "尚无人批准或拒绝任何方案。")
        )
    return ToolResult(lead=(*lead, _outcome(incident)))


def _outcome(incident: Incident) -> Statement:
    if incident.outcome is None:
        return Statement(
            f"No outcome is verified: it is {word('status', incident.status, 'en')}.",
            f"尚未验证任何结果:当前{word('status', incident.status, 'zh')}。",
        )
    en, zh = (word("outcome", incident.outcome, language) for language in ("en", "zh"))
    fact = noted(
        incident.id, "outcome", f"verified: {en}", incident.updated_at, source="store",
        query=f"incident={incident.id}",
    )  # fmt: skip
    return Statement(f"Verified after it: {en}.", f"执行后的验证结果:{zh}。", (fact,))


def sureness(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """How certain the cause is, what speaks for it and what against."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    if not incident.ranking.candidates:
        return ToolResult(missing=("cause: no component stands out yet",))
    first, *others = incident.ranking.candidates
    why, why_zh = (in_language(incident.ranking.why, language) for language in ("en", "zh"))
    names = ", ".join(word("term", term.name, "en") for term in first.terms[:4])
    names_zh = "、".join(word("term", term.name, "zh") for term in first.terms[:4])
    rivals = ", ".join(f"{one.component} ({one.score:.2f})" for one in others[:3]) or "–"
    cited = _cited(incident, tuple(n for term in first.terms[:4] for n in term.evidence))
    rows = (
        Statement(
            f"For {first.component}: {names}.", f"支持 {first.component}:{names_zh}。", cited
        ),
        Statement(
            f"The sources: {why or 'not compared'}. Against it: next in score are {rivals}.",
            f"各数据源:{why_zh or '未比较'}。反对它的:得分其次为 {rivals}。",
        ),
        Statement(
            "The chance is calibrated on recorded incidents: of such causes so many were right.",
            "该概率按已记录的事件校准:同样把握的结论中有这么多是对的。",
        ),
    )
    return ToolResult(lead=tuple(the_cause(incident)), rows=rows, services=(first.component,))


def _cited(incident: Incident, numbers: tuple[str, ...]) -> tuple[Evidence, ...]:
    known = {one.id: one for one in incident.evidence}
    return tuple(known[one] for one in dict.fromkeys(numbers) if one in known)[:5]


class UpdateArguments(ToolArguments):
    """For whom."""

    customers: bool = Field(default=False, description="For customers: no internals.")


def update(given: UpdateArguments, scope: ToolContext) -> ToolResult:
    """A status update from what is stored: impact, since when, cause or not, what is done."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    over = incident.status in CLOSED
    if not given.customers:
        done = word("status", incident.status, "en"), word("status", incident.status, "zh")
        state = Statement(f"Now: {done[0]}.", f"现状:{done[1]}。")
        return ToolResult(lead=(_felt(incident, scope), *the_cause(incident), state))
    felt = symptom(list(incident.evidence), scope.topology)
    hurts = impact_of(felt) if felt is not None else None
    since = date_time(scope.onset or incident.opened_at)
    reason = [in_language(hurts.reason if hurts else None, one) for one in ("en", "zh")]
    return ToolResult(
        lead=(
            Statement(
                f"Since {since} some requests are affected{f': {reason[0]}' if reason[0] else ''}.",
                f"自 {since} 起,部分请求受到影响{f':{reason[1]}' if reason[1] else ''}。",
            ),
            Statement(
                "It has recovered." if over else "We are working on it.",
                "服务已恢复。" if over else "我们正在处理。",
            ),
            Statement("Next update: (time to be set by you).", "下次更新:(请填写时间)。"),
        )
    )


def owners(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """Nothing here tells owners or rotas; said so."""
    about = plain(given.service, 80)
    of, of_zh = (f" of {about}", f"{about} 的") if about else ("", "")
    return ToolResult(
        lead=(
            Statement(
                f"The owner{of} and who is on call are not known: no source of the chat tells "
                "them; nothing is configured for it.",
                f"{of_zh}负责人、值班人和通知对象未知:对话没有这样的数据源,未配置。",
            ),
        )
    )


def postmortem(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """How to have one drafted."""
    if scope.incident is None:
        return NO_INCIDENT
    command = f"`copilot postmortem {scope.incident.id}`"
    return ToolResult(
        lead=(
            Statement(f"{command} drafts it from the journal.", f"{command} 会据日志簿起草复盘。"),
        )
    )


def thanks(_: ToolArguments, _scope: ToolContext) -> ToolResult:
    """A short answer."""
    return ToolResult(lead=(Statement("You are welcome.", "不客气。"),))


TOOLS = (
    Tool("impact", "What callers feel: share, routes, since when.", ToolArguments, impact),
    Tool("one_line", "What is felt and the cause, in two lines.", ToolArguments, one_line),
    Tool("trend", "One figure over time: errors, latency or traffic.", TrendArguments, trend),
    Tool("decisions", "Who approved or rejected what; did it help.", ToolArguments, decisions),
    Tool("sureness", "How certain the cause is; for and against.", ToolArguments, sureness),
    Tool("update", "A status update, for engineers or customers.", UpdateArguments, update),
    Tool("owners", "Who owns a service, who is on call.", ServiceArguments, owners),
    Tool("postmortem", "How to draft the postmortem.", ToolArguments, postmortem),
    Tool("thanks", "Nothing is looked at.", ToolArguments, thanks),
)
