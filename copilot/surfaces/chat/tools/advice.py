"""playbooks, plan: what could be done, and what waits for a person."""

from pydantic import Field

from copilot.case.briefing import plain
from copilot.case.guards import weak_cause_objection
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import Statement, ToolResult, capped, noted
from copilot.surfaces.chat.tools.tool import MOST_ROWS, Tool, ToolArguments
from tools.playbook_executor import ParameterError, choose, fill
from tools.types import Choice, FaultKind, Finding, Plan, Playbook


class FaultArguments(ToolArguments):
    """For which kind of fault."""

    fault: FaultKind | None = Field(default=None, description="Empty: the whole catalogue.")


def playbooks(given: FaultArguments, scope: ToolContext) -> ToolResult:
    """The catalogue: id, risk, title; nothing is chosen by listing it."""
    fitting = [
        one
        for one in scope.playbooks
        if given.fault is None or any(given.fault in case.faults for case in one.applies)
    ]
    if not fitting:
        return ToolResult(missing=("playbooks: none is for this kind of fault",))
    rows, more = capped([_playbook(one, scope) for one in fitting], MOST_ROWS)
    return ToolResult(rows=rows, more=more)


def plan(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """The plan that waits, or what the catalogue would choose now; approving is done elsewhere."""
    incident = scope.incident
    if incident is None:
        return ToolResult(missing=("incident: none is stored",))
    if incident.plan is not None and incident.status == "awaiting_approval":
        return ToolResult(plan=incident.plan, waits=True, lead=(_waiting(incident.plan),))
    if incident.plan is not None and incident.status in ("acting", "recovered"):
        return ToolResult(lead=(_was_run(incident.plan, incident.status),))
    return _proposed(scope)


def _playbook(one: Playbook, scope: ToolContext) -> Statement:
    return Statement(
        f"{one.id}, risk {one.risk}: {one.title.en}",
        f"{one.id},风险 {one.risk}:{one.title.zh}",
        (_catalogued(one, scope),),
    )


def _catalogued(one: Playbook, scope: ToolContext) -> Finding:
    return noted(
        one.id,
        "playbook",
        f"playbook {one.id}, risk {one.risk}: {one.title.en}",
        scope.now,
        source="playbooks",
        query=f"playbook={one.id}",
    )


def _waiting(proposed: Plan) -> Statement:
    fact = noted(
        proposed.component,
        "plan",
        f"plan {proposed.id} waits for approval: {proposed.title}",
        proposed.created_at,
        source="store",
        query=f"plan={proposed.id}",
    )
    return Statement(
        f"A plan waits for a person: {proposed.title}.",
        f"有方案等待批准:{proposed.title_zh or proposed.title}。",
        (fact,),
    )


def _was_run(made: Plan, status: str) -> Statement:
    fact = noted(
        made.component,
        "plan",
        f"plan {made.id} was approved: {made.title}; now {status}",
        made.created_at,
        source="store",
        query=f"plan={made.id}",
    )
    return Statement(
        f"The plan “{made.title}” was approved; the incident is now {status}.",
        f"方案“{made.title_zh or made.title}”已获批准;事件现状:{status}。",
        (fact,),
    )


def _proposed(scope: ToolContext) -> ToolResult:
    incident = scope.incident
    assert incident is not None
    doubt = weak_cause_objection(incident.ranking, incident.evidence)
    if doubt is not None and not incident.ranking.abstained:
        return _advised(scope, doubt.reason, doubt.check.en, doubt.check.zh)
    choice = choose(
        scope.playbooks,
        incident.ranking,
        scope.sources.facts(scope.onset or scope.now),
        scope.store.outcomes.all(),
        now=scope.now,
    )
    check = choice.check
    if choice.abstained:
        return _advised(scope, choice.reason, check.en if check else "", check.zh if check else "")
    try:
        return _filled(scope, choice)
    except ParameterError as error:
        return _advised(scope, str(error), check.en if check else "", check.zh if check else "")


def _filled(scope: ToolContext, choice: Choice) -> ToolResult:
    playbook = next(one for one in scope.playbooks if one.id == choice.playbook_id)
    incident = scope.incident
    assert incident is not None
    made = fill(
        playbook, choice.parameters, incident.id, choice.component, choice.evidence,
        scope.now, scope.limits.plan_ttl_s,
    )  # fmt: skip
    lead = Statement(
        f"The catalogue offers {playbook.id} on {choice.component}: {made.title}.",
        f"预案库建议对 {choice.component} 执行 {playbook.id}:{made.title_zh or made.title}。",
        (_catalogued(playbook, scope),),
    )
    return ToolResult(lead=(lead,), plan=made, services=(choice.component,))


def _advised(scope: ToolContext, reason: str, en: str, zh: str) -> ToolResult:
    fact = noted(
        scope.incident.id if scope.incident else "plan",
        "no plan",
        f"no plan is proposed: {reason}",
        scope.now,
        source="playbooks",
        query="choose",
    )
    return ToolResult(
        lead=(
            Statement(
                f"No plan is proposed: {plain(reason, 200)}. {en}".strip(),
                f"没有可提出的方案:{plain(reason, 200)}。{zh}".strip(),
                (fact,),
            ),
        )
    )


TOOLS = (
    Tool(
        "playbooks", "The playbooks of the catalogue, by kind of fault.", FaultArguments, playbooks
    ),
    Tool(
        "plan",
        "The plan that waits for a person, or what the catalogue would choose. Runs nothing.",
        ToolArguments,
        plan,
    ),
)
