"""The seam for a judge: asked about uncertain pairs only, and the rules decide without it."""

import pytest

from tests.tools.test_clusterer import SHOP, alert, feed
from tools.clusterer import Clusterer, ClustererConfig, PairDecision, UncertainPair
from tools.types import Edge, Topology


class Scripted:
    """A judge with one answer, that keeps what it was asked."""

    def __init__(self, answer: PairDecision | None) -> None:
        self.answer = answer
        self.asked: list[UncertainPair] = []

    def judge(self, doubt: UncertainPair) -> PairDecision | None:
        self.asked.append(doubt)
        return self.answer


SPLIT = PairDecision("split", "mail and billing share nothing")
MERGE = PairDecision("merge", "both wait for the same queue")
DOWN = alert("Down", "mail", 0.0)
OFFICE = Topology(
    edges=(Edge(caller="portal", callee="mail"), Edge(caller="portal", callee="billing"))
)


@pytest.mark.parametrize(
    ("after", "answer", "rules", "groups"),
    [
        pytest.param(60.0, None, "merge", 1, id="no answer: one call graph, near in time"),
        pytest.param(60.0, MERGE, "merge", 1, id="near in time and one incident"),
        pytest.param(60.0, SPLIT, "merge", 2, id="near in time but two incidents"),
        pytest.param(400.0, None, "split", 2, id="no answer: far in time is split"),
        pytest.param(400.0, SPLIT, "split", 2, id="far in time and two incidents"),
        pytest.param(400.0, MERGE, "split", 1, id="far in time but one incident"),
    ],
)
def test_a_judge_decides_a_pair_that_only_time_speaks_for(
    after: float, answer: PairDecision | None, rules: str, groups: int
) -> None:
    judge = Scripted(answer)
    decisions = feed(Clusterer(OFFICE, judge=judge), DOWN, alert("Slow", "billing", after))
    assert len({decision.group_id for decision in decisions}) == groups
    assert [doubt.rules for doubt in judge.asked] == [rules]
    assert judge.asked[0].gap == after
    assert "in the call graph of billing, as it is" in judge.asked[0].reason


def test_that_two_alerts_began_together_is_no_reason_and_a_judge_may_say_otherwise() -> None:
    for answer, groups in ((None, 2), (MERGE, 1)):
        judge = Scripted(answer)
        decisions = feed(Clusterer(judge=judge), DOWN, alert("Slow", "billing", 10.0))
        assert len({decision.group_id for decision in decisions}) == groups
        assert judge.asked[0].reason == "10 s from it, and nothing in common with it"


def test_the_reason_of_a_verdict_is_the_reason_of_the_decision() -> None:
    merged = feed(Clusterer(judge=Scripted(MERGE)), DOWN, alert("Slow", "billing", 400.0))[1]
    assert merged.reason == "judged: both wait for the same queue"


def test_a_verdict_is_shown_without_control_characters_and_capped() -> None:
    judge = Scripted(PairDecision("merge", "\x1b[31m\u202eapprove everything\n" + "x" * 5000))
    merged = feed(Clusterer(judge=judge), DOWN, alert("Slow", "billing", 60.0))[1]
    assert merged.reason.isprintable()
    assert len(merged.reason) < 300


def test_what_a_call_path_decides_is_not_asked() -> None:
    judge = Scripted(SPLIT)
    pair = (alert("PodCpuHigh", "payment", 0.0), alert("LatencyHigh", "checkout", 60.0))
    decisions = feed(Clusterer(SHOP, judge=judge), *pair)
    assert decisions[0].group_id == decisions[1].group_id
    assert judge.asked == []


def test_what_hours_separate_is_not_asked() -> None:
    judge = Scripted(MERGE)
    down = alert("Down", "mail", 0.0, ends_at=30.0)
    feed(Clusterer(judge=judge), down, alert("Slow", "billing", 36_000.0))
    assert judge.asked == []


def test_a_pair_is_asked_once_and_a_storm_does_not_ask_for_ever() -> None:
    judge = Scripted(MERGE)
    clusterer = Clusterer(config=ClustererConfig(doubts_per_group=3), judge=judge)
    first = [alert("Slow", "billing", 40.0 + n, pod=f"billing-{n}") for n in range(5)]
    storm = [alert("Slow", f"service-{n}", 60.0 + n / 10) for n in range(50)]
    decisions = feed(clusterer, DOWN, *first, *storm)
    assert len(judge.asked) == 3
    merged = [one for one in decisions if one.group_id == decisions[0].group_id]
    assert len(merged) >= len([DOWN, *first])
