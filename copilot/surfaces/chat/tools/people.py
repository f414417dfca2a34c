"""decisions, advice, outlook, paging, owners, postmortem, smalltalk: what people decide and ask."""

from typing import Literal

from pydantic import Field

from copilot.case.briefing import plain
from copilot.case.on_call import on_call_text, schedules_now
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import NO_INCIDENT, Statement, ToolResult, noted, own
from copilot.surfaces.chat.tools.advice import plan_or_why_none
from copilot.surfaces.chat.tools.history import likeness
from copilot.surfaces.chat.tools.measured import is_felt, judged, present
from copilot.surfaces.chat.tools.tool import ServiceArguments, Tool, ToolArguments
from copilot.types.incident import CLOSED, Incident
from copilot.types.time_format import date_time, duration
from prompts import LANGUAGES, word
from tools.types import Plan

LOOKED_BACK = 200
"""Earlier incidents whose recovery is held beside this one: the newest."""


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
            Statement(
                "Nobody has approved or rejected anything yet; nothing was run.",
                "尚无人批准或拒绝任何方案,没有执行任何操作。",
            )
        )
    return ToolResult(lead=(*lead, _outcome(incident)))


def _outcome(incident: Incident) -> Statement:
    if incident.outcome is None:
        return Statement(
            f"No outcome is verified: it is {word('status', incident.status, 'en')}.",
            f"尚未验证任何结果:当前{word('status', incident.status, 'zh')}。",
        )
    en, zh = (word("outcome", incident.outcome, language) for language in LANGUAGES)
    fact = noted(
        incident.id, "outcome", f"verified: {en}", incident.updated_at, source="store",
        query=f"incident={incident.id}",
    )  # fmt: skip
    return Statement(f"Verified after it: {en}.", f"执行后的验证结果:{zh}。", (fact,))


class RemedyArguments(ToolArguments):
    """Which remedy is thought of."""

    remedy: Literal["rollback", "restart", "scale"] = Field(
        default="rollback", description="What would be done."
    )


_REMEDIES = {
    "rollback": ("a roll back", "回滚", ("rollback", "undo")),
    "restart": ("a restart", "重启", ("restart",)),
    "scale": ("scaling", "扩容", ("scale",)),
}
"""What each is called, and the words that steps of the catalogue which do it carry."""


