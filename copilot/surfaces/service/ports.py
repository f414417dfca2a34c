"""What the service needs of the rest: the engine behind it, and what an operator may set."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import SecretStr

from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.case.answers import RetryWish, StepAnswer
from copilot.case.editing import Edit
from copilot.case.merging import MergeWish, SplitWish
from copilot.model import Usage
from copilot.ports import OnCallRota
from copilot.sources.patience import SourceTally
from copilot.store import AcceptedAlerts, ApprovalRequest, Store
from copilot.types.incident import Incident, PlanTerms
from tools.clusterer import Silence
from tools.playbook_executor import Policy
from tools.types import Alert, Approval, FrozenModel, Plan, Timestamp


class ServiceCounters(Protocol):
    """What the engine did since it started."""

    @property
    def alerts_accepted(self) -> int: ...

    @property
    def alerts_repeated(self) -> int: ...

    @property
    def incidents_opened(self) -> int: ...

    @property
    def runs_finished(self) -> int: ...

    @property
    def runs_failed(self) -> int: ...

    @property
    def approvals_decided(self) -> int: ...

    @property
    def forecasts_told(self) -> int: ...

    @property
    def forecasts_came_true(self) -> int: ...

    @property
    def forecasts_not_come(self) -> int: ...


class ServiceLoop(Protocol):
    """A thread of the engine: how often it failed since the start, and since it last worked.

    `rest_s` is how often it works at most, in seconds; `worked_at` when it last did, Unix seconds.
    """

    @property
    def name(self) -> str: ...

    @property
    def failures(self) -> int: ...

    @property
    def failing(self) -> int: ...

    @property
    def worked_at(self) -> float: ...

    @property
    def rest_s(self) -> float: ...


class ServiceEngine(Protocol):
    """Takes alerts and decisions; everything else the service reads from the store."""

    @property
    def store(self) -> Store: ...

    @property
    def counters(self) -> ServiceCounters: ...

    @property
    def usage(self) -> Usage | None:
        """What asking the model came to; None without one."""
        ...

    @property
    def asked(self) -> Mapping[str, SourceTally]:
        """How the sources answered since the start, by name."""
        ...

    @property
    def loops(self) -> Sequence[ServiceLoop]:
        """Its threads."""
        ...

    @property
    def leading(self) -> bool:
        """Whether this process decides on alerts; of several on one database, one does."""
        ...

    @property
    def policy(self) -> Policy:
        """Who may decide."""
        ...

    @property
    def rota(self) -> OnCallRota | None:
        """Who is on call; None where nobody says."""
        ...

    def now(self) -> Timestamp:
        """The engine's time: the wall clock, or where a replay stands."""
        ...

    def accept(self, alerts: Sequence[Alert], now: Timestamp) -> AcceptedAlerts:
        """Write the alerts; they are on disk on return. `now` is the time they were read with."""
        ...

    @property
    def announced(self) -> MaintenanceSchedule:
        """What mutes alerts: windows, inhibitions, silences of ours and of others."""
        ...

    def silence(self, silences: Sequence[Silence]) -> None:
        """What people asked another Alertmanager not to be told of, as it stands now."""
        ...

    def heed(self) -> None:
        """Go by the silences of the store from now on."""
        ...

    def decide(self, approval: Approval) -> ApprovalRequest:
        """Record a person's answer; raises `RefusedError` with the reason it does not count."""
        ...

    def terms(self, plan: Plan) -> PlanTerms:
        """Whether a yes to the plan touches anything, and how many people have to agree."""
        ...

    def edit(self, wanted: Edit) -> ApprovalRequest:
        """Put another plan in place of one that waits; raises `RefusedError` with the reason."""
        ...

    def settle(self, answer: StepAnswer) -> Incident:
        """Take a person's word on a step whose end nobody saw; raises `RefusedError`."""
        ...

    def retry(self, wish: RetryWish) -> Incident:
        """Work again on an incident that was set aside; raises `RefusedError`."""
        ...

    def merge(self, wish: MergeWish) -> Incident:
        """Close an incident into another one; raises `RefusedError` with the reason."""
        ...

    def split(self, wish: SplitWish) -> Incident:
        """Open an incident with some alerts of another one; raises `RefusedError`."""
        ...

    def ready(self) -> Mapping[str, str]:
        """Each check with `ok` or what is wrong."""
        ...


class ServiceSettings(Protocol):
    """The part of the settings that the door holds to."""

    @property
    def api_key(self) -> SecretStr | None: ...

    @property
    def max_body_bytes(self) -> int: ...

    @property
    def max_alerts(self) -> int: ...


class Streams(FrozenModel):
    """How event streams behave; everything that ends in `_s` is in seconds."""

    poll_s: float = 0.5
    heartbeat_s: float = 15.0
    longest_s: float = 600.0  # then the client comes back with Last-Event-ID; nothing hangs forever
    most: int = 64
    viewers: int = 500  # of the feed over all incidents, which is read once for all of them
