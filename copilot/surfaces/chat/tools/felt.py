"""impact, one_line, trend, update: what callers feel, how it moves, and how to tell others."""

import re
from typing import Literal

import numpy as np
from pydantic import Field

from copilot.case.briefing import evidence_line, in_language, plain, symptom
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import NO_INCIDENT, Statement, ToolResult, own
from copilot.surfaces.chat.tools.suspects import the_cause
from copilot.surfaces.chat.tools.tool import Tool, ToolArguments
from copilot.surfaces.console.answer import status_update
from copilot.types.incident import CLOSED, Incident
from copilot.types.time_format import date_time, duration
from prompts import LANGUAGES, word
from tools.impact import MOVED, impact_of
from tools.topology_walker.signals import read
from tools.types import ENTRY, Evidence, Finding, Series, Window

MOST_ROUTES = 5


def impact(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """The measured share at the entry, since when, and the routes with their counts."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    routes = [one for one in incident.evidence if one.name == "requests_failed"]
    doors = {ENTRY, scope.topology.entry}
    routes.sort(key=lambda one: one.subject not in doors)
    first = _counted(routes[0]) if routes else _passed(incident, scope)
    users = [own(one) for one in incident.evidence if (one.kind, one.name) == ("note", "slice")]
    return ToolResult(
        lead=(_felt(incident, scope), *users[:2], *([first] if first is not None else [])),
        rows=tuple(_counted(one) for one in routes[1:MOST_ROUTES]),
        more=max(0, len(routes) - MOST_ROUTES),
        missing=() if users else ("users: no source counts them, only requests",),
    )


def _counted(route: Evidence) -> Statement:
    """Failed requests of one route after the onset and before, as counts and share."""
    told = route.figures
    after, of = round(told.get("after", 0)), round(told.get("requests_after", 0))
    before, of_before = round(told.get("before", 0)), round(told.get("requests_before", 0))
    named = re.search(r'"[^"]{1,80}"', route.statement)
    path = f" {named[0]}" if named else ""
    if not of:
        return own(route)
    share = f"{after / of:.0%}"
    return Statement(
        f"{route.subject}{path}: {after} of {of} requests failed with 5xx since the onset "
        f"({share}); {before} of {of_before} before.",
        f"{route.subject}{path}:起始后 {of} 次请求中有 {after} 次失败(5xx,{share});"
        f"此前 {of_before} 次中有 {before} 次。",
        (route,),
        states=True,
    )


def _passed(incident: Incident, scope: ToolContext) -> Statement | None:
    """How many requests came to the entry since the onset, where its rate is measured."""
    name, onset = scope.topology.entry or ENTRY, scope.onset or incident.opened_at
    measured = scope.sources.measure(scope.recent(), normal_before=scope.normal_before())
    rates = (one for one in measured.series if one.owner == name and one.metric == "request_rate")
    rate = next(rates, None)
    if rate is None or scope.now <= onset:
        return None
    values = rate.values[(rate.times >= onset) & np.isfinite(rate.values)]
    if not values.size:
        return None
    count, lasted = float(np.mean(values)) * (scope.now - onset), duration(scope.now - onset)
    return Statement(
        f"About {count:.0f} of its requests came in the {lasted} since then ({name}).",
        f"此后 {lasted} 内 {name} 约有 {count:.0f} 次请求。",
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
    # Its own onset is a sample's; since when it hurts is said once, at the end.
    timeless = felt.model_copy(update={"onset": None})
    en, zh = (evidence_line(timeless, language).statement for language in ("en", "zh"))
    over, over_zh = (
        (
            f"; now it is {word('status', incident.status, 'en')}",
            f";现{word('status', incident.status, 'zh')}",
        )
        if incident.status in CLOSED
        else ("", "")
    )
    return Statement(
        f"{en.rstrip('.')}: {in_language(hurts.reason, 'en')}, since {since}{over}.",
        f"{zh}:{in_language(hurts.reason, 'zh')},始于 {since}{over_zh}。",
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
    family: Literal["errors", "latency", "traffic", "cpu", "memory", "disk"] = Field(
        default="errors", description="What of it."
    )
    yesterday: bool = Field(default=False, description="Beside the same time of the day before.")


DAY_S = 86_400.0


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
    moving = _moving(found[0], baseline.get(found[0].name), scope)
    lead = (_day_before(found[0], scope), moving) if given.yesterday else (moving,)
    return ToolResult(lead=lead, services=(name,))


def _day_before(series: Series, scope: ToolContext) -> Statement:
    """The median of the same series a day ago, or that there is none."""
    window = scope.recent()
    then = Window(start=window.start - DAY_S, end=window.end - DAY_S)
    past = scope.sources.measure(then, normal_before=then.end).series
    same = next((one for one in past if one.name == series.name), None)
    what, unit = f"{series.owner} {series.metric}", f" {series.unit}" if series.unit else ""
    if same is None or not np.isfinite(same.values).any():
        return Statement(
            f"Yesterday at this time: not known, the source has no {what} from then.",
            f"昨天同一时间:未知,数据源没有当时的 {what}。",
        )
    usual = float(np.nanmedian(same.values))
    now = float(series.values[np.isfinite(series.values)][-1])
    said = f"{what} was {usual:.4g}{unit} a day before, {now:.4g}{unit} now."
    fact = _measured(series, then, now, usual, said)
    return Statement(
        f"Yesterday at this time {what} was {usual:.4g}{unit}; it is {now:.4g}{unit} now.",
        f"昨天同一时间 {what} 为 {usual:.4g}{unit},现在 {now:.4g}{unit}。",
        (fact,),
    )


def _measured(
    series: Series, window: Window, value: float, usual: float | None, said: str
) -> Finding:
    """What was read of a series in a window, to be cited."""
    return Finding(
        kind="metric",
        subject=series.owner,
        name=series.metric,
        source="metrics",
        query=series.name,
        window=window,
        value=value,
        baseline=usual,
        unit=series.unit,
        statement=plain(said, 300),
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
    said = f"{series.owner} {series.metric} is {last:.4g}{unit}{usual}, {en}."
    baseline_value = None if np.isnan(normal) else normal
    fact = _measured(series, scope.recent(), last, baseline_value, said)
    step = f"{before:.4g} → {newest:.4g}{unit}"
    return Statement(
        f"{series.owner} {series.metric} is {last:.4g}{unit} now{usual}; {en} ({step}). {drawn}",
        f"{series.owner} 的 {series.metric} 现为 {last:.4g}{unit}{usual_zh};{zh}({step})。{drawn}",
        (fact,),
    )


class UpdateArguments(ToolArguments):
    """For whom."""

    customers: bool = Field(default=False, description="For customers: no internals.")


def update(given: UpdateArguments, scope: ToolContext) -> ToolResult:
    """A status update from what is stored: impact, since when, cause or not, what is done."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    if not given.customers:
        done = word("status", incident.status, "en"), word("status", incident.status, "zh")
        state = Statement(f"Now: {done[0]}.", f"现状:{done[1]}。")
        return ToolResult(lead=(_felt(incident, scope), *the_cause(incident), state))
    told = [status_update(incident, one, "customers").splitlines() for one in LANGUAGES]
    return ToolResult(lead=tuple(Statement(en, zh) for en, zh in zip(*told, strict=True)))


TOOLS = (
    Tool("impact", "What callers feel: share, routes, since when.", ToolArguments, impact),
    Tool("one_line", "What is felt and the cause, in two lines.", ToolArguments, one_line),
    Tool("trend", "One figure over time: errors, latency or traffic.", TrendArguments, trend),
    Tool("update", "A status update, for engineers or customers.", UpdateArguments, update),
)
