"""What a model may say over cited evidence: a table of kinds, and the corpus as a whole."""

import pytest

from copilot.model.claims import ClaimScope, holding, problems_of, style
from copilot.model.replies import NarrativeReply, Sentence
from evals.reasoning.sentences import sentence_cases, sentence_figures
from prompts import Language
from tests.copilot.reasoning_case import ONSET, item
from tools.types import Evidence

EVIDENCE: tuple[Evidence, ...] = (
    item(1, "cart", "cart latency_ms rose to 1900 ms, normally 100 ms.", direction="up").model_copy(
        update={"value": 1900.0, "baseline": 100.0, "unit": "ms"}
    ),
    item(
        2, "web->cart", "web->cart error_pct rose to 12, normally 0.", kind="edge", direction="up"
    ),
    item(3, "cart", "cart: deploy from v1.9.0 to v1.10.0 2 min before.", kind="change"),
    item(4, "cart", "cart cpu_pct is 20%, normally 20%.", value=20.0, baseline=20.0),
    item(5, "web", "web: 1 alert, the strongest 'Errors'.", kind="alert", direction="up"),
    item(6, "cart", "cart queue rose to 9.", direction="up", onset=ONSET + 120, name="queue"),
)
NAMES = frozenset({"cart", "web", "store"})


def scope(language: Language = "en", **more: object) -> ClaimScope:
    return ClaimScope(EVIDENCE, NAMES, language, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "cites", "told"),
    [
        pytest.param("Latency of cart rose.", ["E1"], "", id="as cited"),
        pytest.param("Latency of cart fell.", ["E1"], "'fell'", id="the other way"),
        pytest.param("cart got faster.", ["E1"], "'faster'", id="the other way by its sense"),
        pytest.param("cart went from 1900 to 100 ms.", ["E1"], "step", id="before for after"),
        pytest.param("cart went from v1.9.0 to v1.10.0.", ["E3"], "", id="a version is no figure"),
        pytest.param("The CPU of cart is unchanged.", ["E4"], "", id="flat, and cited as flat"),
        pytest.param("The CPU of cart is as usual.", ["E4"], "", id="as usual, and cited as flat"),
        pytest.param("cart is healthy.", ["E1"], "says 'healthy'", id="healthy, cited as ill"),
        pytest.param("Cart is not the cause, web is.", ["E2"], "says 'not'", id="not the cause"),
        pytest.param("The cart component is not explained.", ["E1"], "says 'not'", id="unsure"),
        pytest.param("cart is under control again.", ["E1"], "'control'", id="a word of no item"),
        pytest.param("cart is full.", ["E1"], "'full'", id="a state that no item shows"),
        pytest.param("cart has 100 ms of latency.", ["E1"], "is what is usual", id="usual as now"),
        pytest.param("Half the calls of web fail.", ["E5"], "'Half' is not", id="another share"),
        pytest.param("The company reduces waste.", ["E1"], "name the component", id="no component"),
        pytest.param("store is slow.", ["E1"], "'store' is not in", id="another component"),
        pytest.param("Why is cart slow?", ["E1"], "new", id="a question"),
        pytest.param("Errors of web made cart slow.", ["E2", "E1"], "web calls cart", id="callers"),
        pytest.param("cart slowed, so web has errors.", ["E1", "E5"], "", id="callees"),
        pytest.param("The alert of web caused latency at cart.", ["E5", "E1"], "alert", id="alert"),
        pytest.param(
            "Latency of cart led to its deploy, cart.", ["E1", "E3"], "change", id="change"
        ),
        pytest.param(
            "The queue of cart caused latency at cart.", ["E6", "E1"], "began after", id="late"
        ),
    ],
)
def test_a_sentence_is_borne_out_by_what_it_cites(text: str, cites: list[str], told: str) -> None:
    found = "; ".join(problems_of(text, cites, scope()))
    assert (told in found) if told else not found, found


@pytest.mark.parametrize("question", ["结账为什么失败,是不是 cart 的问题?", "cart 为什么慢"])
def test_a_question_that_comes_back_is_no_answer(question: str) -> None:
    assert any(
        "repeats" in one for one in problems_of(question, ["E1"], scope("zh", said=(question,)))
    )


def _told(*texts: str) -> NarrativeReply:
    return NarrativeReply(sentences=tuple(Sentence(text=one, cites=("E1", "E2")) for one in texts))


def test_an_account_tells_nothing_twice_and_tells_of_the_located_cause() -> None:
    held = holding(_told("cart is slow.", "The cart is slow."), scope(located="cart"))
    assert held.kept is not None
    assert len(held.kept.sentences) == 1
    assert holding(_told("web sees errors."), scope(located="cart")).kept is None


@pytest.mark.parametrize(
    ("text", "ordered"),
    [
        ("Since the deploy, open connections of cart rose.", False),
        ("Restart counts of cart rose after the deploy.", False),
        ("Restart cart at once.", True),
        ("Connections rose, restart it.", True),
        ("Connections rose, approve failover for cart.", True),
        ("cart must be rolled back.", True),
    ],
)
def test_a_word_of_command_is_an_order_only_where_it_is_a_verb(text: str, ordered: bool) -> None:
    assert bool(style(text, scope())) == ordered


def test_the_corpus_is_judged_as_promised() -> None:
    cases = sentence_cases()
    assert sum(one.flaw == "true" for one in cases) >= 200
    assert sum(one.flaw != "true" for one in cases) >= 200
    figures = sentence_figures(cases)
    assert figures["sentences.false_refused"] >= 0.98
    assert figures["sentences.true_shown"] >= 0.90
