"""What confirmed incidents teach: bounded, shrunk by their number, component-independent."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tools.topology_walker.site import (
    LEAST,
    MOST_OTHERS,
    MOST_SIGNS,
    WEIGHT,
    Lesson,
    SiteMemory,
    calibration,
    lesson,
    signs,
)
from tools.types import Candidate, Evidence, FaultKind, Term, Window

WINDOW = Window(start=0.0, end=60.0)


def item(number: int, subject: str, name: str, kind: str = "metric", **more: object) -> Evidence:
    told = {"id": f"E{number}", "kind": kind, "subject": subject, "name": name, "strength": 5.0}
    rest = {"source": "s", "query": "q", "window": WINDOW, "statement": "x", "direction": "up"}
    return Evidence.model_validate({**told, **rest, **more})


def suspect(name: str, score: float, kind: FaultKind = "errors", evidence: str = "E1") -> Candidate:
    terms = (Term(name="own errors", weight=score, evidence=(evidence,)),)
    return Candidate(component=name, score=score, fault_kind=kind, terms=terms)


FULL = (item(1, "cart", "pool_wait_ms"), item(2, "cart", "queue full", "log", query="template=ab1"))
CALM = (item(3, "web", "latency_p95_ms"), item(4, "web->cart", "caller_errors", "edge"))
SEEN = (*FULL, *CALM)


def taught(
    count: int, kind: FaultKind = "pool_exhaustion", said: FaultKind = "errors"
) -> SiteMemory:
    one = lesson("inc", ("cart", kind), [suspect("cart", 1.0, said), suspect("web", 0.9)], SEEN)
    return SiteMemory([one.model_copy(update={"incident": f"inc-{n}"}) for n in range(count)])


def renamed(evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """The same fault elsewhere."""
    names = {"cart": "stock", "web": "door", "web->cart": "door->stock"}
    return tuple(one.model_copy(update={"subject": names[one.subject]}) for one in evidence)


def test_what_was_seen_at_one_component_is_recognised_at_another() -> None:
    candidates = [suspect("door", 1.0, evidence="E3"), suspect("stock", 0.9)]
    assert SiteMemory(()).ordered(candidates, renamed(SEEN)) == tuple(candidates)
    first, second = taught(4).ordered(candidates, renamed(SEEN))
    assert (first.component, second.component) == ("stock", "door")
    term = next(one for one in first.terms if one.name.startswith("as in"))
    assert term.name == "as in inc-0, inc-1, inc-2 and 1 more here"
    assert set(term.evidence) <= {"E1", "E2", "E4"}
    assert first.score == pytest.approx(sum(one.weight for one in first.terms))


def test_one_incident_counts_for_little_and_many_for_no_more_than_the_weight() -> None:
    def added(count: int) -> float:
        (only,) = taught(count).ordered([suspect("cart", 1.0)], SEEN)
        return only.score - 1.0

    grown = [added(count) for count in (0, 1, 2, 5, 50, 500)]
    assert grown == sorted(grown)
    assert grown[0] == 0.0
    assert 0.0 < grown[1] < WEIGHT / 5
    assert grown[-1] <= WEIGHT


def test_a_kind_is_corrected_where_it_nearly_always_was_another_and_not_before() -> None:
    def kind(count: int, said: FaultKind = "errors") -> FaultKind | None:
        return taught(count).ordered([suspect("cart", 1.0, said)], SEEN)[0].fault_kind

    assert [kind(count) for count in (1, 5, 10)] == ["errors", "errors", "errors"]
    assert kind(11) == "pool_exhaustion"
    assert kind(50, said="bad_deploy") == "bad_deploy"  # nobody has said that here before


def test_a_component_that_shows_nothing_seen_before_is_left_as_it_is() -> None:
    other = suspect("mail", 1.0, evidence="E9")
    assert taught(9).ordered([other], (item(9, "mail", "disk_used_pct", "trace"),)) == (other,)


def test_a_lesson_names_no_component_and_is_bounded() -> None:
    many = tuple(item(n + 1, "cart", f"alert{n}" * 100, "alert") for n in range(200))
    crowd = [suspect(f"c{n}", 1.0) for n in range(50)]
    one = lesson("inc-1", ("cart", "errors"), [*crowd, suspect("cart", 2.0)], many)
    assert len(one.signs) == MOST_SIGNS
    assert len(one.others) == MOST_OTHERS
    assert len(one.model_dump_json()) < 10_000
    assert (
        "cart"
        not in lesson("i", ("cart", "errors"), [suspect("cart", 1.0)], SEEN).model_dump_json()
    )


def test_a_note_that_somebody_asked_for_is_no_sign() -> None:
    assert signs(suspect("cart", 1.0, evidence="E9"), [item(9, "cart", "x", "note")]) == {
        "term own errors": "E9"
    }


def test_a_lesson_of_another_shape_is_refused() -> None:
    with pytest.raises(ValidationError):
        Lesson.model_validate({"incident": "x", "fault_kind": "gremlins"})
    with pytest.raises(ValidationError):
        Lesson.model_validate({"incident": "x", "fault_kind": "errors", "signs": ["s"] * 99})


def told(pairs: list[tuple[float, bool]]) -> list[Lesson]:
    return [
        Lesson(incident=f"i{n}", fault_kind="errors", chance=p, right=right)
        for n, (p, right) in enumerate(pairs)
    ]


def test_below_twenty_incidents_the_shipped_chances_stand() -> None:
    assert calibration(told([(0.9, False)] * (LEAST - 1))) is None
    assert calibration(told([(0.9, False)] * LEAST)) is not None


def test_who_promises_too_much_here_is_corrected_and_who_keeps_it_is_not() -> None:
    rng = np.random.default_rng(7)
    boasts = calibration(told([(0.95, bool(rng.random() < 0.6)) for _ in range(200)]))
    honest = calibration(told([(p, bool(rng.random() < p)) for p in rng.uniform(0.3, 0.95, 200)]))
    assert boasts is not None
    assert honest is not None
    assert 0.5 < boasts.of(0.95) < 0.75
    assert all(abs(honest.of(p) - p) < 0.1 for p in (0.4, 0.6, 0.8, 0.95))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=LEAST, max_size=60))
def test_a_calibration_changes_no_order_and_stays_a_chance(pairs: list[tuple[float, bool]]) -> None:
    found = calibration(told(pairs))
    assert found is not None
    assert math.isfinite(found.slope)
    said = [found.of(p) for p in (0.0, 0.01, 0.3, 0.5, 0.7, 0.99, 1.0)]
    assert said == sorted(said)
    assert all(0.0 <= p <= 1.0 for p in said)
