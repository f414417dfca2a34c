"""sureness, gaps, network, origin, restarts: how much is known, and what was never measured."""

import numpy as np

from copilot.case.briefing import in_language, plain
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import NO_INCIDENT, Statement, ToolResult, capped, noted, own
from copilot.surfaces.chat.tools.measured import is_felt, judged, present
from copilot.surfaces.chat.tools.suspects import the_cause
from copilot.surfaces.chat.tools.tool import ServiceArguments, Tool, ToolArguments
from copilot.types.incident import Incident
from copilot.types.time_format import clock_time, duration
from prompts import LANGUAGES, word
from tools.topology_walker.signals import read
from tools.types import Evidence, Series, Subject

SHOWN = 6

_CALIBRATED = Statement(
    "The chance is calibrated on recorded incidents: of such causes so many were right.",
    "该概率按已记录的事件校准:同样把握的结论中有这么多是对的。",
)


def sureness(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """How certain the cause is, what speaks for it and against, and what was not looked at."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    if not incident.ranking.candidates:
        return ToolResult(missing=("cause: no component stands out yet",))
    first, *others = incident.ranking.candidates
    why, why_zh = (in_language(incident.ranking.why, language) for language in LANGUAGES)
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
        _unseen(scope),
        *((_CALIBRATED,) if incident.ranking.calibrated else ()),
    )
    return ToolResult(lead=tuple(the_cause(incident)), rows=rows, services=(first.component,))


def _cited(incident: Incident, numbers: tuple[str, ...]) -> tuple[Evidence, ...]:
    known = {one.id: one for one in incident.evidence}
    return tuple(known[one] for one in dict.fromkeys(numbers) if one in known)[:5]


def gaps(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """Sources that are absent or silent, components without telemetry, and a short history."""
    incident = scope.incident
    rows = [_silent_components(scope)]
    if incident is not None and incident.history_s is not None:
        back = duration(incident.history_s)
        rows.append(
            Statement(
                f"Metrics reach {back} back before the onset.", f"指标可追溯到起始前 {back}。"
            )
        )
    if incident is not None and incident.ranking.look is not None:
        en, zh = (in_language(incident.ranking.look, language) for language in LANGUAGES)
        rows.append(Statement(f"It would tell the causes apart: {en}.", f"可区分各原因:{zh}。"))
    rows.append(
        Statement("Users are not counted, only requests.", "没有数据源统计用户数,只有请求数。")
    )
    return ToolResult(lead=(_unseen(scope),), rows=tuple(rows))


def _unseen(scope: ToolContext) -> Statement:
    """What was not looked at, each source with the reason."""
    about = [Subject(kind="service", name=one) for one in scope.services()[:1]]
    told = scope.sources.look(scope.recent(), scope.normal_before(), about).missing
    pairs = [line.partition(": ") for line in dict.fromkeys(told)]
    if not pairs:
        return Statement(
            "Nothing is left out: every source that can be connected is, and answers.",
            "没有遗漏:可接入的数据源均已接入并有应答。",
        )
    en, zh = (
        "; ".join(
            f"{word('source', source, language)} ({plain(word('absence', why, language), 80)})"
            for source, _, why in pairs
        )
        for language in LANGUAGES
    )
    return Statement(f"Not looked at: {en}.", f"未查看:{zh}。")


def _silent_components(scope: ToolContext) -> Statement:
    measured = scope.sources.measure(scope.recent(), normal_before=scope.normal_before())
    heard = {one.owner for one in measured.series}
    silent = [name for name in scope.topology.nodes if name not in heard]
    shown = ", ".join(silent[:SHOWN]) + (f" +{len(silent) - SHOWN}" if len(silent) > SHOWN else "")
    if not scope.topology.nodes:
        return Statement(
            "Which components there are is not known: there is no call graph.",
            "未知有哪些组件:没有调用关系图。",
        )
    if not silent:
        return Statement("Every known component has metrics.", "所有已知组件都有指标。")
    return Statement(f"Without metrics of their own: {shown}.", f"没有自身指标的组件:{shown}。")


def network(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """What is measured of the network; where nothing is, which call paths fail and which do not."""
    measured = scope.sources.measure(scope.recent(), normal_before=scope.normal_before())
    wires = [one for one in measured.series if read(one.metric).family == "network"]
    paths = [one for one in judged(measured, "", scope.now) if "->" in one.series.owner]
    owners = dict.fromkeys(one.series.owner for one in paths)
    failing = [one for one in paths if is_felt(one)]
    hit = [*dict.fromkeys(one.series.owner for one in failing)]
    lead = []
    if wires:
        counted = len({one.owner for one in wires})
        lead.append(
            Statement(
                f"The network is measured on {counted} components.",
                f"{counted} 个组件有网络测量。",
            )
        )
    else:
        lead.append(
            Statement(
                "Not known: the network itself is not measured here (no packets, retransmissions "
                "or name lookups).",
                "未知:没有测量网络本身(没有丢包、重传、域名解析的数据)。",
            )
        )
    if owners:
        shown = ", ".join(hit[:SHOWN]) or "–"
        lead.append(
            Statement(
                f"Failing or slow are {len(hit)} of {len(owners)} measured call paths: {shown}. A "
                "fault of the network would rather show on paths that share a host or a zone.",
                f"已测量的 {len(owners)} 条调用路径中有 {len(hit)} 条失败或变慢:{shown}。"
                "若是网络故障,同一主机或可用区的路径通常会一起出现异常。",
            )
        )
    about = given.service or (hit[0].partition("->")[2] if hit else "")
    near = [one for one in failing if about in one.series.owner.split("->")] or failing
    rows, more = capped([own(present(one, scope.recent())) for one in near], 4)
    return ToolResult(lead=tuple(lead), rows=rows, more=more)


def origin(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """Whether a component is watched from inside, and who calls it."""
    name = given.service or (scope.services() or ("",))[0]
    measured = scope.sources.measure(scope.recent(), normal_before=scope.normal_before())
    callers = sorted({one.caller for one in scope.topology.edges if one.callee == name})
    by = ", ".join(callers[:SHOWN]) or "–"
    if any(one.owner == name for one in measured.series):
        return ToolResult(
            lead=(
                Statement(
                    f"{name} sends telemetry of its own, so it is watched from inside; who runs it "
                    f"is not known. Called by {by}.",
                    f"{name} 有自身遥测,属于被监控的组件;由谁运维未知。调用方:{by}。",
                ),
            ),
            services=(name,),
        )
    return ToolResult(
        lead=(
            Statement(
                f"{name} has no telemetry of its own: it is seen only from its callers ({by}), as "
                "an external dependency is. Whether it is one is not recorded.",
                f"{name} 没有自身遥测:只能从调用方({by})看到,像外部依赖一样;是否外部没有记录。",
            ),
        ),
        services=(name,),
    )


def restarts(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """Restart counters, instances that were up, and what the cluster says."""
    measured = scope.sources.measure(scope.recent(), normal_before=scope.normal_before())
    counted = [
        one
        for one in measured.series
        if read(one.metric).family in ("restarts", "instances")
        and (not given.service or one.owner == given.service)
        and np.isfinite(one.values).sum() > 1
    ]
    absent: list[str] = []
    about = [Subject(kind="service", name=given.service)] if given.service else []
    found = [
        one
        for one in scope.sources.inspect(scope.recent(), absent, about)
        if not given.service or given.service in one.subject
    ]
    moved = [one for one in counted if _restarted(one)]
    whose, whose_zh = given.service or "any component", given.service or "任何组件"
    if not counted:
        said = Statement(
            f"Not known: no restart counter or number of instances tells of {whose}.",
            f"未知:{whose_zh} 没有重启计数或实例数。",
        )
        told = tuple(own(one) for one in found[:SHOWN])
        return ToolResult(lead=(said,), rows=told, missing=tuple(absent))
    names = ", ".join(dict.fromkeys(one.owner for one in moved))
    since = clock_time(scope.recent().start)
    lead = (
        Statement(
            f"Yes: {names} restarted or lost instances since {since}.",
            f"有:自 {since} 起 {names} 重启过或少了实例。",
        )
        if moved
        else Statement(
            f"No restart of {whose} is seen since {since}: what is counted of it did not move.",
            f"自 {since} 起未见 {whose_zh} 重启:相关计数没有变化。",
        )
    )
    rows = [_counter(one, scope) for one in (moved or counted)[:SHOWN]] + [
        own(one) for one in found
    ]
    return ToolResult(
        lead=(lead,),
        rows=tuple(rows[:SHOWN]),
        missing=tuple(absent),
        services=(given.service,) if given.service else (),
    )


def _restarted(series: Series) -> bool:
    """A counter of restarts that rose, or a number of instances that fell."""
    values = series.values[np.isfinite(series.values)]
    steps = np.diff(values)
    rising = read(series.metric).family == "restarts"
    return bool((steps > 0).any() if rising else (steps < 0).any())


def _counter(series: Series, scope: ToolContext) -> Statement:
    values = series.values[np.isfinite(series.values)]
    first, last, low = float(values[0]), float(values[-1]), float(values.min())
    fact = noted(
        series.owner,
        series.metric,
        f"{series.owner} {series.metric}: {first:g} at first, {last:g} now, {low:g} at least",
        scope.now,
        source="metrics",
        query=series.name,
        kind="metric",
        figures={"first": first, "last": last, "least": low},
    )
    return Statement(
        f"{series.owner} {series.metric}: {first:g} at first, {last:g} now, at least {low:g}.",
        f"{series.owner} 的 {series.metric}:最初 {first:g},现在 {last:g},最低 {low:g}。",
        (fact,),
    )


TOOLS = (
    Tool(
        "sureness", "How certain the cause is; for, against, not looked at.", ToolArguments,
        sureness,
    ),
    Tool("gaps", "What was not looked at or is not measured.", ToolArguments, gaps),
    Tool("network", "What is measured of the network between services.", ServiceArguments, network),
    Tool("origin", "Is a component external; who calls it.", ServiceArguments, origin),
    Tool("restarts", "Was a service restarted; did instances die.", ServiceArguments, restarts),
)  # fmt: skip
