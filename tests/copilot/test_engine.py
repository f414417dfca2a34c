"""The engine as timetables: what arrives when, and what stands in the store afterwards."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event

import pytest
from langgraph.runtime import Runtime

from copilot import wiring
from copilot.case.engine import Engine
from copilot.case.graph import NODES, NodeFunction
from copilot.case.nodes.gather import without_own_changes
from copilot.case.nodes.triage import TriageUpdate
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.ports import Runner, SourceError
from copilot.settings import load
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.store import PolicyRefusedError
from copilot.types.incident import Incident
from evals.simulator import scenario
from evals.torture.survival import DurableWorld
from tools.types import Alert, Approval, Change, Owner, PlanStep, Series, StepResult, Window

SCENARIO = scenario("pool_exhaustion", 3)
FAULT = SCENARIO.start + SCENARIO.quiet_s


class Idle:
    """A runner that does nothing and says that it did."""

    def run(self, step: PlanStep, key: str) -> StepResult:
        return StepResult(
            key=key, ok=True, output=step.title, started_at=FAULT + 91, ended_at=FAULT + 91
        )

    def touches(self, step: PlanStep) -> bool:
        return True


class Desk:
    """An engine over a simulated world, and the hands of a person."""

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        runner: Runner | None = None,
        nodes: dict[str, NodeFunction] | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.world = DurableWorld(SCENARIO, folder / "world.jsonl")
        self.engine: Engine = stack.enter_context(
            wiring.engine(
                load(data_dir=folder / "data", refresh_s=0),
                "test",
                sources=self.world.sources,
                clock=self.world,
                runner=runner or self.world,
                nodes=nodes,
            )
        )

    def at(self, after_onset_s: float) -> "Desk":
        self.world.sleep(FAULT + after_onset_s - self.world.now())
        return self

    def alerts(self, until_s: float) -> list[Alert]:
        return list(self.world.source.alerts(Window(start=FAULT - 600, end=FAULT + until_s)))

    def deliver(self, alerts: list[Alert]) -> None:
        self.engine.accept(alerts, self.engine.now())
        self.engine.drain()

    def decide(self, decision: str, digest: str = "", reason: str = "") -> None:
        plan = self.incident.plan
        assert plan is not None
        self.engine.decide(
            Approval(
                plan_id=plan.id,
                digest=digest or plan.digest,
                decision="approve" if decision == "approve" else "reject",
                approver="anna",
                reason=reason,
                decided_at=self.engine.now(),
            )
        )
        self.engine.drain()

    @property
    def incidents(self) -> tuple[Incident, ...]:
        return self.engine.store.incidents.list()

    @property
    def incident(self) -> Incident:
        (only,) = self.incidents
        return only

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.engine.store.journal.events()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(tmp_path, stack)


def test_from_alerts_to_a_verified_recovery(desk: Desk) -> None:
    desk.at(90).deliver(desk.alerts(90))
    assert desk.incident.status == "awaiting_approval"
    assert desk.incident.brief["en"].startswith("# ")
    assert desk.world.actions() == []
    desk.decide("approve")
    assert (desk.incident.status, desk.incident.outcome) == ("recovered", "recovered")
    assert desk.kinds == [
        "opened",
        "triaged",
        "gathered",
        "located",
        "briefed",
        "diagnosed",
        "planned",
        "approved",
        *["acted"] * len(desk.world.actions()),
        "verified",
        "reported",
    ]
    clocks = desk.incident.clocks
    assert clocks.onset == pytest.approx(FAULT, abs=30)
    assert clocks.detected == FAULT + 90
    assert clocks.recovered is not None
    assert clocks.recovered - FAULT < 600
    for language in ("en", "zh"):
        assert "resize-pool" in desk.incident.report[language]


def test_the_brief_is_out_at_once_and_the_plan_rests_on_what_was_seen_later(desk: Desk) -> None:
    soon = next(float(s) for s in range(5, 300, 5) if desk.at(s).alerts(s))
    alerts = desk.alerts(soon)
    first = min(alert.starts_at for alert in alerts)
    desk.deliver(alerts)
    events = [(event.kind, event.at) for event in desk.engine.store.journal.events()]
    looks = [at for kind, at in events if kind == "gathered"]
    assert dict(reversed(events))["briefed"] == looks[0] == FAULT + soon
    assert looks[0] < first + 30 <= looks[1]
    assert all(at >= looks[1] for kind, at in events if kind in ("planned", "abstained"))


def test_after_a_plan_that_did_not_help_the_evidence_is_gathered_anew(tmp_path: Path) -> None:
    with ExitStack() as stack:
        desk = Desk(tmp_path, stack, runner=Idle())
        desk.at(90).deliver(desk.alerts(90))
        desk.decide("approve")
        kinds = desk.kinds
        assert desk.incident.outcome != "recovered"
    last = max(place for place, kind in enumerate(kinds) if kind == "verified")
    assert kinds[last + 1 : last + 5] == ["gathered", "located", "briefed", "diagnosed"]
    assert kinds.count("gathered") == 2


def test_a_change_of_ours_is_no_evidence_and_one_of_others_is(desk: Desk) -> None:
    desk.at(90).deliver(desk.alerts(90))
    plan = desk.incident.plan
    assert plan is not None
    desk.decide("approve")
    (result, *_) = desk.incident.results
    ours, before = (
        Change(at=at, service=Owner.parse(plan.component).service, kind="config")
        for at in (result.ended_at, FAULT - 600.0)
    )
    elsewhere = ours.model_copy(update={"service": "elsewhere"})
    window = Window(start=FAULT - 3600.0, end=desk.engine.now())
    found = without_own_changes((ours, before, elsewhere), desk.engine.store, window)
    assert found == (before, elsewhere)


@pytest.mark.parametrize(
    ("opened_at", "planned_at", "left"),
    [
        pytest.param(FAULT, FAULT + 60, True, id="an older incident asked first"),
        pytest.param(FAULT + 80, FAULT + 85, True, id="a younger incident asked first"),
        pytest.param(FAULT, FAULT + 900, False, id="an older incident asked later"),
    ],
)
def test_a_target_that_another_incident_asked_about_first_is_left_to_it(
    opened_at: float, planned_at: float, left: bool, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        first = Desk(tmp_path / "first", stack)
        first.at(90).deliver(first.alerts(90))
        plan = first.incident.plan
        assert plan is not None
        plan = plan.model_copy(update={"created_at": planned_at})
        changes = {"id": "inc-other", "opened_at": opened_at, "plan": plan}
        desk = Desk(tmp_path / "second", stack)
        desk.engine.store.incidents.open(first.incident.model_copy(update=changes))
        desk.at(90).deliver(desk.alerts(90))
        (ours,) = [one for one in desk.incidents if one.id != "inc-other"]
    assert (ours.status == "handed_over", ours.plan is None) == (left, left)
    assert ("is worked on in inc-other already" in ours.brief["en"]) == left


def test_the_same_delivery_again_opens_nothing(desk: Desk) -> None:
    first = desk.at(90).alerts(90)
    desk.deliver(first)
    before = desk.kinds
    desk.deliver(first)
    assert len(desk.incidents) == 1
    assert desk.kinds == before


BEHIND = "UPDATE checkpoints SET metadata = json_set(metadata, '$.journal', '99999:ff')"


@pytest.mark.integration
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("DELETE FROM checkpoints", id="its checkpoints are gone"),
        pytest.param(BEHIND, id="the store is behind them"),
    ],
)
def test_a_yes_outlives_a_power_cut_that_took_what_its_run_knew(
    fault: str, desk: Desk, tmp_path: Path
) -> None:
    desk.at(90).deliver(desk.alerts(90))
    with closing(sqlite3.connect(tmp_path / "data/checkpoints.sqlite")) as checkpoints:
        checkpoints.execute(fault)
        checkpoints.commit()
    desk.decide("approve")
    assert (desk.incident.status, desk.incident.outcome) == ("recovered", "recovered")
    assert len(desk.world.actions()) == 1
    assert desk.kinds.count("triaged") == 2


def test_a_rejection_brings_another_plan_or_a_person_and_never_the_same(desk: Desk) -> None:
    desk.at(90).deliver(desk.alerts(90))
    rejected = desk.incident.plan
    assert rejected is not None
    desk.decide("reject", reason="not during the sale")
    assert desk.world.actions() == []
    again = desk.incident.plan
    assert again is None or again.playbook_id != rejected.playbook_id
    assert "rejected" in desk.kinds


def test_another_digest_is_refused_and_changes_nothing(desk: Desk) -> None:
    desk.at(90).deliver(desk.alerts(90))
    with pytest.raises(PolicyRefusedError, match="digest"):
        desk.decide("approve", digest="f" * 64)
    assert desk.incident.status == "awaiting_approval"
    assert desk.world.actions() == []


def test_a_plan_nobody_answers_expires_and_goes_to_a_person(desk: Desk) -> None:
    desk.at(90).deliver(desk.alerts(90))
    desk.at(90 + 901)
    with pytest.raises(PolicyRefusedError, match="expired"):
        desk.decide("approve")
    desk.engine.upkeep()
    desk.engine.drain()
    assert desk.incident.status == "handed_over"
    assert desk.incident.plan is None
    assert desk.world.actions() == []
    assert "expired" in desk.kinds


def test_alerts_that_join_refresh_the_brief_and_withdraw_the_old_plan(desk: Desk) -> None:
    desk.at(50).deliver(desk.alerts(50))
    old = desk.incident.plan
    desk.at(120).deliver(desk.alerts(120))
    desk.engine.upkeep()
    desk.engine.drain()
    assert "refreshed" in desk.kinds
    new = desk.incident.plan
    assert new is not None
    assert old is None or new.digest != old.digest
    assert len(desk.engine.store.approvals.pending()) == 1


@pytest.mark.parametrize("broken", [False, True])
def test_what_was_learned_of_noise_outlives_the_process(
    broken: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load(data_dir=tmp_path, watch_every_s=0)
    with wiring.engine(settings, "first") as engine:
        engine.start()
        engine.accept([Alert(fingerprint="f1", name="Odd", starts_at=1e9)], engine.now())
        assert engine.settled(timeout_s=60)
        engine.stop()
    kept = tmp_path / "noise.json"
    assert "f1" in kept.read_text(encoding="utf-8")
    if broken:
        kept.write_text('{"habits": 3', encoding="utf-8")
    with wiring.engine(settings, "second") as engine:
        engine.start()
        engine.stop()
    assert json.loads(kept.read_text(encoding="utf-8"))["habits"]["f1"]["episodes"] == 1
    assert ("learned of noise is lost" in caplog.text) is broken


class Hurried(SystemClock):
    """A wall clock that a test moves on."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


