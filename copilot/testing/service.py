"""Behind the service: an engine that only writes down what it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.case.answers import RetryWish, StepAnswer, check_right
from copilot.case.editing import Edit
from copilot.case.loops import Loop
from copilot.case.merging import MergeWish, SplitWish
from copilot.model import Usage
from copilot.ports import OnCallRota
from copilot.sources.patience import SourceTally
from copilot.store import (
    AcceptedAlerts,
    ApprovalRequest,
    PolicyRefusedError,
    Store,
    UnknownPlanError,
)
from copilot.types.incident import ApprovalCount, Incident, PlanTerms
from tools.clusterer import Silence
from tools.playbook_executor import Policy
from tools.types import Alert, Approval, Plan, Timestamp


@dataclass(slots=True)
class CountedEngine:
    """An engine of the service that writes what it is given and works on nothing.

    Its time stands still until `time` is set. `broken` is raised by the next `accept`, once; that
    is how a test sees what the service makes of a fault behind it.
    """

    store: Store
    time: Timestamp = 1_700_000_000.0
    checks: dict[str, str] = field(default_factory=lambda: {"store": "ok", "workers": "ok"})
    broken: Exception | None = None
    silences: tuple[Silence, ...] = ()
    announced: MaintenanceSchedule = field(default_factory=MaintenanceSchedule)
    dry_run: bool = True
    needed: int = 1
    alerts_accepted: int = 0
    alerts_repeated: int = 0
    incidents_opened: int = 0
    runs_finished: int = 0
    runs_failed: int = 0
    approvals_decided: int = 0
    forecasts_told: int = 0
    forecasts_came_true: int = 0
    forecasts_not_come: int = 0
    usage: Usage | None = None
    asked: dict[str, SourceTally] = field(default_factory=dict)
    leading: bool = True
    loops: tuple[Loop, ...] = ()
    policy: Policy = field(default_factory=Policy)
    rota: OnCallRota | None = None

    @property
    def counters(self) -> "CountedEngine":
        """Itself: it counts what it did."""
        return self

    def now(self) -> Timestamp:
        """The time that was set."""
        return self.time

    def accept(self, alerts: Sequence[Alert], now: Timestamp) -> AcceptedAlerts:
        """Write the alerts to the store."""
        if self.broken is not None:
            broken, self.broken = self.broken, None
            raise broken
        accepted = self.store.alerts.accept(self.store.redactor.models(alerts), now)
        self.alerts_accepted += len(accepted.new) + len(accepted.resolved)
        self.alerts_repeated += accepted.repeated
        return accepted

    def silence(self, silences: Sequence[Silence]) -> None:
        """Keep them to be looked at."""
        self.silences = tuple(silences)

    def heed(self) -> None:
        """Keep the silences of the store as what is announced."""
        self.announced.keep(self.store.silences.standing(self.time))

    def terms(self, plan: Plan) -> PlanTerms:
        """What was set, and the answers that the store has."""
        request = self.store.approvals.get(plan.id)
        given = len(request.given) if request else 0
        return PlanTerms(
            dry_run=self.dry_run, approvals=ApprovalCount(given=given, needed=self.needed)
        )

    def edit(self, wanted: Edit) -> ApprovalRequest:
        """Refuse: nothing here has a catalogue to fill a plan from."""
        raise UnknownPlanError(f"plan {wanted.plan_id!r} cannot be edited here")

    def decide(self, approval: Approval) -> ApprovalRequest:
        """Record the answer in the store; raises what the policy or the store refuses with."""
        asked = self.store.approvals.get(approval.plan_id)
        plan = asked.plan if asked else None
        check_right(self.policy, approval.approver, approval.decision, plan)
        request = self.store.approvals.decide(approval, self.time, self.needed)
        self.approvals_decided += 1
        return request

    def settle(self, answer: StepAnswer) -> Incident:
        """Refuse: no step ever runs here."""
        raise PolicyRefusedError(f"incident {answer.incident_id!r} has no step to be told about")

    def retry(self, wish: RetryWish) -> Incident:
        """Refuse: no run ever breaks here."""
        raise PolicyRefusedError(f"incident {wish.incident_id!r} did not fail")

    def merge(self, wish: MergeWish) -> Incident:
        """Refuse: nothing here groups alerts."""
        raise PolicyRefusedError(f"incident {wish.incident_id!r} cannot be merged here")

    def split(self, wish: SplitWish) -> Incident:
        """Refuse: nothing here groups alerts."""
        raise PolicyRefusedError(f"incident {wish.incident_id!r} cannot be split here")

    def ready(self) -> Mapping[str, str]:
        """The checks that were set."""
        return self.checks
