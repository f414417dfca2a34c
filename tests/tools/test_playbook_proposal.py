"""A model's proposal: it fills a gap only where what is measured and what is written agree."""

from typing import Any

import pytest

from knowledge_base import playbooks
from tools.playbook_executor import ProposalContext, choose
from tools.types import (
    Candidate,
    Choice,
    Evidence,
    EvidenceKind,
    Fact,
    FaultKind,
    Proposal,
    Ranking,
    Scalar,
    Term,
    Window,
)

CATALOGUE = playbooks()
WINDOW = Window(start=0.0, end=600.0)
RECALLED = {"disable-feature": "new-errors", "failover": "dependency-away"}


def item(id: str, kind: EvidenceKind, subject: str, statement: str, **more: Any) -> Evidence:
    return Evidence(
        id=id,
        kind=kind,
        subject=subject,
        name=more.pop("name", "seen"),
        source="test",
        query="",
        window=WINDOW,
        statement=statement,
        **more,
    )


FLAG_ON = item("E3", "change", "pay", "pay: flag one-tap was turned on 40 s before the onset.")
EVIDENCE = (
    item("E1", "metric", "pay", "pay has 40 errors per second.", value=40.0),
    item("E2", "log", "pay", "new error", excerpt="flag admin-only fails, turn off admin-only"),
    FLAG_ON,
    item("E4", "change", "web", "web: flag dark-mode was turned on."),
)


def located(kind: FaultKind | None = "errors", component: str = "pay") -> Ranking:
    term = Term(name="metrics", weight=1.0, evidence=("E1",))
    first = Candidate(component=component, score=1.0, fault_kind=kind, terms=(term,))
    return Ranking(certainty="likely", candidates=(first,))


def proposed(
    playbook_id: str = "disable-feature",
    cites: tuple[str, ...] = ("E3",),
    recalled: dict[str, str] = RECALLED,
    facts: dict[str, Fact] | None = None,
    ranking: Ranking | None = None,
    **parameters: Scalar,
) -> Choice:
    """What the `llm` arm makes of a proposal where nothing says which flag is on."""
    proposal = Proposal(
        playbook_id=playbook_id, parameters=parameters, evidence=cites, reason="because"
    )
    consulted = ProposalContext(proposal=proposal, evidence=EVIDENCE, recalled=recalled)
    ranking = ranking or located()
    return choose(CATALOGUE, ranking, facts or {}, arm="llm", consulted=consulted)


def test_without_a_proposal_the_arm_is_the_rules() -> None:
    ours = choose(CATALOGUE, located("memory_pressure"), {})
    theirs = choose(CATALOGUE, located("memory_pressure"), {}, arm="llm")
    assert theirs == ours.model_copy(update={"arm": "llm"})


def test_it_fills_the_gap_of_the_rules_where_all_agree() -> None:
    assert choose(CATALOGUE, located(), {}).abstained
    choice = proposed(flag="one-tap")
    assert choice.playbook_id == "disable-feature"
    assert choice.parameters == {"service": "pay", "flag": "one-tap"}
    assert choice.evidence == ("E1", "E3")
    assert "E3 shows that" in choice.reason
    assert "new-errors names the same playbook" in choice.reason
    assert choice.arm == "llm"


NOT_COUNTED: dict[str, tuple[dict[str, Any], str]] = {
    "what only a log line says": ({"flag": "admin-only", "cites": ("E2",)}, "no measured item"),
    "what nothing cited says": ({"flag": "dark-mode"}, "no measured item"),
    "of another component": ({"flag": "dark-mode", "cites": ("E4",)}, "no measured item"),
    "part of a word": ({"flag": "one"}, "no measured item"),
    "a command": ({"flag": "one-tap; reboot"}, "is not a name"),
    "another component's": ({"flag": "one-tap", "service": "web"}, "the facts say service='pay'"),
    "undeclared": ({"flag": "one-tap", "force": True}, "not declared"),
    "no value": ({}, "the fact 'flag' of 'pay' is not known"),
    "nothing cited": ({"flag": "one-tap", "cites": ()}, "cites no evidence"),
    "invented evidence": ({"flag": "one-tap", "cites": ("E3", "E99")}, "does not exist"),
    "no document": ({"flag": "one-tap", "recalled": {}}, "no trusted document"),
    "not for this cause": ({"playbook_id": "drain-node"}, "not for this cause"),
    "a precondition that is open": (
        {"playbook_id": "scale-out", "ranking": located("cpu_saturation"), "replicas": 40},
        "it is not known",
    ),
    "invented playbook": ({"playbook_id": "rm-rf"}, "no playbook of the catalogue"),
}


