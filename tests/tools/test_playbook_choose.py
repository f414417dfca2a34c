"""Choosing: by rule, by what worked before, or abstaining with what to check."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_base import playbooks
from tools.playbook_executor import choose, known
from tools.playbook_executor.weighing import Posterior
from tools.types import (
    Candidate,
    Change,
    Choice,
    Edge,
    Fact,
    FaultKind,
    PlaybookOutcome,
    Ranking,
    Series,
    Term,
    Topology,
)

CATALOGUE = playbooks()
FACTS: dict[str, Fact] = {
    "replicas:pay": 3.0,
    "pool_size:pay": 20.0,
    "flag:pay": "one-tap",
    "node:pay": "node-3",
    "dependency:pay": "bank",
    "normal_rps:pay": 100.0,
}


def located(component: str, kind: FaultKind | None) -> Ranking:
    term = Term(name="metrics", weight=1.0, evidence=("E2", "E1", "E2"))
    first = Candidate(component=component, score=1.0, fault_kind=kind, terms=(term,))
    return Ranking(certainty="likely", candidates=(first, Candidate(component="other", score=0.1)))


def chosen(kind: FaultKind, facts: Mapping[str, Fact] = FACTS, component: str = "pay") -> Choice:
    return choose(CATALOGUE, located(component, kind), facts)


@pytest.mark.parametrize(
    ("kind", "playbook_id", "parameters"),
    [
        ("cpu_saturation", "scale-out", {"service": "pay", "replicas": 5, "replicas_before": 3}),
        ("memory_pressure", "restart", {"service": "pay"}),
        ("process_down", "restart", {"service": "pay"}),
        ("errors", "disable-feature", {"service": "pay", "flag": "one-tap"}),
        ("bad_deploy", "rollback", {"service": "pay"}),
        ("bad_config", "rollback", {"service": "pay"}),
        (
            "pool_exhaustion",
            "resize-pool",
            {"service": "pay", "pool_size": 40, "pool_size_before": 20},
        ),
        ("dependency_down", "failover", {"service": "pay", "dependency": "bank"}),
        ("slow_dependency", "open-circuit-breaker", {"service": "pay", "dependency": "bank"}),
        ("traffic_surge", "rate-limit", {"service": "pay", "limit_rps": 120}),
        ("retry_storm", "rate-limit", {"service": "pay", "limit_rps": 120}),
        ("cache_stampede", "rate-limit", {"service": "pay", "limit_rps": 120}),
        ("disk_full", "clean-disk", {"service": "pay", "days": 7}),
        ("network_loss", "drain-node", {"node": "node-3"}),
        ("node_fault", "drain-node", {"node": "node-3"}),
        ("certificate_expired", "certificate-renewal", {"service": "pay"}),
        ("lock_contention", "collect-diagnostics", {"service": "pay"}),
    ],
)
def test_each_fault_kind_has_its_playbook(
    kind: FaultKind, playbook_id: str, parameters: dict[str, object]
) -> None:
    choice = chosen(kind)
    assert (choice.playbook_id, choice.parameters) == (playbook_id, parameters)
    assert choice.evidence == ("E2", "E1")


@pytest.mark.parametrize("kind", get_args(FaultKind))
def test_every_fault_kind_is_answered_without_any_fact(kind: FaultKind) -> None:
    choice = chosen(kind, {})
    assert choice.reason
    assert choice.check is not None
    assert choice.check.zh


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("cpu_saturation", "replicas"),
        ("pool_exhaustion", "pool_size"),
        ("errors", "flag"),
        ("network_loss", "node"),
        ("traffic_surge", "normal_rps"),
        ("dependency_down", "calling"),
    ],
)
def test_a_missing_fact_is_named_and_nothing_is_proposed(kind: FaultKind, missing: str) -> None:
    choice = chosen(kind, {})
    assert choice.abstained
    assert choice.check is not None
    assert any(missing in other.reason for other in choice.considered)


@pytest.mark.parametrize(("ratio", "proposed"), [(2.5, "rate-limit"), (1.1, "")])
def test_what_comes_no_more_is_not_limited(ratio: float, proposed: str) -> None:
    choice = chosen("traffic_surge", {**FACTS, "rps_ratio:pay": ratio})
    assert choice.playbook_id == proposed
    assert proposed or any("rps_ratio" in other.reason for other in choice.considered)


WAYS = {  # recovered and failed of the first and of the second (60 and 50 in the catalogue)
    "nothing was tried": ((0, 0), (0, 0), "rate-limit", "limit-retries"),
    "the first failed once": ((0, 1), (0, 0), "rate-limit", "limit-retries"),
    "both worked": ((4, 0), (4, 0), "rate-limit", "limit-retries"),
    "the first never fails": ((40, 0), (1, 3), "rate-limit", None),
    "only the second works": ((0, 9), (9, 0), "limit-retries", None),
    "the second works more often": ((5, 5), (12, 0), "limit-retries", None),
    "too few cases to change the order": ((0, 2), (2, 0), "rate-limit", "limit-retries"),
}
STORM: dict[str, Fact] = {**FACTS, "max_retries:pay": 3.0}


def storm(counts: Mapping[str, tuple[int, int]]) -> Choice:
    past = [
        PlaybookOutcome(
            playbook_id=book, fault_kind="retry_storm", component="pay", recovered=well, at=float(i)
        )
        for book, (recovered, failed) in counts.items()
        for i, well in enumerate([True] * recovered + [False] * failed)
    ]
    pair = [one for one in CATALOGUE if one.id in ("rate-limit", "limit-retries")]
    return choose(pair, located("pay", "retry_storm"), STORM, past)


@pytest.mark.parametrize(
    ("first", "second", "playbook_id", "beside"), WAYS.values(), ids=list(WAYS)
)
def test_a_second_way_is_shown_unless_the_first_is_surely_better_and_leads_where_it_surely_is(
    first: tuple[int, int], second: tuple[int, int], playbook_id: str, beside: str | None
) -> None:
    choice = storm({"rate-limit": first, "limit-retries": second})
    assert choice.playbook_id == playbook_id
    assert (choice.another.playbook_id if choice.another else None) == beside


def test_why_the_second_way_is_not_first_is_said_in_both_languages() -> None:
    way = storm({"limit-retries": (1, 0)}).another
    assert way is not None
    assert way.why.en == (
        "the catalogue gives it 50, the first 60; it recovered in 1 of 1 cases (16–99 %), "
        "the first was not tried here; it mends, the first buys time"
    )
    assert way.why.zh == (
        "目录评分 50，首选为 60；它恢复 1/1 次（16–99 %），首选在此未执行过；"
        "它可根治，首选只是争取时间"
    )


@pytest.mark.parametrize("kind", get_args(FaultKind))
def test_the_second_way_is_for_the_same_fault_and_may_be_run_as_well(kind: FaultKind) -> None:
    choice = chosen(kind)
    if choice.another is None:
        return
    book = next(one for one in CATALOGUE if one.id == choice.another.playbook_id)
    assert any(kind in c.faults and c.effect in ("mends", "buys_time") for c in book.applies)
    unrunnable = {book.id: "no runner"}
    other = choose(CATALOGUE, located("pay", kind), FACTS, unrunnable=unrunnable)
    assert other.playbook_id == choice.playbook_id
    assert other.another is None or other.another.playbook_id != book.id


def test_errors_right_after_a_deploy_of_the_same_component_are_rolled_back() -> None:
    assert chosen("errors", {**FACTS, "deploy_age_s:pay": 300.0}).playbook_id == "rollback"
    assert chosen("errors", {**FACTS, "deploy_age_s:pay": 7200.0}).playbook_id == "disable-feature"
    assert chosen("errors", {**FACTS, "deploy_age_s:web": 300.0}).playbook_id == "disable-feature"


def test_a_database_is_not_scaled_out() -> None:
    choice = chosen("cpu_saturation", {**FACTS, "kind:pay": "database"})
    assert choice.abstained


def test_a_deployment_at_its_bound_is_not_scaled_further() -> None:
    assert chosen("cpu_saturation", {"replicas:pay": 15.0}).parameters["replicas"] == 20
    assert chosen("cpu_saturation", {"replicas:pay": 20.0}).abstained


@pytest.mark.parametrize(
    ("playbook", "kind", "facts"),
    [
        ("limit-retries", "retry_storm", {"max_retries": 0.0}),
        ("limit-retries", "retry_storm", {"max_retries": 1.0}),
        ("scale-consumers", "queue_backlog", {"consumer": "worker", "consumer_replicas": 60.0}),
        ("scale-consumers", "queue_backlog", {"consumer": "worker", "consumer_replicas": 0.0}),
        ("free-room", "scheduling", {"donor": "batch", "donor_replicas": 1.0}),
        ("free-room", "scheduling", {"donor": "batch", "donor_replicas": 300.0}),
        (
            "shorten-timeout",
            "slow_dependency",
            {"calling": "pay", "called": "b", "timeout_ms": 30.0},
        ),
        (
            "shorten-timeout",
            "slow_dependency",
            {"calling": "pay", "called": "b", "timeout_ms": 90_000.0},
        ),
        ("slow-caller", "rate_limited", {"heavy_caller": "web", "caller_rps": 1.0}),
    ],
)
def test_a_value_that_would_move_the_wrong_way_or_not_come_back_is_not_offered(
    playbook: str, kind: FaultKind, facts: dict[str, Fact]
) -> None:
    about = {f"{name}:pay": value for name, value in facts.items()}
    choice = choose(CATALOGUE, located("pay", kind), about)
    assert choice.playbook_id != playbook
    refused = {other.playbook_id: other.reason for other in choice.considered}
    assert any(name in refused[playbook] for name in (*facts, "before")), refused[playbook]


def test_a_fact_that_is_no_name_is_not_used() -> None:
    choice = chosen("errors", {"flag:pay": "x; rm -rf /"})
    assert choice.abstained


def test_a_located_dependency_is_switched_at_its_caller() -> None:
    topology = Topology(nodes=("web", "pay"), edges=(Edge(caller="pay", callee="bank"),))
    choice = choose(CATALOGUE, located("bank", "dependency_down"), known(topology))
    assert choice.parameters == {"service": "pay", "dependency": "bank"}


def test_a_service_of_ours_is_not_switched_at_its_caller() -> None:
    edges = (Edge(caller="web", callee="pay"), Edge(caller="pay", callee="db"))
    topology = Topology(nodes=("web", "pay", "db"), edges=edges)
    assert choose(CATALOGUE, located("pay", "dependency_down"), known(topology)).abstained


def test_a_located_edge_names_both_ends() -> None:
    choice = choose(CATALOGUE, located("pay->bank", "slow_dependency"), {})
    assert choice.parameters == {"service": "pay", "dependency": "bank"}


def test_a_located_node_is_drained_itself() -> None:
    assert choose(CATALOGUE, located("node:n7", "node_fault"), {}).parameters == {"node": "n7"}


@pytest.mark.parametrize(
    "ranking",
    [
        pytest.param(Ranking(), id="no candidate"),
        pytest.param(
            located("pay", "errors").model_copy(update={"certainty": "insufficient"}),
            id="not decided",
        ),
        pytest.param(located("pay", None), id="kind not known"),
        pytest.param(located("pay", "clock_skew"), id="fault outside of an empty catalogue"),
    ],
)
def test_what_is_not_located_is_left_to_a_person(ranking: Ranking) -> None:
    choice = choose((), ranking, FACTS)
    assert choice.abstained
    assert choice.check is not None


def test_a_plan_that_was_tried_or_rejected_is_not_proposed_again() -> None:
    ranking = located("pay", "cache_stampede")
    first = choose(CATALOGUE, ranking, FACTS)
    second = choose(CATALOGUE, ranking, FACTS, excluded={first.playbook_id: "tried"})
    both = {one.playbook_id: "anna rejected it: not now" for one in (first, second)}
    third = choose(CATALOGUE, ranking, FACTS, excluded=both)
    assert (first.playbook_id, second.playbook_id) == ("rate-limit", "cache-flush")
    assert third.abstained
    assert "anna rejected it: not now" in third.reason


def past(
    playbook_id: str, recovered: Sequence[bool], component: str = "pay"
) -> list[PlaybookOutcome]:
    return [
        PlaybookOutcome(
            playbook_id=playbook_id,
            fault_kind="memory_pressure",
            component=component,
            component_kind="service",
            recovered=ok,
            at=1000.0 + i,
        )
        for i, ok in enumerate(recovered)
    ]


def test_a_playbook_cools_down_on_the_component_it_ran_on() -> None:
    history, ranking = past("restart", [True]), located("pay", "memory_pressure")
    assert choose(CATALOGUE, ranking, FACTS, history, now=1100.0).abstained
    assert choose(CATALOGUE, ranking, FACTS, history, now=9000.0).playbook_id == "restart"
    elsewhere = past("restart", [True], "cart")
    assert choose(CATALOGUE, ranking, FACTS, elsewhere, now=1100.0).playbook_id == "restart"


def learned(history: Sequence[PlaybookOutcome], arm: Literal["rules", "ml"] = "ml") -> Choice:
    facts = {**FACTS, "kind:pay": "service"}
    return choose(CATALOGUE, located("pay", "memory_pressure"), facts, history, arm=arm)


def test_few_cases_leave_the_choice_to_the_rules() -> None:
    choice = learned(past("scale-out", [True] * 4))
    assert (choice.playbook_id, choice.arm) == ("restart", "ml")
    assert "fewer than 5 past cases" in choice.reason


def test_what_worked_more_surely_is_preferred() -> None:
    history = past("restart", [True] * 5 + [False] * 4) + past("scale-out", [True] * 9)
    assert learned(history).playbook_id == "scale-out"
    assert learned(history, "rules").playbook_id == "restart"


def test_more_cases_of_the_same_share_are_surer() -> None:
    history = past("restart", [True] * 5) + past("scale-out", [True] * 40)
    assert learned(history).playbook_id == "scale-out"


def test_what_seldom_worked_is_not_proposed() -> None:
    choice = learned(past("restart", [False] * 9 + [True]))
    assert choice.abstained


def test_cases_of_the_component_itself_come_before_those_of_others() -> None:
    history = past("restart", [True] * 6) + past("restart", [False] * 30, "cart")
    assert learned(history).playbook_id == "restart"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 0.99))
def test_the_posterior_is_a_distribution_around_its_mean(s: int, f: int, share: float) -> None:
    found = Posterior(s, f, "")
    assert 0 < found.quantile(0.01) <= found.quantile(share) <= found.quantile(0.995) < 1
    assert found.quantile(0.001) < found.mean < found.quantile(0.999)


def test_the_posterior_matches_known_quantiles() -> None:
    assert Posterior(0, 0, "").quantile(0.25) == pytest.approx(0.25, abs=1e-3)
    assert Posterior(4, 0, "").quantile(0.5) == pytest.approx(0.5 ** (1 / 5), abs=1e-3)


def test_facts_follow_from_what_was_observed() -> None:
    rate = Series("pay", "request_rate", np.arange(4.0), np.array([90.0, 100.0, np.nan, 110.0]))
    errors = Series("pay", "error_rate", np.arange(1.0), np.array([0.5]))
    topology = Topology(
        nodes=("pay",), edges=(Edge(caller="pay", callee="x"), Edge(caller="pay", callee="y"))
    )
    changes = [
        Change(at=10.0, service="pay", kind="deploy"),
        Change(at=70.0, service="pay", kind="deploy"),
        Change(at=200.0, service="pay", kind="deploy"),
        Change(at=90.0, service="pay", kind="scale"),
    ]
    newest = Series("pay", "request_rate", np.arange(3.0), np.array([300.0, 250.0, np.nan]))
    facts = known(topology, changes, [errors, rate], onset=100.0, newest=[newest])
    assert facts["normal_rps:pay"] == 100.0
    assert facts["rps_ratio:pay"] == 2.5
    assert facts["deploy_age_s:pay"] == 30.0
    assert "dependency:pay" not in facts