def test_what_the_evidence_does_not_decide_is_looked_at_again_a_bounded_number_of_times(
    tmp_path: Path,
) -> None:
    wall = Hurried()
    with wiring.engine(load(data_dir=tmp_path), "test", sources=Sources(), wall=wall) as engine:
        alone = Alert(fingerprint="f", name="Odd", service="", starts_at=engine.now())
        engine.accept([alone], engine.now())
        engine.drain()
        (incident,) = engine.store.incidents.list()
        assert incident.ranking.abstained
        for _ in range(10):
            wall.ahead += 61
            engine.upkeep()
            engine.drain()
        assert len(engine.store.runs.of(incident.id)) == 4
        again = [e for e in engine.store.journal.events(incident.id) if e.kind == "refreshed"]
        assert {e.detail["reason"] for e in again} == {"the evidence did not decide yet"}


def test_an_incident_whose_alerts_all_end_is_resolved_and_takes_no_more(desk: Desk) -> None:
    lone = Alert(fingerprint="f1", name="DiskSlow", service="search", starts_at=FAULT + 10)
    desk.at(20).deliver([lone])
    ended = lone.model_copy(update={"status": "resolved", "ends_at": FAULT + 30})
    desk.at(30).deliver([ended])
    assert desk.incident.status == "resolved"
    desk.at(900).deliver([lone.model_copy(update={"starts_at": FAULT + 895})])
    assert len(desk.incidents) == 2


