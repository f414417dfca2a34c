"""What a yes to a plan means: whether anything is really touched, and who else has to agree."""

from collections.abc import Sequence

from copilot.deps import Deps
from copilot.hands import DryRunRunner
from copilot.ports import Runner
from copilot.types.incident import ApprovalCount, Incident, PlanTerms
from prompts import Language
from tools.playbook_executor import Policy
from tools.types import Approval, Plan, StepAction

QUIET: frozenset[StepAction] = frozenset({"wait", "check"})
"""Actions that change nothing wherever they run: beside a dry run they make a plan no realer."""


def terms(plan: Plan, given: Sequence[Approval], runner: Runner, policy: Policy) -> PlanTerms:
    """The terms of a plan where `runner` would run it; the one place that calls it a dry run."""
    acting = [step for step in plan.steps if step.action not in QUIET] or plan.steps
    yes = {one.approver for one in given if one.decision == "approve"}
    return PlanTerms(
        dry_run=not any(map(runner.touches, acting)),
        approvals=ApprovalCount(given=len(yes), needed=policy.needed[plan.risk]),
        only_shown=tuple(step.index for step in plan.steps if not runner.touches(step)),
    )


def terms_in(deps: Deps, plan: Plan) -> PlanTerms:
    """The terms of a plan of this deployment, as they stand now."""
    request = deps.store.approvals.get(plan.id)
    incident = deps.store.incidents.get(plan.incident_id)
    given = request.given if request is not None else ()
    return terms(plan, given, runner_for(deps, incident), deps.policy)


def runner_for(deps: Deps, incident: Incident | None) -> Runner:
    """What runs the steps for an incident; one that came from a recording is over: dry run."""
    over = incident is not None and incident.recording
    return DryRunRunner(deps.clock) if over else deps.runner


def outcome_line(by: str, agreed: PlanTerms, runs: str, language: Language) -> str:
    """What one person's yes came to; `runs` says who goes on with it."""
    given, needed = agreed.approvals.given, agreed.approvals.needed
    chinese = language == "zh"
    if given < needed:
        return (
            f"{by} 已批准({given}/{needed}):还需另一人批准,此前不会执行任何操作"
            if chinese
            else f"approved by {by} ({given} of {needed}): another person has to approve before "
            "anything runs"
        )
    if agreed.dry_run:
        return (
            f"{by} 已批准({given}/{needed}):演练,只展示步骤,不会触及任何真实系统"
            if chinese
            else f"approved by {by} ({given} of {needed}): a dry run, its steps are only shown and "
            "nothing is really touched"
        )
    return (
        f"{by} 已批准({given}/{needed}):{runs}开始执行"
        if chinese
        else f"approved by {by} ({given} of {needed}): {runs} runs it"
    )
