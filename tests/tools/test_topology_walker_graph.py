"""The service graph alone: who depends on whom, walks, and the tree that is drawn."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tools.evidence import number
from tools.topology_walker import (
    WalkNode,
    blast_radius,
    downstream,
    explain_tree,
    upstream,
)
from tools.topology_walker.graph import walk
from tools.types import (
    Candidate,
    Edge,
    Finding,
    Ranking,
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
        certainty="likely",
        candidates=(
            Candidate(component="db", score=2.0, probability=0.8),
            Candidate(component="cache", score=1.0, probability=0.1),
            Candidate(component="web", score=0.0),
        ),
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
    ranking = Ranking(candidates=(Candidate(component="db", score=1.0),))
    marks = {node.mark for node in leaves(explain_tree(ranking, (), SHOP))}
    assert "cause" not in marks


def test_an_empty_world_still_has_a_root() -> None:
    assert explain_tree(Ranking(), (), Topology()).children == ()
