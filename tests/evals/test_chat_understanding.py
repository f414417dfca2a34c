"""What a question is understood as, by the phrases and by what is learned."""

import re
from dataclasses import replace

import pytest

from copilot.surfaces.chat.understand import (
    LearnedUnderstanding,
    RuleUnderstanding,
    UnderstandingChain,
)
from copilot.surfaces.chat.understand.entities import without_names
from copilot.surfaces.chat.understand.learned import OFFERABLE, SERVICE, examples, respelled
from evals.chat import understanding
from evals.chat.understanding import HELD_OUT, SCENE, UnderstandingWay, graded, paraphrases, shares
from prompts import LANGUAGES, Language


@pytest.fixture(scope="module")
def chain() -> UnderstandingChain:
    return UnderstandingChain(RuleUnderstanding(), learned=LearnedUnderstanding())


def test_most_paraphrases_are_understood_and_few_as_something_else() -> None:
    in_force = UnderstandingChain(learned=LearnedUnderstanding())
    found = shares([*graded(UnderstandingWay("rules, ml", in_force), most=40)])
    assert found["right"] >= 0.92
    assert found["wrong"] <= 0.05


MISSPELLED = [
    pytest.param("is shiping ok?", ("shipping",), id="a letter too few"),
    pytest.param("shippinng 正常吗", ("shipping",), id="a letter too many, in Chinese"),
    pytest.param("any errors in the catlaog logs", ("catalog",), id="two swapped"),
    pytest.param("is the shipment ok?", (), id="another word"),
    pytest.param('search the logs for "shiping"', (), id="quoted: it is searched for as it is"),
]


@pytest.mark.parametrize(("question", "services"), MISSPELLED)
def test_a_misspelt_service_is_the_one_it_is_near(
    chain: UnderstandingChain, question: str, services: tuple[str, ...]
) -> None:
    assert chain.understood(question, SCENE).named.services == services


def test_of_a_long_text_the_first_unknown_words_are_respelled_and_the_rest_costs_nothing() -> None:
    pasted = " ".join(f"zqx{chr(97 + n % 26)}{chr(97 + n // 26)}wv" for n in range(600))
    assert respelled(f"culrpit {pasted} culrpit", SCENE) == f"culprit {pasted} culrpit"


def test_no_example_is_a_paraphrase_that_is_held_out() -> None:
    held_out = [asked for asked in paraphrases() if asked.round == HELD_OUT]
    measured = {_plain(one) for asked in held_out for one in (*asked.en, *asked.zh)}
    assert len(measured) > 200
    assert not measured & {_plain(one.text) for one in examples()}


def _plain(question: str) -> str:
    """The words alone, whatever service they are about."""
    return re.sub(r"\W", "", without_names(question, (*SCENE.services, SERVICE))).lower()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_offered_is_understood_as_it_stands(
    chain: UnderstandingChain, language: Language
) -> None:
    scene = replace(SCENE, language=language)
    first: dict[str, str] = {}
    for one in examples():
        if one.language == language and one.intent in OFFERABLE:
            first.setdefault(one.intent, one.text.replace("X", "cart"))
    for intent, question in first.items():
        assert intent in chain.understood(question, scene).intents, question


OFFERED = [
    pytest.param("requests that are failing so far", "how many requests are failing?", id="en"),
    pytest.param("blorp the frobs", "what is going on?", id="nothing near: the usual"),
]


@pytest.mark.parametrize(("question", "near"), OFFERED)
def test_a_miss_offers_three_questions(chain: UnderstandingChain, question: str, near: str) -> None:
    found = chain.understood(question, SCENE)
    assert (found.intents, len(found.near)) == ((), 3)
    assert near in found.near


FOLLOWED = [
    pytest.param("why not payment?", "那 shipping 呢", "why_not", "shipping", id="zh, same again"),
    pytest.param("payment 正常吗", "and catalog?", "health", "catalog", id="en after zh"),
    pytest.param("who calls cart?", "and payment", "topology", "payment", id="callers of another"),
    pytest.param("what changed?", "cart?", "changes", "cart", id="changes of one"),
    pytest.param("写个通报", "cart 呢", "health", "cart", id="not of a service: its health"),
]


@pytest.mark.parametrize(("before", "question", "look", "service"), FOLLOWED)
def test_a_name_alone_goes_on_with_the_question_before(
    chain: UnderstandingChain, before: str, question: str, look: str, service: str
) -> None:
    (call,) = chain.understood(question, replace(SCENE, before=(before,))).calls
    assert call.tool == look
    assert service in call.arguments.values()


PRONOUNS = [
    "它的延迟呢",
    "那它的延迟怎么样",
    "这个服务延迟多少",
    "what is its latency",
    "how slow is it",
]


@pytest.mark.parametrize("question", PRONOUNS)
def test_a_pronoun_is_the_subject_of_the_turn_before(
    chain: UnderstandingChain, question: str
) -> None:
    (call,) = chain.understood(question, replace(SCENE, recent=("payment",))).calls
    assert call.arguments == {"service": "payment", "family": "latency"}


def test_a_database_is_known_by_what_it_measures_not_by_its_name(
    chain: UnderstandingChain,
) -> None:
    (call,) = chain.understood("为什么不是数据库?", SCENE).calls
    assert call.arguments == {"component": "store"}
    nothing = replace(SCENE, databases=lambda: ())
    (call,) = chain.understood("why not the database?", nothing).calls
    assert call.arguments == {"component": "database"}


CORRECTED = [
    pytest.param("at what time did the errors start?", ("clocks",), id="no logs are wanted"),
    pytest.param("are the pods ok", ("cluster",), id="no service called pods"),
    pytest.param("重启完就没事了?", ("advise",), id="a question, no order"),
    pytest.param("what changed and who is on call?", ("owners", "changes"), id="two questions"),
    pytest.param("roll it back", ("approve",), id="an order stays one"),
    pytest.param("同意吧", ("approve",), id="an order stays one, zh"),
    pytest.param("thanks", ("smalltalk",), id="thanks stay thanks"),
]


@pytest.mark.parametrize(("question", "intents"), CORRECTED)
def test_what_is_learned_corrects_the_phrases(question: str, intents: tuple[str, ...]) -> None:
    assert UnderstandingChain().understood(question, SCENE).intents == intents


def test_a_misspelt_question_is_understood_as_if_it_were_spelled() -> None:
    found = UnderstandingChain().understood("how many reqeusts are failing", SCENE)
    assert found.intents == ("impact",)


def test_the_table_has_a_row_for_each_way_language_and_part() -> None:
    cases = [
        understanding.UnderstandingCase("why?", "en", 1, "right", False),
        understanding.UnderstandingCase("eh?", "en", 1, "silent", True),
        understanding.UnderstandingCase("谁?", "zh", HELD_OUT, "wrong", False),
    ]
    rows = understanding.table({"rules": cases}).rows
    assert rows[0] == ("rules", "en", "known", "2", "0.50", "0.50", "0.00", "1.00")
    assert rows[-1] == ("rules", "zh", "held out", "1", "0.00", "0.00", "1.00", "0.00")
