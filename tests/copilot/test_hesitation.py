"""No plan where nobody suffers, nothing can be acted on, or somebody is at work already."""

from pathlib import Path

import pytest

from copilot import wiring
from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.case.guards.cause import (
    no_impact_objection,
    no_subject_objection,
    weak_cause_objection,
)
from copilot.settings import Settings
from copilot.sources.recorded import RecordedBundle
from evals.localization.cases import RECORDINGS
from tools.clusterer import Matcher, Silence
from tools.types import (
    ENTRY,
    Alert,
    Candidate,
    Edge,
    Evidence,
    EvidenceKind,
    FaultKind,
    Ranking,
    Subject,
    SubjectKind,
    Term,
    Topology,
    Window,
)

NOW = 1_795_000_000.0
BUSY = Evidence(
    id="E1",
    kind="metric",
    subject="store",
    name="descriptors_used_pct",
    source="metrics",
    query="store|descriptors_used_pct",
    window=Window(start=NOW - 60, end=NOW),
    value=0.37,
    baseline=0.15,
    unit="%",
    direction="up",
    figures={"z": 9.0, "share": 1.0},
    statement="store descriptors_used_pct rose to 0.37%, normally 0.15%.",
)


def ranking(kind: FaultKind = "lock_contention") -> Ranking:
    term = Term(name="own saturation", weight=0.3, evidence=("E1",))
    return Ranking(
        certainty="likely",
        candidates=(Candidate(component="store", score=0.3, fault_kind=kind, terms=(term,)),),
    )


def seen(subject: str, name: str, value: float, baseline: float, **figures: float) -> Evidence:
    kind = "edge" if "->" in subject else "metric"
    update = {"id": "E2", "kind": kind, "subject": subject, "name": name, "unit": "%"}
    amounts = {"value": value, "baseline": baseline, "figures": figures}
    return BUSY.model_copy(update=update | amounts)


SHOP = Topology(
    nodes=("gateway", "cart", "catalog", "store"),
    edges=(
        Edge(caller="gateway", callee="cart"),
        Edge(caller="gateway", callee="catalog"),
        Edge(caller="cart", callee="store"),
    ),
)


def unfelt(found: Ranking, *items: Evidence, ruled: bool = False) -> bool:
    """Whether a plan is objected to because nobody suffers."""
    return no_impact_objection(found, items, SHOP, ruled=ruled) is not None


@pytest.mark.parametrize("ruled", [False, True])
def test_a_reading_out_of_its_band_that_nobody_feels_brings_no_plan(ruled: bool) -> None:
    found = no_impact_objection(ranking(), [BUSY], SHOP, ruled=ruled)
    assert found is not None
    assert "nobody is seen to suffer from store" in found.reason.en


@pytest.mark.parametrize(
    ("felt", "item"),
    [
        (False, seen("cart->store", "caller_latency", 28.0, 22.5, delta=0.005)),
        (True, seen("cart->store", "caller_latency", 45.0, 22.5, delta=0.02)),
        (False, seen("cart->store", "caller_errors", 0.4, 0.0, delta=0.004)),
        (True, seen("cart->store", "caller_errors", 4.0, 0.0, delta=0.04)),
        (False, seen("cart->store", "caller_errors", 4.0, 0.0, delta=0.04, steady=0.2)),
        (False, seen("gateway->catalog", "caller_errors", 40.0, 0.0, delta=0.4)),
        (True, seen("store", "success_pct", 93.0, 99.9, worse=50.0)),
        (False, seen("store", "success_pct", 99.95, 99.9, worse=0.0)),
    ],
    ids=[
        "a little slower",
        "twice as slow",
        "some errors",
        "errors",
        "a blip",
        "elsewhere",
        "own",
        "better",
    ],
)
@pytest.mark.parametrize("ruled", [False, True])
def test_calls_that_fail_or_are_much_slower_are_felt(
    felt: bool, item: Evidence, ruled: bool
) -> None:
    assert unfelt(ranking(), BUSY, item, ruled=ruled) != felt


@pytest.mark.parametrize(
    "item",
    [
        seen("gateway->cart", "caller_errors", 4.0, 0.0, delta=0.04),
        seen("cart", "latency_ms", 90.0, 30.0),
        seen(ENTRY, "error_pct", 4.0, 0.0),
    ],
    ids=["calls of a caller", "a caller", "the front door"],
)
def test_what_depends_on_the_cause_suffers_only_where_a_rule_of_a_person_says_so(
    item: Evidence,
) -> None:
    assert not unfelt(ranking(), BUSY, item, ruled=True)
    assert unfelt(ranking(), BUSY, item, ruled=False)