def test_an_incident_that_ends_while_it_is_looked_at_gets_no_plan(tmp_path: Path) -> None:
    def meanwhile(state: IncidentState, runtime: Runtime[Deps]) -> object:
        runtime.context.store.incidents.update(state["incident_id"], FAULT + 95, status="resolved")
        return NODES["diagnose"](state, runtime)

    with ExitStack() as stack:
        desk = Desk(tmp_path, stack, nodes={**NODES, "diagnose": meanwhile})
        desk.at(90).deliver(desk.alerts(90))
        assert desk.incident.status == "resolved"
        assert desk.incident.plan is None
        assert "planned" not in desk.kinds
        assert desk.kinds[-2:] == ["abstained", "reported"]


def test_started_threads_do_the_same_as_draining(tmp_path: Path) -> None:
    with ExitStack() as stack:
        desk = Desk(tmp_path, stack)
        desk.at(90)
        desk.engine.start()
        try:
            desk.engine.accept(desk.alerts(90), desk.engine.now())
            assert desk.engine.settled(timeout_s=60)
            assert desk.engine.ready() == {"store": "ok", "workers": "ok"}
        finally:
            desk.engine.stop()
        assert desk.incident.status == "awaiting_approval"


class Down:
    """Metrics that do not answer the first three times."""

    def __init__(self) -> None:
        self.asked = 0
        self.answered = Event()

    def series(self, window: Window) -> Sequence[Series]:
        self.asked += 1
        if self.asked <= 3:
            raise SourceError("metrics", "connection refused", recoverable=True)
        self.answered.set()
        return ()

    def baseline(self, before: float) -> Sequence[Series]:
        return self.series(Window(start=0.0, end=before))