@pytest.mark.parametrize(("given", "said"), NOT_COUNTED.values(), ids=NOT_COUNTED.keys())
def test_what_nothing_else_confirms_takes_no_effect(given: dict[str, Any], said: str) -> None:
    ranking = given.get("ranking", located())
    before = choose(CATALOGUE, ranking, {})
    choice = proposed(**given)
    assert choice.abstained
    assert (choice.check, choice.evidence) == (before.check, before.evidence)
    assert said in choice.reason


@pytest.mark.parametrize("ranking", [located(None), Ranking()], ids=["kind", "none"])
def test_what_is_not_located_is_not_acted_on_whatever_is_proposed(ranking: Ranking) -> None:
    assert proposed(flag="one-tap", ranking=ranking).abstained


KNOWN: dict[str, Fact] = {"flag:pay": "one-tap"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"flag": "one-tap"}, "; the model agrees", id="the same"),
        pytest.param({"flag": "two-tap"}, "not on flag; the facts stand", id="another value"),
        pytest.param({"playbook_id": "restart"}, "would take restart", id="another playbook"),
        pytest.param({"playbook_id": "$(reboot)"}, "no playbook of the catalogue", id="invented"),
        pytest.param({"playbook_id": ""}, "would not act", id="none"),
    ],
)
def test_where_the_rules_decide_it_is_only_remarked(given: dict[str, Any], said: str) -> None:
    ours = choose(CATALOGUE, located(), KNOWN)
    choice = proposed(**given, facts=KNOWN)
    assert (choice.playbook_id, choice.parameters) == (ours.playbook_id, ours.parameters)
    assert choice.evidence == ours.evidence
    assert said in choice.reason
    assert "$(" not in choice.reason


def test_dissent_is_kept_beside_what_was_considered() -> None:
    choice = proposed(playbook_id="restart", facts=KNOWN)
    assert [one.reason for one in choice.considered if one.playbook_id == "restart"] == [
        "a model would take it"
    ]


@pytest.mark.parametrize(
    ("statement", "value", "counts"),
    [
        pytest.param("pay: pool size was set to 20.", 40, True, id="twice the one measured"),
        pytest.param("pay: pool size was set to 20.", 20, False, id="the one measured"),
        pytest.param("pay: pool size was set to 400.", 500, False, id="clamped to the bound"),
        pytest.param("pay has 20 errors.", 40, False, id="a figure of something else"),
        pytest.param("pay: pool size was set to 20.", 5000, False, id="out of bounds"),
    ],
)
def test_a_figure_is_the_declared_multiple_of_one_about_that_fact(
    statement: str, value: int, counts: bool
) -> None:
    (resize,) = (one for one in CATALOGUE if one.id == "resize-pool")
    # Without the preconditions, which want the fact itself; what is tested is the amount alone.
    bare = resize.model_copy(
        update={
            "preconditions": (),
            "parameters": tuple(p for p in resize.parameters if p.name != "pool_size_before"),
        }
    )
    proposal = Proposal(
        playbook_id="resize-pool", parameters={"pool_size": value}, evidence=("E9",)
    )
    consulted = ProposalContext(
        proposal=proposal,
        evidence=(item("E9", "change", "pay", statement),),
        recalled={"resize-pool": "pool-exhausted"},
    )
    choice = choose((bare,), located("pool_exhaustion"), {}, arm="llm", consulted=consulted)
    assert choice.abstained is not counts
