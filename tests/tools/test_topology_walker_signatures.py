"""The table of fault signatures, the readings it rests on, and the score that is made of them."""

import pytest

from tools.evidence import number
from tools.topology_walker import rank
from tools.topology_walker.ranking import RULES, matches, scored
from tools.topology_walker.readings import (
    AlertFired,
    AnomalyAlert,
    ChangeMade,
    EdgeMoved,
    LineNew,
    MetricMoved,
    ObjectBroken,
    StepMissed,
    TypedReading,
    VersionApart,
    readings,
)
from tools.topology_walker.signatures import SIGNATURES, FaultSignature
from tools.types import Edge, EvidenceKind, Finding, Topology, Window

CHAIN = Topology(
    nodes=("web", "cart", "db"),
    edges=(Edge(caller="web", callee="cart"), Edge(caller="cart", callee="db")),
    entry="web",
)
MOVED = {"z": 50.0, "worse": 50.0, "share": 1.0, "ratio": 9.0, "steady": 1.0, "fresh": 1.0}


def finding(
    kind: EvidenceKind, subject: str, name: str, value: float = 1.0, **figures: float
) -> Finding:
    return Finding(
        kind=kind,
        subject=subject,
        name=name,
        source="test",
        query=name,
        window=Window(start=0.0, end=1.0),
        value=value,
        baseline=figures.pop("usual", 0.0),
        unit="%" if name.endswith("pct") else "",
        direction="up",
        strength=1.0,
        figures=figures,
        statement=f"{subject} {name}",
    )


PARSED: dict[str, tuple[Finding, type[TypedReading], str, str]] = {
    "a resource of a component": (
        finding("metric", "cart", "cpu_pct", **MOVED), MetricMoved, "cart", "cpu up"),
    "a resource of its node": (
        finding("metric", "cart", "node_cpu_pct", **MOVED), MetricMoved, "cart", "node cpu up"),
    "the front door": (
        finding("metric", "ENTRY", "request_rate", **MOVED), MetricMoved, "", "entry traffic up"),
    "a version beside the other": (
        finding("metric", "cart@v2", "canary cpu_pct", z=9.0, canary=1.0),
        VersionApart, "cart", ""),
    "calls within": (
        finding("edge", "web->cart", "caller_errors", z=9.0, delta=0.4, outside=0.0),
        EdgeMoved, "cart", "caller_errors"),
    "calls out of the system": (
        finding("edge", "cart->bank", "caller_errors", z=9.0, delta=0.4, outside=1.0),
        EdgeMoved, "bank", "outside caller_errors"),
    "time on the wire in traces": (
        finding("trace", "web->cart", "wire_time", z=9.0, delta=0.4),
        EdgeMoved, "cart", "wire_time"),
    "a step in lines or spans": (
        finding("trace", "cart", "missing_step", z=5.0), StepMissed, "cart", ""),
    "more lines of information": (
        finding("log", "cart", "frequency", calm=1.0), LineNew, "cart", "information"),
    "a new error line": (
        finding("log", "cart", "new_template", calm=0.0), LineNew, "cart", "news"),
    "a release": (
        finding("change", "cart", "deploy", ago_s=60.0, later_changes=0.0),
        ChangeMade, "cart", "deploy"),
    "a rule that states a fault": (
        finding("alert", "cart", "InstanceDown", page=1.0, rule=1.0, first_s=5.0),
        AlertFired, "cart", "process_down"),
    "a rule that states a symptom": (
        finding("alert", "cart", "HighErrorRate", page=1.0, rule=1.0, first_s=5.0),
        AlertFired, "cart", ""),
    "a recorded anomaly event": (
        finding("alert", "cart", "cpu_usage", metric=1.0, score=7.0, count=1.0, total=7.0,
                signals=1.0, apart=7.0), AnomalyAlert, "cart", "metric"),
    "an object of the cluster": (
        finding("cluster", "cart", "scheduling"), ObjectBroken, "cart", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", PARSED, ids=list(PARSED))
def test_an_item_of_evidence_is_parsed_once(case: str) -> None:
    item, kind, service, topic = PARSED[case]
    (found,) = readings(number([item]))
    assert (type(found), found.service, found.topic) == (kind, service, topic)


UNREAD: dict[str, Finding] = {
    "a metric of a version alone": finding("metric", "cart@v2", "cpu_pct", **MOVED),
    "a metric of a node": finding("metric", "node:n1", "cpu_pct", **MOVED),
    "a note that somebody asked for": finding("note", "cart", "cpu_pct"),
    "an edge of another name": finding("edge", "web->cart", "odd", z=9.0, delta=0.4),
}


@pytest.mark.parametrize("case", UNREAD, ids=list(UNREAD))
def test_what_the_ranking_does_not_read_is_no_reading(case: str) -> None:
    assert readings(number([UNREAD[case]])) == ()


def test_every_row_has_a_name_of_its_own_and_counts_for_something() -> None:
    names = [row.name for row in SIGNATURES]
    assert len(set(names)) == len(names)
    assert all(row.weight + row.vote > 0 and row.example for row in SIGNATURES)


@pytest.mark.parametrize("row", SIGNATURES, ids=lambda row: row.name)
def test_weights_have_at_most_two_significant_digits(row: FaultSignature) -> None:
    assert all(float(f"{value:.2g}") == value for value in (row.weight, row.vote))


def test_the_component_is_scored_by_its_best_kind_and_the_vote_is_in_its_term() -> None:
    found = number([finding("metric", "cart", "mem_pct", 97.0, usual=20.0, **MOVED)])
    told = matches(found, CHAIN)
    first = scored(told, RULES)[0]
    without = RULES.model_copy(update={"votes": dict.fromkeys(RULES.votes, 0.0)})
    blind = scored(told, without)[0]
    assert (first.component, first.fault_kind) == ("cart", "memory_pressure")
    assert (blind.component, blind.fault_kind) == ("cart", None)
    assert first.score > blind.score
    assert first.score == pytest.approx(sum(term.weight for term in first.terms))


FAILING = finding("metric", "web", "error_pct", 40.0, **MOVED)


def test_a_sign_at_a_callee_explains_what_its_callers_suffer() -> None:
    lapsed = finding("metric", "db", "certificate_left_s", -5.0, usual=9e5, z=-20.0)
    lapsed = lapsed.model_copy(update={"direction": "down"})
    alone = rank(number([FAILING]), CHAIN).candidates[0]
    both = rank(number([FAILING, lapsed]), CHAIN).candidates
    assert alone.component == "web"
    assert (both[0].component, both[0].fault_kind) == ("db", "certificate_expired")
    assert [one.terms for one in both if one.component == "web"] == [()]


def test_a_sign_at_a_caller_explains_nothing_of_its_callees() -> None:
    lapsed = finding("metric", "web", "certificate_left_s", -5.0, usual=9e5, z=-20.0)
    lapsed = lapsed.model_copy(update={"direction": "down"})
    failing = FAILING.model_copy(update={"subject": "db"})
    both = rank(number([failing, lapsed]), CHAIN).candidates
    assert next(one for one in both if one.component == "db").terms


def test_of_two_rows_of_one_kind_the_stronger_counts_once() -> None:
    used = finding("metric", "cart", "cpu_pct", 97.0, usual=20.0, **MOVED)
    more = finding("metric", "cart", "cpu_pct", 60.0, usual=20.0, **MOVED)
    one = rank(number([used]), CHAIN).candidates[0]
    two = rank(number([used, more]), CHAIN).candidates[0]
    assert two.score == pytest.approx(one.score)
