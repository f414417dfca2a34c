"""evidence, cluster, health, metrics: what was measured of this incident, and what is now."""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from copilot.case.briefing import evidence_line, plain
from copilot.sources.deployment import MetricSnapshot
from copilot.sources.resources import coming
from copilot.surfaces.chat.scope import ToolContext, concerns
from copilot.surfaces.chat.tool_result import Statement, ToolResult, capped, noted, own
from copilot.surfaces.chat.tools.tool import MOST_ROWS, ServiceArguments, Tool, ToolArguments
from copilot.types.time_format import clock_time
from tools.detector import detect
from tools.impact import impact
from tools.topology_walker import is_forecast
from tools.topology_walker.signals import read
from tools.types import ENTRY, Anomaly, Evidence, EvidenceKind, Finding, Series, Subject, Window

MOST_ACTIVE = 200
"""Open incidents in which forecasts are looked for."""

NO_SUCH = "there is no such evidence; ask for a number that an answer shows"


class EvidenceArguments(ToolArguments):
    """Which evidence; what is left empty does not narrow it."""

    ids: tuple[str, ...] = Field(default=(), max_length=20, description="Numbers, as E7.")
    service: str = Field(default="", max_length=200, description="Only about this service.")
    kind: EvidenceKind | None = Field(default=None, description="Only of this kind.")


def evidence(given: EvidenceArguments, scope: ToolContext) -> ToolResult:
    """Evidence of the incident, strongest first."""
    incident = scope.incident
    if incident is None:
        return ToolResult(missing=("incident: none is stored",))
    known = {item.id: item for item in (*scope.cited, *incident.evidence)}
    unknown = dict.fromkeys(n for n in given.ids if n not in known and n.strip())
    lost = (f"{', '.join(unknown)}: {NO_SUCH}",) if unknown else ()
    found = [
        item
        for item in (known.values() if given.ids else incident.evidence)
        if (not given.ids or item.id in given.ids)
        and (not given.service or concerns(item.subject, given.service))
        and (given.kind is None or item.kind == given.kind)
    ]
    if given.ids:
        return ToolResult(rows=tuple(map(_whole, found)), missing=lost)
    rows, more = capped([own(item) for item in found], MOST_ROWS)
    about = given.service or given.kind or incident.id
    fact = noted(
        about,
        "evidence",
        f"{len(found)} items of evidence about {about}",
        incident.updated_at,
        source="evidence",
        query=f"incident={incident.id} about={about}",
        figures={"count": float(len(found))},
    )
    lead = Statement(
        f"{len(found)} items of evidence about {about}.",
        f"关于 {about} 的证据共 {len(found)} 条。",
        (fact,),
    )
    return ToolResult(lead=(lead,), rows=rows, more=more, missing=lost)


def _whole(item: Evidence) -> Statement:
    """One item with all that lets a person look it up again."""
    en, zh = (
        f"{line.kind}: {line.statement}"
        + (f" “{line.excerpt}”" if line.excerpt else "")
        + f" (`{line.source} {line.query}`, {line.window})"
        for line in (evidence_line(item, "en"), evidence_line(item, "zh"))
    )
    return Statement(en, zh, (item,), states=True)