def test_a_sign_alone_hurts_nobody_and_an_object_of_a_cluster_speaks_for_itself() -> None:
    sign = Term(name="telltale sign", weight=1.5, evidence=("E1",))
    first = ranking("clock_skew").candidates[0].model_copy(update={"terms": (sign,)})
    assert unfelt(Ranking(certainty="likely", candidates=(first,)), BUSY)
    broken = BUSY.model_copy(update={"kind": "cluster", "name": "CrashLoopBackOff"})
    assert not unfelt(
        Ranking(certainty="likely", candidates=(first,)),
        broken,
        BUSY.model_copy(update={"id": "E2"}),
    )


def test_without_any_measurement_nobody_can_say_who_suffers() -> None:
    assert not unfelt(ranking(), BUSY.model_copy(update={"kind": "log"}))


@pytest.mark.parametrize("kind", ["disk_full", "certificate_expired", "queue_backlog"])
def test_what_ends_in_an_outage_is_met_before_anybody_suffers(kind: FaultKind) -> None:
    assert not unfelt(ranking(kind), BUSY)


def about(kind: SubjectKind, service: str = "edge-switch") -> Alert:
    subject = Subject(kind=kind, name=service if kind != "nobody" else "")
    return Alert(fingerprint=kind, name="A", service=service, starts_at=NOW, subject=subject)


@pytest.mark.parametrize(
    ("component", "alerts", "actionable"),
    [
        ("store", [], True),
        ("node:worker-3", [], True),
        ("edge-switch", [], False),
        ("edge-switch", [about("device")], False),
        ("edge-switch", [about("target"), about("nobody")], False),
        ("edge-switch", [about("device"), about("workload")], True),
        ("edge-switch", [about("workload", "other")], False),
    ],
    ids=["known", "a node", "unknown", "a device", "a scrape", "a workload", "of another"],
)
def test_a_plan_needs_something_that_a_step_can_act_on(
    component: str, alerts: list[Alert], actionable: bool
) -> None:
    found = no_subject_objection(component, {"store", "worker-3"}, alerts)
    assert (found is None) == actionable


@pytest.mark.parametrize(
    ("kinds", "objected"),
    [
        (("alert",), True),
        (("change",), True),
        (("alert", "change"), True),
        (("alert", "metric"), False),
        (("log",), False),
    ],
)
def test_a_cause_that_only_repeats_the_alert_brings_no_plan(
    kinds: tuple[EvidenceKind, ...], objected: bool
) -> None:
    items = [
        BUSY.model_copy(update={"id": f"E{number}", "kind": kind})
        for number, kind in enumerate(kinds, 1)
    ]
    term = Term(name="any", weight=1.0, evidence=tuple(item.id for item in items))
    first = ranking().candidates[0].model_copy(update={"terms": (term,)})
    found = weak_cause_objection(Ranking(certainty="likely", candidates=(first,)), items)
    assert (found is not None) == objected


def silence(**labels: str) -> Silence:
    matchers = tuple(Matcher(label=label, value=value) for label, value in labels.items())
    return Silence(
        id="s1", matchers=matchers, starts_at=NOW, ends_at=NOW + 600, comment="new disks"
    )


def test_a_service_all_of_whose_alerts_are_silenced_is_being_worked_on() -> None:
    announced = MaintenanceSchedule()
    announced.silence([silence(service="payment")])
    assert "new disks" in announced.work_on("payment", NOW + 1)
    assert announced.work_on("payment", NOW + 601) == ""
    assert announced.work_on("cart", NOW + 1) == ""
    announced.silence([silence(service="payment", alertname="Flapping")])
    assert announced.work_on("payment", NOW + 1) == ""
    lesser = Matcher(label="severity", operator="!=", value="critical")
    announced.silence([silence(service="x").model_copy(update={"matchers": (lesser,)})])
    assert announced.work_on("payment", NOW + 1) == ""


@pytest.mark.parametrize("announced", [False, True])
def test_a_plan_for_a_service_under_announced_work_is_left_to_people(
    announced: bool, tmp_path: Path
) -> None:
    folder = RECORDINGS / "incidents" / "lab-851d38"
    whole = RecordedBundle(folder)
    bundle = RecordedBundle(folder, clock_at=whole.window.end)
    sources = wiring.recorded_sources(bundle)
    settings = Settings(data_dir=tmp_path, embedder="none", model_use="off")
    with wiring.engine(settings, "test", sources=sources, clock=bundle) as engine:
        engine.accept(whole.alerts(whole.window), engine.now())
        engine.group()
        if announced:  # after its alerts had come: also what began earlier is not acted upon
            muted = silence(service="cart")
            span = {"starts_at": bundle.now() - 60, "ends_at": bundle.now() + 600}
            engine.silence([muted.model_copy(update=span)])
        engine.drain()
        incident = engine.store.incidents.list(limit=1)[0]
        reasons = [one.detail["reason"] for one in engine.store.journal.events()]
    assert incident.ranking.candidates[0].component == "cart"
    assert incident.status == ("handed_over" if announced else "awaiting_approval")
    assert any("work on cart is announced" in str(one) for one in reasons) == announced
