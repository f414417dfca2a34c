"""The survey asks few questions and none twice; the inspector is pure and never silent."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.shop_cluster import deployment, pending, pod, service, shop, spec, warning
from tools.cluster_inspector import ClusterFinding, diagnose, inspect, next_queries, rules, survey
from tools.cluster_inspector.rules import RULES
from tools.types import Alert, ClusterQuery, ClusterState, Endpoints, LogExcerpt, Window


class Recorder:
    """A cluster whose listings are known and whose events come when a pod is described."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self.asked: list[ClusterQuery] = []

    def look(self, looks: Sequence[ClusterQuery]) -> ClusterState:
        self.asked += looks
        wanted = {item.name for item in looks if item.verb == "describe"}
        listed = any(item.verb == "list" for item in looks)
        return ClusterState(
            namespace=self._state.namespace,
            pods=self._state.pods if listed else (),
            workloads=self._state.workloads if listed else (),
            services=self._state.services if listed else (),
            endpoints=self._state.endpoints if listed else (),
            nodes=self._state.nodes if listed else (),
            listed=self._state.listed,
            events=tuple(event for event in self._state.events if event.object in wanted),
        )


def broken() -> ClusterState:
    message = "0/3 nodes are available: 2 node(s) had untolerated taint {team: x}."
    return shop(
        pods=(pod("web"), pending("cart")),
        events=(warning("FailedScheduling", message, pending("cart").name),),
    )


def test_general_listings_come_first_then_only_what_is_suspicious() -> None:
    cluster = Recorder(broken())
    state = survey(cluster.look)

    assert [look.verb for look in cluster.asked[:5]] == ["list"] * 5
    assert cluster.asked[5:] == [
        ClusterQuery(verb="describe", kind="Pod", name=pending("cart").name)
    ]
    assert diagnose(state).predictions[0].rule.id == "taint-untolerated"


def test_no_question_is_asked_twice_even_when_nothing_is_found() -> None:
    cluster = Recorder(shop())
    survey(cluster.look)

    assert len(cluster.asked) == len(set(cluster.asked))


def test_a_survey_goes_on_from_what_is_known() -> None:
    known = shop(looked=tuple(ClusterQuery(verb="list", kind=kind) for kind in
                              ("Pod", "Deployment", "Service", "Endpoints", "Node")))  # fmt: skip
    cluster = Recorder(shop())
    survey(cluster.look, known)

    assert all(look.verb != "list" or look.kind not in ("Pod", "Node") for look in cluster.asked)


def test_a_node_whose_services_nobody_can_ask_is_described() -> None:
    dead = shop().nodes[1].model_copy(update={"ready": False})
    asked: list[ClusterQuery] = []

    def look(looks: Sequence[ClusterQuery]) -> ClusterState:
        asked.extend(looks)
        return ClusterState()

    survey(look, shop(nodes=(dead,)))

    assert ClusterQuery(verb="node_service", name=dead.name, detail="kubelet") in asked
    assert ClusterQuery(verb="describe", kind="Node", name=dead.name) in asked


def test_all_events_are_asked_for_where_a_description_brought_none() -> None:
    asked: list[ClusterQuery] = []

    def look(looks: Sequence[ClusterQuery]) -> ClusterState:
        asked.extend(looks)
        return ClusterState()

    cart = pod("cart", status="ErrImagePull", phase="", ready=(0, 1))
    survey(look, shop(pods=(pod("web"), cart)))

    assert ClusterQuery(verb="list", kind="Event") in asked


def test_what_a_manifest_declares_does_not_hide_what_was_seen() -> None:
    seen = shop(
        services=(service("web"), service("cart", selector={"app": "cart-v2"})),
        endpoints=(Endpoints(name="cart"),),
    )

    def look(looks: Sequence[ClusterQuery]) -> ClusterState:
        if any(item.verb == "manifest" for item in looks):
            return ClusterState(
                services=(service("cart"),), workloads=(deployment("cart", template=spec("cart")),)
            )
        return ClusterState()

    state = survey(look, seen)

    assert diagnose(state).predictions[0].rule.id == "service-selector-unmet"


def test_next_looks_of_a_settled_state_are_none() -> None:
    assert next_queries(broken()) == ()


def test_every_rule_has_a_stage_and_a_title() -> None:
    assert all(rule.id == name and rule.title for name, rule in RULES.items())


def test_a_finding_becomes_evidence_for_the_common_ranker() -> None:
    found = diagnose(broken()).predictions[0].as_finding(Window(start=0.0, end=60.0))

    assert (found.kind, found.subject, found.name) == ("cluster", "cart", "scheduling")
    assert "cart" in found.statement
    assert found.strength > 0.9


def test_a_node_is_a_subject_of_its_own() -> None:
    node = shop().nodes[1].model_copy(update={"ready": False})
    found = diagnose(shop(nodes=(node,))).predictions[0]

    assert found.component == "node:worker-1"


def _shuffled(state: ClusterState, seed: int) -> ClusterState:
    chance = random.Random(seed)
    changed = {}
    for name in ("pods", "workloads", "services", "endpoints", "nodes", "events", "logs"):
        items = list(getattr(state, name))
        chance.shuffle(items)
        changed[name] = tuple(items)
    return state.model_copy(update=changed)


def _said(found: ClusterFinding) -> tuple[str, str, float]:
    return found.rule.id, found.object, found.score


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_objects_does_not_matter(seed: int) -> None:
    state = broken()

    assert {_said(f) for f in inspect(_shuffled(state, seed))} == {_said(f) for f in inspect(state)}


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=400))
def test_no_text_of_a_log_or_an_event_breaks_the_inspector(text: str) -> None:
    cart = pod("cart", status="CrashLoopBackOff", ready=(0, 1))
    state = shop(
        pods=(pod("web"), cart),
        events=(warning("Failed", text, cart.name), warning("FailedScheduling", text, cart.name)),
        logs=(LogExcerpt(component="cart", message=text),),
    )
    found = diagnose(state).predictions

    assert found != ()
    assert all(one.evidence.isprintable() and len(one.evidence) <= 400 for one in found)


@pytest.mark.parametrize(
    "status", ["CrashLoopBackOff", "ErrImagePull", "Pending", "Weird", "Init:0/1"]
)
def test_a_pod_that_does_not_work_is_never_passed_over_in_silence(status: str) -> None:
    state = shop(pods=(pod("web"), pod("cart", status=status, ready=(0, 1))))

    assert [found.object for found in diagnose(state).predictions] == ["app/cart"]


def test_failing_requests_without_any_other_sign_still_name_their_service() -> None:
    alert = Alert(
        fingerprint="a",
        name="HighErrorRate",
        service="cart",
        starts_at=0.0,
        annotations={"description": "500 of cart"},
    )
    found = diagnose(shop(alerts=(alert,))).predictions

    assert [(one.rule.id, one.object) for one in found] == [("requests-fail", "app/cart")]


def test_foreign_text_is_capped_and_printable() -> None:
    found = rules.broken(
        "node-not-ready",
        "node/n1\x1b[31m",
        on="Node/n1",
        field="ready",
        observed="a\x00\x1b[2Jb\n",
        expected="x" * 500,
        score=1.0,
    )
    assert (found.object, found.observed) == ("node/n1", "ab")
    assert found.expected.endswith("…")
