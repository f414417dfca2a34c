"""The node that verifies, as a timetable: a backlog drains after a plan, and what is said of it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from langgraph.runtime import Runtime

from copilot.case.nodes.verify import verify
from copilot.case.routes import after_verify
from copilot.case.state import IncidentState, PlanVerification
from copilot.case.waiting import DueLaterError
from copilot.deps import Deps, Limits
from copilot.hands.plain import DryRunRunner
from copilot.sources.deployment import Sources
from copilot.store import Store
from copilot.types.incident import Incident
from knowledge_base import playbooks
from tools.detector import Onset
from tools.playbook_executor import fill, step_key
from tools.types import Plan, Ranking, Series, StepResult, Window

ONSET, ACTED = 10_000.0, 10_300.0
SCALE_OUT = next(one for one in playbooks() if one.id == "scale-out")


class Watched:
    """A queue that holds 50 as a rule, 950 in the incident, and after the act what a test says."""

    def __init__(self, minutes_after: Callable[[float], float]) -> None:
        self.time = ACTED
        self._after = minutes_after

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def series(self, window: Window) -> Sequence[Series]:
        times = np.arange(ONSET - 3000.0, self.time + 1, 15.0)
        after = np.array([self._after((at - ACTED) / 60.0) for at in times])
        held = np.where(times < ONSET, 50.0, np.where(times <= ACTED, 950.0, after))
        held += np.random.default_rng(3).normal(0.0, 2.0, len(times))
        return [Series("mailer", "queue_depth", times, held).between(window)]

    def baseline(self, before: float) -> Sequence[Series]:
        return ()


class Case:
    """One incident whose plan has run, at the node that verifies."""

    def __init__(self, folder: Path, minutes_after: Callable[[float], float]) -> None:
        self.world = Watched(minutes_after)
        self.store = Store(f"sqlite:///{folder / 'store.sqlite'}")
        self.store.create()
        self.store.incidents.open(
            Incident(id="inc-1", title="t", opened_at=ONSET, updated_at=ONSET)
        )
        values = {"service": "mailer", "replicas": 4, "replicas_before": 2}
        self.plan: Plan = fill(SCALE_OUT, values, "inc-1", "mailer", (), ONSET + 60, 900.0)
        key = step_key(self.plan, 0)
        ran = StepResult(key=key, ok=True, started_at=ACTED - 1, ended_at=ACTED)
        self.state = IncidentState(
            incident_id="inc-1",
            run_id="run-1",
            plan=self.plan,
            results=[ran],
            ranking=Ranking(),
            onset=Onset(at=ONSET, confidence=0.9, reason="given"),
        )
        self.deps = Deps(
            store=self.store,
            sources=Sources(metrics=self.world),
            clock=self.world,
            runner=DryRunRunner(self.world),
            playbooks=(SCALE_OUT,),
            limits=Limits(verify_every_s=60),
        )

    def until_over(self) -> PlanVerification:
        """Look when the next look is due, until nothing more is looked at."""
        while True:
            try:
                seen = verify(self.state, Runtime(context=self.deps))["verified"]
            except DueLaterError as later:
                self.world.time = later.at
                continue
            self.state["verified"] = seen
            if seen.over:
                return seen
            self.world.time = seen.next_at

    def told(self) -> list[tuple[float, str, str]]:
        """Minutes after the act, outcome and reason of each verdict in the journal."""
        return [
            ((one.at - ACTED) / 60.0, str(one.detail["outcome"]), str(one.detail["reason"]))
            for one in self.store.journal.events("inc-1")
            if one.kind == "verified"
        ]


def drained(per_minute: float, until: float = np.inf) -> Callable[[float], float]:
    return lambda minutes: max(50.0, 950.0 - per_minute * min(minutes, until))


@pytest.mark.parametrize(
    ("after", "outcomes", "minutes"),
    [
        pytest.param(drained(400.0), ["recovered"], (2, 5), id="drained before its time is up"),
        pytest.param(drained(100.0), ["recovering", "recovered"], (8, 10), id="drains longer"),
        pytest.param(drained(60.0, 6), ["recovering", "unchanged"], (6, 12), id="stops half way"),
        pytest.param(drained(0.0), ["unchanged"], (5, 6), id="does not drain"),
        pytest.param(drained(30.0), ["unchanged"], (5, 6), id="drains for half an hour"),
    ],
)
def test_what_is_on_its_way_is_waited_for(
    tmp_path: Path,
    after: Callable[[float], float],
    outcomes: list[str],
    minutes: tuple[float, float],
) -> None:
    case = Case(tmp_path, after)
    last = case.until_over()
    assert [outcome for _, outcome, _ in case.told()] == outcomes
    assert last.outcome == outcomes[-1]
    assert minutes[0] <= (case.world.now() - ACTED) / 60.0 <= minutes[1]
    assert case.store.incidents.require("inc-1").outcome == outcomes[-1]
    assert after_verify(case.state) == ("gather" if last.outcome == "unchanged" else "report")
    assert case.store.outcomes.all() == ()


@pytest.mark.parametrize("turns_at", [4.5, 6.0, 9.5])
def test_what_turns_worse_at_the_very_end_is_rolled_back_and_not_called_unchanged(
    tmp_path: Path, turns_at: float
) -> None:
    def mends_then_breaks(minutes: float) -> float:
        return 950.0 - 60.0 * minutes if minutes < turns_at else 3000.0

    case = Case(tmp_path, mends_then_breaks)
    assert case.until_over().outcome == "worse"
    assert (case.world.now() - ACTED) / 60.0 <= turns_at + 3.1
    assert after_verify(case.state) == "act"


def test_when_it_will_be_done_is_said_when_its_time_is_up(tmp_path: Path) -> None:
    case = Case(tmp_path, drained(100.0))
    case.until_over()
    (at, _, reason), _ = case.told()
    assert at == pytest.approx(5.0, abs=0.3)
    assert reason.startswith("recovering, done in about 3 min if it goes on so: 0 of 1 watched")
