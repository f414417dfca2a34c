"""How sure a ranking is: the word, the chance, what thin evidence allows, and what would decide."""

from collections.abc import Sequence

import pytest

from tools.topology_walker.calibration import (
    CalibrationModel,
    RankedEvidence,
    figures,
    shipped,
)
from tools.topology_walker.certainty import (
    NOTHING_KNOWN,
    EvidenceScope,
    bound_of,
    decide,
    is_forecast,
)
from tools.types import (
    Candidate,
    Edge,
    Evidence,
    EvidenceKind,
    FaultKind,
    Finding,
    Ranking,
    Term,
    Topology,
    Window,
)

WINDOW = Window(start=0.0, end=60.0)
SHOP = Topology(edges=(Edge(caller="web", callee="cart"), Edge(caller="cart", callee="db")))
SURE = CalibrationModel(weights={}, bias=2.0, others=0.5)
UNSURE = CalibrationModel(weights={}, bias=-1.0, others=0.5)


def finding(
    kind: EvidenceKind, subject: str, name: str = "latency", unit: str = "", onset: float = 0.0
) -> Finding:
    return Finding(
        kind=kind, subject=subject, name=name, source="s", query="q", window=WINDOW, unit=unit,
        onset=onset, statement=f"{subject} {name}",
    )  # fmt: skip


def candidate(
    name: str, kind: FaultKind, *cited: tuple[float, str], score: float | None = None
) -> Candidate:
    terms = tuple(
        Term(name="own latency", weight=weight, evidence=(item,)) for weight, item in cited
    )
    total = sum(weight for weight, _ in cited) if score is None else score
    return Candidate(component=name, score=total, fault_kind=kind, terms=terms)


def ranked(
    evidence: Sequence[Finding], *candidates: Candidate, topology: Topology = SHOP
) -> RankedEvidence:
    numbered = [
        Evidence(id=f"E{place}", **one.model_dump()) for place, one in enumerate(evidence, start=1)
    ]
    return RankedEvidence(candidates, numbered, topology)


MEASURED_AND_LOGGED = [
    finding("metric", "cart"),
    finding("log", "cart", "refused"),
    finding("metric", "db"),
]
CART = candidate("cart", "pool_exhaustion", (1.0, "E1"), (0.5, "E2"))
DB = candidate("db", "lock_contention", (0.4, "E3"))


def answer(
    given: RankedEvidence, model: CalibrationModel = SURE, around: EvidenceScope = NOTHING_KNOWN
) -> Ranking:
    return decide(given, around, model=model)


def test_two_kinds_of_evidence_that_agree_and_none_against_prove_a_cause() -> None:
    found = answer(ranked(MEASURED_AND_LOGGED, CART, DB))
    assert found.certainty == "proven"
    assert found.calibrated
    assert found.why is not None
    assert found.why.en == "metrics and logs agree on it"
    assert found.why.zh == "指标、日志一致指向它"


def test_one_kind_of_evidence_makes_a_cause_likely_at_most() -> None:
    found = answer(ranked([finding("metric", "cart")], candidate("cart", "errors", (1.0, "E1"))))
    assert found.certainty == "likely"
    assert found.why is not None
    assert found.why.en == "metrics alone speak for it"


def test_what_a_day_without_a_fault_shows_as_well_is_no_cause() -> None:
    """Everything is a little slower on a busy machine; one term of 0.16 and one of 0.07."""
    evidence = [finding("edge", "cart->db", "wire_latency"), finding("metric", "cart")]
    faint = candidate("cart", "network_delay", (0.16, "E1"), (0.07, "E2"))
    found = answer(ranked(evidence, faint))
    assert found.certainty == "insufficient"
    assert found.candidates[0].probability == 0.5
    assert "hardly off its normal level" in found.reason
    clear = candidate("cart", "network_delay", (0.5, "E1"), (0.07, "E2"))
    assert answer(ranked(evidence, clear)).certainty == "likely"


@pytest.mark.parametrize("arm", ["rules", "ml"])
def test_what_did_not_last_is_said_with_less(arm: str) -> None:
    """One slow minute in ten is what quiet days show, a fault lasts."""

    def slow_for(share: float) -> RankedEvidence:
        held = finding("metric", "cart").model_copy(update={"figures": {"steady": share}})
        return ranked([held], candidate("cart", "slow_dependency", (0.5, "E1")))

    brief, lasting = slow_for(0.1), slow_for(0.9)
    assert (figures(brief)["passing"], figures(lasting)["passing"]) == (1.0, 0.0)
    assert answer(lasting, shipped()[arm]).certainty == "likely"
    found = answer(brief, shipped()[arm])
    assert found.certainty == "insufficient"
    assert "cart held for 10% of the time since the onset" in found.reason
    assert found.look is not None
    assert "look again in five minutes" in found.look.en


def test_a_state_holds_however_often_it_was_so_before() -> None:
    down = finding("metric", "cart", "instances_up").model_copy(update={"figures": {"steady": 0.0}})
    assert ranked([down], candidate("cart", "process_down", (1.0, "E1"))).lasting == 1.0


def test_of_the_terms_the_heavier_decides_whether_it_lasted_and_a_log_line_lasts() -> None:
    passed = finding("metric", "cart").model_copy(update={"figures": {"steady": 0.0}})
    evidence = [passed, finding("log", "cart", "refused")]
    found = ranked(evidence, candidate("cart", "errors", (0.2, "E1"), (0.6, "E2")))
    assert found.lasting == pytest.approx(0.75)