def test_a_watch_that_sees_nothing_says_so_once_and_that_it_sees_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Down()
    settings = load(data_dir=tmp_path, watch_every_s=0.01)
    with wiring.engine(settings, "test", sources=Sources(metrics=metrics)) as engine:
        engine.longest_pause_s = 0.01
        engine.start()
        assert metrics.answered.wait(timeout=30)
        engine.stop()
        assert set(engine.ready()) == {"store", "workers"}
    records = [record for record in caplog.records if record.message.startswith("watch ")]
    said = [record.message for record in records if record.levelname == "ERROR"]
    assert said == ["watch failed and goes on: SourceError: metrics: connection refused"]
    assert records[-1].message.startswith("watch works again after")
    assert not [record for record in records if record.exc_info]


def test_a_node_that_breaks_fails_its_incident_and_nothing_else(tmp_path: Path) -> None:
    def broken(_: object) -> None:
        raise OSError("the disk is gone")

    world = DurableWorld(SCENARIO, tmp_path / "world.jsonl")
    with wiring.engine(
        load(data_dir=tmp_path / "data"),
        "test",
        sources=world.sources,
        clock=world,
        runner=world,
        nodes={**NODES, "locate": broken},
    ) as engine:
        engine.accept(
            [Alert(fingerprint="f", name="A", service="cart", starts_at=FAULT)], engine.now()
        )
        engine.drain()
        (incident,) = engine.store.incidents.list()
        assert incident.status == "failed"
        failed = engine.store.journal.events(incident.id)[-1]
        assert failed.kind == "failed"
        assert "the disk is gone" in str(failed.detail["reason"])


def test_a_run_that_an_earlier_version_left_is_looked_at_anew(desk: Desk) -> None:
    desk.at(90).deliver(desk.alerts(90))
    (run,) = desk.engine.store.runs.of(desk.incident.id)
    graph = desk.engine._worker._graph
    graph.update_state({"configurable": {"thread_id": run.id}}, {"gathered": {"rounds": 1}}, "plan")
    desk.decide("approve")
    waiting = desk.incident
    assert waiting.status == "awaiting_approval"
    assert desk.kinds.count("acted") == 0
    assert [one.status for one in desk.engine.store.runs.of(desk.incident.id)] == [
        "superseded",
        "waiting",
    ]
    desk.decide("approve")
    assert desk.incident.status == "recovered"


def test_a_run_that_breaks_after_its_incident_ended_does_not_reopen_it(tmp_path: Path) -> None:
    def triage(state: IncidentState, runtime: Runtime[Deps]) -> TriageUpdate:
        store, clock = runtime.context.store, runtime.context.clock
        store.incidents.update(state["incident_id"], clock.now(), status="resolved")
        raise ValueError("its alerts belong to another incident now")

    with ExitStack() as stack:
        desk = Desk(tmp_path, stack, nodes={**NODES, "triage": triage})
        desk.at(90).deliver(desk.alerts(90))
        assert desk.incident.status == "resolved"
        (run,) = desk.engine.store.runs.of(desk.incident.id)
        assert run.status == "superseded"
