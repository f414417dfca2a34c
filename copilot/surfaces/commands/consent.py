"""What a yes to a plan would mean by these settings, where no service runs it."""

from copilot import wiring
from copilot.case.terms import terms
from copilot.settings import Settings
from copilot.sources.clock import SystemClock
from copilot.store import ApprovalRequest
from copilot.types.incident import Incident, PlanTerms
from tools.playbook_executor import Policy


def terms_here(settings: Settings, incident: Incident, request: ApprovalRequest) -> PlanTerms:
    """The terms of a plan by these settings."""
    clock = SystemClock()
    if incident.recording:
        runner = wiring.dry_runner(clock)
    else:
        sources = wiring.configured_sources(settings)
        runner = wiring.configured_runner(settings, sources, clock, clock)
    return terms(request.plan, request.given, runner, Policy())