def advice(given: RemedyArguments, scope: ToolContext) -> ToolResult:
    """Whether the catalogue has it for this kind of fault, its effect, risk and verification."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    offered = plan_or_why_none(scope, incident)
    plan, (en, zh, _) = offered.plan, _REMEDIES[given.remedy]
    does = plan is not None and _does(plan, given.remedy)
    if plan is None:
        lead = (
            Statement(
                f"No: {en} is not advised, no plan stands for it.",
                f"不建议{zh}:没有支持它的方案。",
            ),
            *offered.lead,
        )
        return ToolResult(lead=lead, rows=_by_catalogue(given.remedy, incident, scope))
    fact = noted(
        plan.component, "plan", f"plan {plan.id}: {plan.title}", plan.created_at, source="store",
        query=f"plan={plan.id}",
    )  # fmt: skip
    done = incident.status in ("acting", "recovered")
    title, title_zh = plain(plan.title, 120), plain(plan.title_zh or plan.title, 120)
    risk, risk_zh = (word("risk", plan.risk, language) for language in LANGUAGES)
    if does and done:
        status = word("status", incident.status, "en"), word("status", incident.status, "zh")
        first = Statement(
            f"Not again: “{title}” was approved; the incident is {status[0]} (risk {risk}).",
            f"不必再{zh}:“{title_zh}”已获批准,事件{status[1]}(风险 {risk_zh})。",
            (fact,),
        )
    elif does:
        first = Statement(
            f"Yes: {title}, risk {risk}. A person decides: `copilot approve {plan.incident_id}`.",
            f"建议:{title_zh},风险 {risk_zh}。由人决定:`copilot approve {plan.incident_id}`。",
            (fact,),
        )
    elif done:
        status = word("status", incident.status, "en"), word("status", incident.status, "zh")
        first = Statement(
            f"No {en.removeprefix('a ')} is needed: “{title}” was approved (risk {risk}); the "
            f"incident is {status[0]}.",
            f"不需要{zh}:“{title_zh}”已获批准(风险 {risk_zh}),事件{status[1]}。",
            (fact,),
        )
    else:
        first = Statement(
            f"Not {en}: the plan is “{title}”, risk {risk}; a person decides.",
            f"不建议{zh}:方案是“{title_zh}”,风险 {risk_zh};由人决定。",
            (fact,),
        )
    rows = _effect(plan) + (() if does else _by_catalogue(given.remedy, incident, scope))
    return ToolResult(lead=(first,), rows=(*rows, *_undone(incident)), services=(plan.component,))


def _does(plan: Plan, remedy: str) -> bool:
    words = _REMEDIES[remedy][2]
    said = " ".join((plan.playbook_id, *(f"{step.title} {step.arguments}" for step in plan.steps)))
    return any(one in said.lower() for one in words)


def _effect(plan: Plan) -> tuple[Statement, ...]:
    """What is expected, what it touches, and how it is verified."""
    hold, within = duration(plan.verification.hold_s), duration(plan.verification.within_s)
    steps = len(plan.rollback)
    return (
        Statement(
            f"Expected: {plan.expected_effect or '–'}",
            f"预期:{plan.expected_effect_zh or plan.expected_effect or '–'}",
        ),
        Statement(
            f"Touches: {plan.blast_radius or '–'}",
            f"波及:{plan.blast_radius_zh or plan.blast_radius or '–'}",
        ),
        Statement(
            f"Verified by its series: normal again within {within}, for {hold}; its roll back has "
            f"{steps} step{'s' * (steps != 1)}.",
            f"验证方式:指标须在 {within} 内恢复正常并保持 {hold};其回退有 {steps} 步。",
        ),
    )


def _undone(incident: Incident) -> tuple[Statement, ...]:
    """The change nearest before the onset of the located component, which a roll back undoes."""
    leading = [one.component for one in incident.ranking.candidates[:1]]
    made = [one for one in incident.evidence if one.kind == "change" and one.subject in leading]
    return tuple(own(one) for one in made[:1])


def _by_catalogue(remedy: str, incident: Incident, scope: ToolContext) -> tuple[Statement, ...]:
    """Which playbooks the catalogue has against the located kind of fault, and if any does it."""
    first = incident.ranking.candidates[:1]
    kind = first[0].fault_kind if first else None
    if kind is None:
        return ()
    fitting = [one for one in scope.playbooks if any(kind in case.faults for case in one.applies)]
    words = _REMEDIES[remedy][2]
    doing = [
        one.id
        for one in fitting
        if any(w in f"{one.id} {' '.join(s.title.en for s in one.steps)}".lower() for w in words)
    ]
    en, zh, _ = _REMEDIES[remedy]
    names = ", ".join(one.id for one in fitting) or "–"
    has, has_zh = (
        (f"{en} is in {', '.join(doing)}", f"其中 {', '.join(doing)} 含{zh}")
        if doing
        else (f"{en} is not among them", f"其中没有{zh}")
    )
    return (
        Statement(
            f"Against {word('fault_kind', kind, 'en')} the catalogue has {names}; {has}.",
            f"针对{word('fault_kind', kind, 'zh')},预案库有 {names};{has_zh}。",
        ),
    )


def outlook(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """What is known of the time left: how long it lasts, what it waits for, what others took."""
    incident = scope.incident
    if incident is None:
        return NO_INCIDENT
    onset = scope.onset or incident.opened_at
    status = word("status", incident.status, "en"), word("status", incident.status, "zh")
    if incident.clocks.recovered is not None:
        took = duration(max(0.0, incident.clocks.recovered - onset))
        return ToolResult(
            lead=(
                Statement(f"It has recovered, {took} after the onset.", f"已恢复,起始后 {took}。"),
            )
        )
    lasted = duration(max(0.0, scope.now - onset))
    lead = Statement(
        f"Not known: there is no estimate. It has lasted {lasted} and is {status[0]}.",
        f"未知:没有可靠的预计时间。已持续 {lasted},当前{status[1]}。",
    )
    return ToolResult(lead=(lead,), rows=(_waited_for(incident), _others_took(incident, scope)))


def _waited_for(incident: Incident) -> Statement:
    plan = incident.plan
    if plan is None or incident.status != "awaiting_approval":
        return Statement("Nothing is being run that would end it.", "目前没有正在执行的操作。")
    within = duration(plan.verification.within_s)
    return Statement(
        f"The plan “{plain(plan.title, 120)}” waits for a person; once run, it is judged within "
        f"{within}.",
        f"方案“{plain(plan.title_zh or plan.title, 120)}”等待批准;执行后 {within} 内会有结论。",
    )


def _others_took(incident: Incident, scope: ToolContext) -> Statement:
    """How long the most alike recovered incident took."""
    past = [
        one
        for one in scope.store.incidents.list(limit=LOOKED_BACK)
        if one.id != incident.id and one.clocks.onset is not None and one.clocks.recovered
    ]
    other = max(past, key=lambda one: (likeness(incident, one), one.opened_at), default=None)
    if other is None or other.clocks.onset is None or other.clocks.recovered is None:
        return Statement(
            f"None of the newest {LOOKED_BACK} incidents recovered, so none tells how long.",
            f"最近 {LOOKED_BACK} 个事件中没有已恢复的,无从参考。",
        )
    took = duration(max(0.0, other.clocks.recovered - other.clocks.onset))
    return Statement(
        f"The most alike that recovered, {other.id}, took {took}.",
        f"最相似的已恢复事件 {other.id} 用时 {took}。",
    )


def paging(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """Yes for the located cause; for another only to tell them, where their callers feel it."""
    incident = scope.incident
    # What is not decided is no reason to wake anybody.
    located = incident.ranking.located if incident is not None else None
    leading = located.component if located is not None else ""
    name = given.service or leading
    if not name:
        return ToolResult(missing=("cause: no component stands out yet",))
    window = scope.recent()
    measured = scope.sources.measure(window, normal_before=scope.normal_before())
    seen = judged(measured, name, scope.now)
    felt = [one for one in seen if is_felt(one)]
    over = incident is not None and incident.status in CLOSED
    if name == leading and not over:
        said = Statement(
            f"Yes, page for {name}: it is the located cause.",
            f"要,{name} 是定位到的原因,应通知其负责人。",
        )
    elif felt:
        said = Statement(
            f"{name}: yes, tell them, its callers feel it; but the located cause is "
            f"{leading or 'not known'}, page for that one first.",
            f"{name}:应知会,调用方能感受到异常;但定位到的原因是 {leading or '未知'},"
            "应先通知它的负责人。",
        )
    elif not seen:
        said = Statement(
            f"{name}: not known, none of its series is measured"
            + (f"; the located cause is {leading}." if leading else "."),
            f"{name}:未知,没有测到它的任何指标"
            + (f";定位到的原因是 {leading}。" if leading else "。"),
        )
    else:
        said = Statement(
            f"{name}: no, its callers feel nothing"
            + (f"; the located cause is {leading}." if leading else "."),
            f"{name}:不必,调用方感受不到异常"
            + (f";定位到的原因是 {leading}。" if leading else "。"),
        )
    rows = tuple(own(present(one, window)) for one in felt[:3])
    return ToolResult(lead=(said, _owner(name, scope)), rows=rows, services=(name,))


def owners(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """Who owns a service by the catalogue, and who is on call by the schedules."""
    located = scope.incident.ranking.located if scope.incident is not None else None
    name = given.service or (located.component if located is not None else "")
    said = [
        Statement(f"On call ({one.schedule}): {text.en}.", f"值班({one.schedule}):{text.zh}。")
        for one in schedules_now(scope.deps.rota, scope.now)
        for text in (on_call_text(one),)
    ]
    named = scope.sources.owners.of(name) is not None or not said
    owner = [_owner(name, scope)] if named or given.service else []
    return ToolResult(lead=(*owner, *said), services=(name,) if name else ())


def _owner(name: str, scope: ToolContext) -> Statement:
    found, about = scope.sources.owners.of(name), plain(name, 80)
    if found is None and name and (scope.sources.owners or scope.deps.rota is not None):
        return Statement(
            f"Who owns {about} is not known: no catalogue names it.",
            f"{about} 的负责人未知:没有服务目录提到它。",
        )
    if found is None:
        return _nobody_told(about)
    en, zh = (found.told(language) for language in LANGUAGES)
    fact = noted(
        found.service, "owner", f"{found.service}: {en}", scope.now, source="catalogue",
        query=f"service={found.service}",
    )  # fmt: skip
    return Statement(
        f"Owner of {found.service}: {en}.", f"{found.service} 的负责人:{zh}。", (fact,)
    )


def _nobody_told(about: str) -> Statement:
    of, of_zh = (f" of {about}", f"{about} 的") if about else ("", "")
    return Statement(
        f"The owner{of} and who is on call are not known: no source of the chat tells them; "
        "nothing is configured for it (COPILOT_ON_CALL_FILE, COPILOT_CATALOGUE).",
        f"{of_zh}负责人、值班人和通知对象未知:对话没有这样的数据源,未配置"
        "(COPILOT_ON_CALL_FILE、COPILOT_CATALOGUE)。",
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


def smalltalk(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """A short answer that leads back to the incident."""
    incident = scope.incident
    if incident is None:
        return ToolResult(lead=(Statement("I am here; ask me.", "我在,请问。"),))
    status = word("status", incident.status, "en"), word("status", incident.status, "zh")
    return ToolResult(
        lead=(
            Statement(
                f"You are welcome. {incident.id} is {status[0]}.",
                f"不客气。{incident.id} 当前{status[1]}。",
            ),
        )
    )


TOOLS = (
    Tool("decisions", "Who approved or rejected what; did it help.", ToolArguments, decisions),
    Tool(
        "advice",
        "Would a roll back, restart or scaling help; effect, risk.",
        RemedyArguments,
        advice,
    ),
    Tool("outlook", "What is known of the time until it is over.", ToolArguments, outlook),
    Tool("paging", "Should the team of a service be paged.", ServiceArguments, paging),
    Tool("owners", "Who owns a service, who is on call.", ServiceArguments, owners),
    Tool("postmortem", "How to draft the postmortem.", ToolArguments, postmortem),
    Tool("smalltalk", "Nothing is looked at.", ToolArguments, smalltalk),
)
