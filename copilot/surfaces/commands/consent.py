"""What a yes to a plan would mean, asked of whoever would run it, and what came of one."""

from pydantic import ValidationError

from copilot import wiring
from copilot.case.terms import terms
from copilot.settings import Settings
from copilot.sources.clock import SystemClock
from copilot.store import ApprovalRequest
from copilot.surfaces.commands.remote import RemoteError, fetched, service
from copilot.types.incident import Incident, PlanTerms
from prompts import Language
from tools.playbook_executor import Policy


def terms_here(settings: Settings, incident: Incident, request: ApprovalRequest) -> PlanTerms:
    """The terms of a plan by the running service, or by these settings where none runs."""
    address = service(settings)
    if address:
        told = fetched(settings, address, f"/incidents/{incident.id}").get("approval")
        return terms_told(address, told)
    clock = SystemClock()
    if incident.recording:
        runner = wiring.dry_runner(clock)
    else:
        sources = wiring.configured_sources(settings)
        runner = wiring.configured_runner(settings, sources, clock, clock)
    return terms(request.plan, request.given, runner, Policy())


def terms_told(address: str, told: object) -> PlanTerms:
    """The terms in an answer of the service."""
    try:
        given = told if isinstance(told, dict) else {}
        return PlanTerms.model_validate(
            {name: given.get(name) for name in ("dry_run", "approvals")}
        )
    except ValidationError as error:
        raise RemoteError(
            f"the service at {address} does not say whether it is a dry run; is it of this version?"
        ) from error


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
