"""What the nodes work with: sources, clock, runner, store, playbooks, limits. Not state."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.knowledge import Memory
from copilot.model.tie_break import RecordingTieBreaker
from copilot.ports import Clock, Model, NamingRunner, OnCallRota, Runner, Spans, no_spans
from copilot.sources.deployment import Sources
from copilot.store import Store
from prompts import Language
from tools.playbook_executor import Policy
from tools.types import PlanStep, Playbook, StepResult


def _nonce() -> str:
    """Too long to guess, short enough to stand around every section of a prompt."""
    return secrets.token_hex(6)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run; everything that ends in `_s` is in seconds.

    No plan rests on what was seen within `settle_s` of the first alert. `model_calls` and
    `model_s` are what an incident may cost of a model, over all its runs.
    """

    lookback_s: float = 3600
    evidence: int = 400
    rounds: int = 2
    plans: int = 3
    plan_ttl_s: float = 900
    verify_limit_s: float = 300
    verify_every_s: float = 15
    settle_s: float = 0
    follow_ups: int = 3
    model_calls: int = 12
    model_s: float = 180


@dataclass(frozen=True, slots=True)
class Deps:
    """Given to every node by `Runtime[Deps]`.

    `unwritten` are results of steps that the store did not take yet: this process saw them end.
    """

    store: Store
    sources: Sources
    clock: Clock
    runner: Runner
    playbooks: tuple[Playbook, ...]
    limits: Limits = Limits()
    arm: Literal["rules", "ml", "llm"] = "rules"
    policy: Policy = Policy()
    unrunnable: Mapping[str, str] = field(default_factory=dict)
    model: Model | None = None
    memory: Memory | None = None
    doubts: RecordingTieBreaker | None = None
    rota: OnCallRota | None = None
    announced: MaintenanceSchedule = field(default_factory=MaintenanceSchedule)
    language: Language = "en"
    stopwatch: Callable[[], float] = time.monotonic
    span: Spans = no_spans
    nonce: Callable[[], str] = _nonce
    unwritten: dict[str, StepResult] = field(default_factory=dict)

    @property
    def instruments(self) -> Literal["rules", "ml"]:
        """The arm of what has no model in it: with `llm` the model stands on top of the rules."""
        return "rules" if self.arm == "llm" else self.arm

    def stands_for(self, step: PlanStep) -> str:
        """What the names in a step mean to the runner; empty where nothing is really touched."""
        return self.runner.stands_for(step) if isinstance(self.runner, NamingRunner) else ""

    def note(self, incident_id: str, kind: str, reason: str, **figures: float | str) -> None:
        """Write down what a node decided and why; a node that a power cut takes is done again."""
        detail = {"reason": reason, **figures}
        with self.store.transaction(lazily=True):
            self.store.journal.append(incident_id, kind, "copilot", detail, self.clock.now())
