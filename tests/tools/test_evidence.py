"""Numbers for findings, and claims held against them."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.evidence import check, cited, number
from tools.types import Finding, Window


def finding(subject: str = "cart", strength: float = 1.0, **changes: object) -> Finding:
    fields: dict[str, object] = {
        "kind": "metric",
        "subject": subject,
        "name": "latency_p99_ms",
        "source": "metrics",
        "query": f"{subject}|latency_p99_ms",
        "window": Window(start=0.0, end=60.0),
        "value": 3200.0,
        "baseline": 200.0,
        "unit": "ms",
        "strength": strength,
        "statement": f"{subject} latency rose.",
    }
    return Finding.model_validate(fields | changes)


def test_the_strongest_finding_is_e1() -> None:
    numbered = number([finding("a", 1.0), finding("b", 5.0), finding("c", 3.0)])
    assert [(item.id, item.subject) for item in numbered] == [("E1", "b"), ("E2", "c"), ("E3", "a")]


def test_a_repeated_finding_is_numbered_once() -> None:
    assert len(number([finding(), finding(), finding("web")])) == 2


def test_nothing_found_is_nothing_numbered() -> None:
    assert number([]) == ()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([0.0, 1.0, 2.0])), max_size=12),
    st.integers(0, 10),
)
def test_numbers_do_not_depend_on_the_order_of_arrival(
    found: list[tuple[str, float]], seed: int
) -> None:
    findings = [finding(subject, strength) for subject, strength in found]
    shuffled = findings[:]
    random.Random(seed).shuffle(shuffled)
    assert number(findings) == number(shuffled)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("slow since 10:02 [E3], see E1 and E3", ("E3", "E1")),
        ("根因是 cart[E12]。", ("E12",)),
        ("the E-value, CODE1, E0 and E1a are no citations", ()),
    ],
)
def test_cited_ids_are_found_in_order_and_once(text: str, ids: tuple[str, ...]) -> None:
    assert cited(text) == ids


SUPPORTED = [
    "cart took 3200 ms [E1]",
    "cart took 3.2 s [E1]",
    "cart took about 3.19 s [E1]",
    "3,200 ms instead of 200 ms [E1]",
    "16 times its usual latency [E1]",
    "延迟升到 3.2 s[E1],为平时的 16倍",
    "at 10:32 on 2024-01-02 cart-2 of v2 slowed down [E1]",
    "nothing is quoted and nothing is cited",
]


@pytest.mark.parametrize("text", SUPPORTED)
def test_a_figure_of_the_cited_evidence_passes(text: str) -> None:
    assert check(text, number([finding()])) == ()


INVENTED = [
    ("cart took 4.1 s [E1]", "unsupported_figure", "4.1 s"),
    ("95 % of the calls failed [E1]", "unsupported_figure", "95 %"),
    ("cart took 3.2 s", "unsupported_figure", "3.2 s"),
    ("see E7", "unknown_id", "E7"),
    ("延迟升到 9.9 s[E1]", "unsupported_figure", "9.9 s"),
]


@pytest.mark.parametrize(("text", "kind", "quoted"), INVENTED)
def test_an_invented_id_or_figure_is_named(text: str, kind: str, quoted: str) -> None:
    flaws = check(text, number([finding()]))
    assert [(flaw.kind, flaw.quoted) for flaw in flaws] == [(kind, quoted)]
    assert quoted in flaws[0].reason


def test_a_figure_of_evidence_that_is_not_cited_does_not_count() -> None:
    evidence = number([finding("a", 2.0), finding("b", 1.0, value=77.0, baseline=70.0)])
    assert check("77 ms [E2]", evidence) == ()
    assert check("77 ms [E1]", evidence)
    assert check("77 ms [E1]", evidence, also=("E2",)) == ()


def test_figures_in_statement_and_excerpt_may_be_quoted() -> None:
    evidence = number([finding(statement="cart lost 12 of 40 calls.", excerpt="timeout 5000 ms")])
    assert check("12 of 40 calls were lost after 5 s [E1]", evidence) == ()


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_any_text_can_be_checked(text: str) -> None:
    check(text, number([finding()]))
