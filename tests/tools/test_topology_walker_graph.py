"""The service graph alone: who depends on whom, walks, and the tree that is drawn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.evidence import number
from tools.topology_walker import (
    WalkNode,
    blast_radius,
    critical_path,
    downstream,
    explain_tree,
    places,
    retries,
    shared_dependencies,
    shared_places,
    upstream,
    walk,
)
from tools.types import (
    Candidate,
    ClusterState,
    Edge,
    Finding,
    Node,
    Pod,
    Ranking,
    Span,
    Topology,
    Window,
)


def graph(*edges: str, entry: str = "web") -> Topology:
    pairs = [edge.split(">") for edge in edges]
    return Topology(edges=tuple(Edge(caller=a, callee=b) for a, b in pairs), entry=entry)


SHOP = graph("web>cart", "web>search", "cart>db", "search>db", "search>cache")


def on_edge(edge: str, strength: float = 2.0) -> Finding:
    return Finding(
        kind="edge",
        subject=edge,
        name="wire_latency",
        source="metrics",
        query=edge,
        window=Window(start=0, end=60),
        strength=strength,
        statement=f"{edge} is slow.",
    )


def test_upstream_and_downstream_stand_nearest_first() -> None:
    assert upstream(SHOP, "db") == ("cart", "search", "web")
    assert downstream(SHOP, "web") == ("cart", "search", "db", "cache")
    assert blast_radius(SHOP, "cache") == ("cache", "search", "web")


def test_shared_dependencies_are_what_all_affected_reach() -> None:
    assert shared_dependencies(SHOP, ["cart", "search"]) == ("db",)
    assert shared_dependencies(SHOP, ["cart", "db"]) == ("db",)
    assert shared_dependencies(SHOP, []) == ()


def test_an_unknown_component_depends_on_nothing() -> None:
    assert upstream(SHOP, "nobody") == ()
    assert blast_radius(SHOP, "nobody") == ("nobody",)


NAMES = st.sampled_from("abcdef")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES), max_size=15))
def test_cycles_end_and_upstream_is_the_reverse_of_downstream(pairs: list[tuple[str, str]]) -> None:
    cyclic = Topology(edges=tuple(Edge(caller=a, callee=b) for a, b in pairs))
    for one in "abcdef":
        assert one not in downstream(cyclic, one)
        for other in downstream(cyclic, one):
            assert one in upstream(cyclic, other)


def test_a_walk_takes_the_shortest_path_with_the_strongest_evidence() -> None:
    evidence = number([on_edge("web->search", 3.0), on_edge("search->db", 1.0)])
    steps = walk(SHOP, "web", "db", evidence)
    assert [(step.caller, step.callee) for step in steps] == [
        ("", "web"),
        ("web", "search"),
        ("search", "db"),
    ]
    assert [step.evidence for step in steps[1:]] == [("E1",), ("E2",)]


def test_a_walk_to_where_no_call_is_known_is_one_step() -> None:
    assert [step.callee for step in walk(SHOP, "web", "island", ())] == ["web", "island"]
    assert [step.callee for step in walk(SHOP, "web", "web", ())] == ["web"]


def leaves(node: WalkNode) -> list[WalkNode]:
    return [node, *(found for child in node.children for found in leaves(child))]


def test_the_tree_has_the_symptom_at_its_root_and_marks_the_cause() -> None:
    ranking = Ranking(
        candidates=(
            Candidate(component="db", score=2.0, probability=0.8),
            Candidate(component="cache", score=1.0, probability=0.1),
            Candidate(component="web", score=0.0),
        )
    )
    evidence = number([on_edge("cart->db"), on_edge("web->cart")])
    tree = explain_tree(ranking, evidence, SHOP)
    assert (tree.component, tree.mark) == ("web", "symptom")
    marks = {node.component: node.mark for node in leaves(tree)}
    assert marks == {
        "web": "symptom",
        "cart": "between",
        "db": "cause",
        "search": "between",
        "cache": "suspect",
    }
    cause = next(node for node in leaves(tree) if node.mark == "cause")
    assert cause.edge_evidence == ("E1",)


def test_a_ranking_that_abstained_marks_no_cause() -> None:
    ranking = Ranking(candidates=(Candidate(component="db", score=1.0),), abstained=True)
    marks = {node.mark for node in leaves(explain_tree(ranking, (), SHOP))}
    assert "cause" not in marks


def test_an_empty_world_still_has_a_root() -> None:
    assert explain_tree(Ranking(), (), Topology()).children == ()


def span(name: str, parent: str, at: float, seconds: float) -> Span:
    return Span(at, "t", name, parent, name, "op", seconds)


def test_the_critical_path_follows_the_child_that_ended_last() -> None:
    spans = [
        span("web", "", 0.0, 1.0),
        span("fast", "web", 0.1, 0.2),
        span("slow", "web", 0.1, 0.8),
        span("db", "slow", 0.2, 0.6),
    ]
    assert [one.span for one in critical_path(spans)] == ["web", "slow", "db"]


def test_a_span_whose_parent_is_missing_is_a_root() -> None:
    assert [one.span for one in critical_path([span("cart", "lost", 0.0, 1.0)])] == ["cart"]
    assert critical_path([]) == ()


@pytest.mark.parametrize("parent", ["a", "b"])
def test_spans_that_are_each_others_parents_do_not_loop(parent: str) -> None:
    spans = [span("a", parent, 0.0, 1.0), span("b", "a", 0.0, 1.0), span("c", "", 0.0, 2.0)]
    assert len(critical_path(spans)) <= 3


def call(name: str, parent: str, service: str, at: float, error: bool = False) -> Span:
    return Span(at, "t", name, parent, service, "op", 0.1, error)


def test_a_call_made_again_after_it_failed_is_a_retry() -> None:
    spans = [
        call("3", "0", "db", 0.3),
        call("0", "", "cart", 0.0),
        call("1", "0", "db", 0.1, error=True),
        call("2", "0", "db", 0.2, error=True),
    ]
    assert retries(spans) == {"cart->db": 2}


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(call("2", "0", "db", 0.05), id="made before the failure"),
        pytest.param(call("2", "9", "db", 0.2), id="of another parent"),
        pytest.param(call("2", "0", "cache", 0.2), id="of another service"),
        pytest.param(call("2", "0", "cart", 0.2), id="inside the service"),
    ],
)
def test_another_call_is_no_retry(second: Span) -> None:
    spans = [call("0", "", "cart", 0.0), call("1", "0", "db", 0.1, error=True), second]
    assert retries(spans) == {}


ZONE = "topology.kubernetes.io/zone"
CLUSTER = ClusterState(
    nodes=(
        Node(name="n1", labels={ZONE: "a"}),
        Node(name="n2", labels={ZONE: "a"}),
        Node(name="n3", labels={ZONE: "b"}),
    ),
    pods=(
        Pod(name="cart-7d9f8c6b5-x2x4z", node="n1", owner="ReplicaSet/cart-7d9f8c6b5"),
        Pod(name="db-0", node="n1", owner="StatefulSet/db"),
        Pod(name="web-5d8f9c7b6-bcdfg", node="n2"),
        Pod(name="search-6c8f9d7b5-bcdfg", node="n3"),
        Pod(name="waiting-6c8f9d7b5-bcdfg"),
    ),
)


@pytest.mark.parametrize(
    ("affected", "shared"),
    [
        pytest.param(["cart", "db"], ("node:n1", "zone:a"), id="one node"),
        pytest.param(["cart", "db", "web"], ("zone:a",), id="one zone"),
        pytest.param(["cart", "search"], (), id="nothing"),
        pytest.param(["cart", "waiting"], (), id="one is not placed"),
        pytest.param(["cart", "unknown"], (), id="one is not known"),
        pytest.param([], (), id="nobody is affected"),
    ],
)
def test_shared_places_are_where_all_affected_run(
    affected: list[str], shared: tuple[str, ...]
) -> None:
    assert shared_places(places(CLUSTER), affected) == shared