def cluster(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """What is wrong with the objects of the cluster now."""
    missing: list[str] = []
    about = [Subject(kind="service", name=given.service)] if given.service else []
    findings = [
        one
        for one in scope.sources.inspect(scope.recent(), missing, about)
        if not given.service or given.service in one.subject
    ]
    if missing and not findings:
        return ToolResult(missing=tuple(missing))
    if not findings:
        nothing = Statement(
            "The cluster's objects were inspected and nothing is wrong with them.",
            "已检查集群对象,未发现异常。",
        )
        return ToolResult(lead=(nothing,))
    rows, more = capped([own(one) for one in findings], MOST_ROWS)
    return ToolResult(rows=rows, more=more, missing=tuple(missing))


STILL_S = 60.0
"""An episode that ended less than this ago is not over yet."""

MOST_SERIES = 400
"""Series that are judged for one answer; a service has tens, a system thousands."""

MOST_FIGURES = 8
"""Rows of figures that are read at once; who needs more names a metric."""

NO_SERIES = ToolResult(missing=("metrics: no series is recorded",))


class SeriesArguments(ToolArguments):
    """Whose series, and which."""

    service: str = Field(default="", max_length=200, description="Name of a service.")
    metric: str = Field(default="", max_length=100, description="Part of the metric's name.")
    family: str = Field(
        default="", max_length=20, description="errors, latency, traffic, cpu, memory, disk."
    )


@dataclass(frozen=True, slots=True)
class SeriesHealth:
    """One series and what is out of its band now, if anything is."""

    series: Series
    baseline: Series | None
    open: Anomaly | None


def health(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """Each service asked about, judged by the detector on fresh series."""
    window = scope.recent()
    measured = scope.sources.measure(window, normal_before=scope.normal_before())
    names = _asked(given.service, scope)
    by_name = {name: judged(measured, name, scope.now) for name in names}
    seen = {name: found for name, found in by_name.items() if found}
    if not seen:
        about = given.service or "any service"
        return ToolResult(missing=(f"metrics: no series of {about} in the last while",))
    lead = [_health_of(name, found, window) for name, found in seen.items()]
    wrong = [(one, name) for name, found in seen.items() for one in found if is_felt(one)]
    wrong.sort(key=lambda pair: -_distance(pair[0]))
    rows, more = capped([own(present(one, window)) for one, _ in wrong], 8)
    unseen = tuple(f"{name}: no series" for name in names if name not in seen)
    return ToolResult(lead=tuple(lead), rows=rows, more=more, missing=unseen, services=tuple(seen))


def metrics(given: SeriesArguments, scope: ToolContext) -> ToolResult:
    """The last value of each series beside its normal one."""
    window = scope.recent()
    measured = scope.sources.measure(window, normal_before=scope.normal_before())
    wanted = given.metric.lower().replace(" ", "_")
    found = [
        one
        for one in judged(measured, given.service, scope.now)
        if wanted in one.series.metric.lower()
        and (not given.family or read(one.series.metric).family == given.family)
    ]
    if not found:
        return NO_SERIES
    found.sort(key=lambda one: -_distance(one))
    # Its own series before those of the calls to it.
    found.sort(key=lambda one: "->" in one.series.owner)
    rows, more = capped([own(present(one, window)) for one in found], MOST_FIGURES)
    return ToolResult(rows=rows, more=more, services=(given.service,) if given.service else ())


def _asked(service: str, scope: ToolContext) -> tuple[str, ...]:
    if service:
        return (service,)
    involved = scope.incident.services if scope.incident is not None else ()
    entry = scope.topology.entry
    return tuple(name for name in dict.fromkeys((entry or ENTRY, *involved[:6])) if name)


def judged(measured: MetricSnapshot, service: str, now: float) -> list[SeriesHealth]:
    normal = {one.name: one for one in measured.baseline}
    found: list[SeriesHealth] = []
    for one in measured.series:
        if service and not _of(one.owner, service):
            continue
        if not np.isfinite(one.values).any() or len(found) == MOST_SERIES:
            continue
        baseline = normal.get(one.name)
        episodes = detect(one, baseline=baseline)
        lasting = [each for each in episodes if each.end is None or each.end > now - STILL_S]
        found.append(SeriesHealth(one, baseline, lasting[-1] if lasting else None))
    return found


def _of(owner: str, service: str) -> bool:
    """Its own series, and those of calls to it; what it calls is another's health."""
    caller, arrow, callee = owner.partition("->")
    return callee == service if arrow else concerns(caller, service)


def is_felt(one: SeriesHealth) -> bool:
    """Whether callers feel it: a busier processor or another pool is no illness."""
    normal = _normal(one)
    if one.open is None or normal is None:
        return False
    return impact(one.series.metric, normal, _last(one.series), one.series.unit).felt


def _health_of(name: str, found: list[SeriesHealth], window: Window) -> Statement:
    wrong = [one for one in found if is_felt(one)]
    callers = {one.series.owner.partition("->")[0] for one in found if "->" in one.series.owner}
    seen, outside = ", ".join(sorted(callers)[:3]), all("->" in one.series.owner for one in found)
    if wrong and outside:
        return Statement(
            f"{name} is not known to be ill: it has no telemetry of its own; {seen} sees its calls "
            "fail or wait, which may be a timeout of the caller.",
            f"{name} 没有自身的遥测,状态未知;调用方 {seen} 看到对它的调用失败或变慢,"
            "也可能是调用方自己的超时。",
        )
    count, of = len(wrong), len(found)
    at = clock_time(window.end)
    fact = noted(
        name,
        "health",
        f"{count} of {of} series of {name} show what its callers feel at {at}",
        window.end,
        source="detector",
        query=f"owner={name}",
        kind="metric",
        figures={"out_of_band": float(count), "series": float(of)},
    )
    if not wrong:
        return Statement(
            f"{name} is healthy: none of its {of} series shows harm that its callers feel at {at}"
            + (f"; it is seen only from {seen}." if outside else "."),
            f"{name} 正常:截至 {at},{of} 条指标中没有调用方能感受到的异常"
            + (f";只能从调用方 {seen} 看到它。" if outside else "。"),
            (fact,),
        )
    return Statement(
        f"{name} is not healthy: {count} of its {of} series show harm its callers feel at {at}.",
        f"{name} 不正常:截至 {at},{of} 条指标中有 {count} 条是调用方能感受到的异常。",
        (fact,),
    )


def _last(series: Series) -> float:
    values = series.values[np.isfinite(series.values)]
    return float(values[-1])


def _normal(one: SeriesHealth) -> float | None:
    if one.baseline is None:
        return None
    values = one.baseline.values[np.isfinite(one.baseline.values)]
    return float(np.median(values)) if values.size else None


def _distance(one: SeriesHealth) -> float:
    """How far the last value is from normal, in widths of the band; 0 within it."""
    if one.open is None:
        return 0.0
    width = max(one.open.high - one.open.low, 1e-9)
    return 1.0 + abs(_last(one.series) - 0.5 * (one.open.high + one.open.low)) / width


def present(one: SeriesHealth, window: Window) -> Finding:
    value, normal = _last(one.series), _normal(one)
    unit = f" {one.series.unit}" if one.series.unit else ""
    usual = "" if normal is None else f", normally {normal:.4g}{unit}"
    since = "" if one.open is None else f", out of its band since {clock_time(one.open.onset)}"
    said = f"{one.series.owner} {one.series.metric} is {value:.4g}{unit} now{usual}{since}."
    return Finding(
        kind="edge" if "->" in one.series.owner else "metric",
        subject=one.series.owner,
        name=one.series.metric,
        source="metrics",
        query=one.series.name,
        window=Window(start=window.start, end=window.end),
        value=value,
        baseline=normal,
        unit=one.series.unit,
        onset=one.open.onset if one.open else None,
        direction=one.open.direction if one.open else "none",
        statement=plain(said, 300),
    )


def _about(owner: str, service: str) -> bool:
    return not service or concerns(owner, service)


def forecasts(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """What is foretold to reach its limit: what stands, and what the series at hand say."""
    service = given.service
    active = scope.store.incidents.active(MOST_ACTIVE)
    told = [item for each in active for item in each.evidence if item.kind == "alert"]
    found = [own(item) for item in told if is_forecast(item.name) and _about(item.subject, service)]
    measured = scope.sources.measure(scope.recent(), normal_before=scope.normal_before())
    for one in coming(measured.series):
        if _about(one.owner, service):
            said = one.said()
            fact = noted(one.owner, one.kind, said.en, one.now, source="forecast", query=one.key)
            found.append(Statement(said.en, said.zh, (fact,), states=True))
    rows, more = capped(found, MOST_ROWS)
    if not found:
        of, of_zh = (f" of {service}", f" {service} 的") if service else ("", "")
        en = f"No resource{of} is foretold to reach its limit."
        return ToolResult(lead=(Statement(en, f"没有预计将到达上限的{of_zh}资源。"),))
    count = len(found)
    lead = Statement(
        f"Foretold to reach their limit, no fault yet: {count}.",
        f"预计将到达上限(尚非故障):{count} 项。",
    )
    return ToolResult(lead=(lead,), rows=rows, more=more)


TOOLS = (
    Tool(
        "forecasts",
        "What is coming: disks, memory, certificates and the like that will reach their limit.",
        ServiceArguments,
        forecasts,
    ),
    Tool(
        "evidence",
        "Evidence of the incident by number, service or kind.",
        EvidenceArguments,
        evidence,
    ),
    Tool("cluster", "Findings on Kubernetes objects, looked at now.", ServiceArguments, cluster),
    Tool(
        "health",
        "Is a service healthy now: its fresh series against their normal band.",
        ServiceArguments,
        health,
    ),
    Tool("metrics", "Last and normal values of a service's series.", SeriesArguments, metrics),
)