def test_a_kind_of_evidence_that_speaks_for_another_proves_nothing() -> None:
    evidence = [*MEASURED_AND_LOGGED, finding("trace", "db")]
    other = candidate("db", "lock_contention", (0.4, "E3"), (0.5, "E4"))
    found = answer(ranked(evidence, CART, other))
    assert found.certainty == "likely"
    assert found.why is not None
    assert "traces speak more for db" in found.why.en


def test_that_it_was_released_or_alerted_proves_nothing() -> None:
    evidence = [finding("metric", "cart"), finding("change", "cart"), finding("alert", "cart")]
    cited = [(1.0, "E1"), (0.5, "E2"), (0.5, "E3")]
    found = answer(ranked(evidence, candidate("cart", "bad_deploy", *cited)))
    assert found.certainty == "likely"


def test_what_was_measured_elsewhere_proves_nothing() -> None:
    evidence = [finding("metric", "web"), finding("log", "cart", "refused")]
    found = answer(ranked(evidence, candidate("cart", "errors", (1.0, "E1"), (0.5, "E2"))))
    assert found.certainty == "likely"


def test_of_two_alike_the_call_between_them_is_the_look_that_tells() -> None:
    rival = candidate("db", "lock_contention", (1.0, "E3"))
    found = answer(ranked(MEASURED_AND_LOGGED, CART, rival), UNSURE)
    assert found.certainty == "ambiguous"
    assert found.abstained
    assert found.look is not None
    assert "compare the calls cart → db as cart and as db measures them" in found.look.en
    assert "对比 cart 与 db" in found.look.zh


def test_of_two_that_do_not_call_each_other_each_has_its_look() -> None:
    rival = candidate("ads", "memory_pressure", (1.0, "E3"))
    found = answer(ranked(MEASURED_AND_LOGGED, CART, rival), UNSURE)
    assert found.look is not None
    assert "cart: used against most of its pools" in found.look.en
    assert "ads: working set against its limit, and OOM kills" in found.look.en


def test_too_little_evidence_says_which_kinds_are_silent_and_which_have_no_source() -> None:
    around = EvidenceScope(missing=("changes: not configured",))
    found = answer(ranked(MEASURED_AND_LOGGED, CART), UNSURE, around)
    assert found.certainty == "insufficient"
    assert found.look is not None
    assert found.look.en == "no source of changes; nothing in traces"
    assert found.look.zh == "没有数据源:变更;未见异常:链路"


def test_no_evidence_at_all_is_insufficient_and_none_of_these_is_certain() -> None:
    found = answer(ranked([]))
    assert (found.certainty, found.none_of_these) == ("insufficient", 1.0)
    assert "no evidence" in found.reason


THIN: dict[str, tuple[list[Finding], float, str]] = {
    "an alert": ([finding("alert", "cart")], 0.5, "insufficient"),
    "an alert and a change": (
        [finding("alert", "cart"), finding("change", "cart", "deploy")],
        0.5,
        "insufficient",
    ),
    "a change": ([finding("change", "cart", "deploy")], 0.5, "insufficient"),
    "a forecast": ([finding("alert", "cart", "DiskWillFillIn4Hours")], 0.5, "insufficient"),
    "alerts that carry what was measured": (
        [finding("alert", "cart", unit="sigma"), finding("alert", "cart", "cpu", unit="sigma")],
        0.7,
        "likely",
    ),
    "log lines": ([finding("log", "cart"), finding("alert", "cart")], 0.7, "likely"),
}


@pytest.mark.parametrize("case", THIN, ids=list(THIN))
def test_thin_evidence_bounds_what_is_said_and_shows_no_percentage(case: str) -> None:
    evidence, most, certainty = THIN[case]
    cited = [(3.0, f"E{place}") for place in range(1, len(evidence) + 1)]
    found = answer(ranked(evidence, candidate("cart", "disk_full", *cited)))
    assert found.candidates[0].probability == most
    assert (found.certainty, found.calibrated) == (certainty, False)


def test_minutes_of_history_bound_what_is_said() -> None:
    given = ranked(MEASURED_AND_LOGGED, CART, DB)
    young = answer(given, around=EvidenceScope(history_s=180.0))
    assert young.candidates[0].probability <= 0.7
    assert (young.certainty, young.calibrated) == ("likely", False)
    assert answer(given, around=EvidenceScope(history_s=3600.0)).certainty == "proven"


@pytest.mark.parametrize(
    ("name", "what_will_be"),
    [
        ("DiskWillFillIn4Hours", True),
        ("KubePersistentVolumeFillingUpPredicted", True),
        ("disk_full_in_24h", True),
        ("NodeFilesystemSpaceFillingUp", False),
        ("DiskFull", False),
        ("HighErrorRate", False),
        ("WillowServiceDown", False),
    ],
)
def test_a_forecast_is_told_by_its_name(name: str, what_will_be: bool) -> None:
    assert is_forecast(name) is what_will_be


@pytest.mark.parametrize("arm", ["rules", "ml"])
def test_the_chances_and_none_of_these_sum_to_one(arm: str) -> None:
    given = ranked(MEASURED_AND_LOGGED, CART, DB)
    found = answer(given, shipped()[arm])
    chances = [one.probability for one in found.candidates]
    assert sum(chances) + found.none_of_these == pytest.approx(1.0)
    assert chances == sorted(chances, reverse=True)
    assert bound_of(given) is None
