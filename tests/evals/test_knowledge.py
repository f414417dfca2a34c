"""Scores of a search, worked out by hand."""

from math import isnan
from pathlib import Path

import pytest
from rich.progress import Progress

from evals.keys import differences
from evals.knowledge import suite as knowledge
from evals.knowledge.field import (
    FIELD,
    FieldAnswer,
    PostmortemFit,
    first_right,
    largest_wrong,
    left_out,
)
from evals.knowledge.queries import FieldQuery, KnowledgeQuery, QueriesError, read_queries
from evals.knowledge.suite import (
    QUERIES,
    SearchResult,
    mrr,
    no_answer_precision,
    no_answer_recall,
    recall,
)
from evals.report import Options
from knowledge_base import documents

KNOWN = frozenset(document.id for document in documents())


def asked(*right: str) -> KnowledgeQuery:
    return KnowledgeQuery(text="q", form="english", split="tuned", documents=right)


ANSWERS = [
    SearchResult(asked("a"), ("a", "b")),  # at place 1
    SearchResult(asked("a", "c"), ("b", "c")),  # any of the right ones counts: place 2
    SearchResult(asked("a"), ("b",)),  # wrong
    SearchResult(asked("a"), ()),  # silent, and should not be
    SearchResult(asked(), ()),  # rightly silent
    SearchResult(asked(), ("b",)),  # should be silent
]


def test_recall_counts_questions_with_an_answer_only() -> None:
    assert recall(ANSWERS, 1) == 1 / 4
    assert recall(ANSWERS, 5) == 2 / 4


def test_mrr_is_zero_where_nothing_was_found() -> None:
    assert mrr(ANSWERS) == (1 + 1 / 2) / 4


def test_silence_is_judged_both_ways() -> None:
    assert no_answer_precision(ANSWERS) == 1 / 2
    assert no_answer_recall(ANSWERS) == 1 / 2


def test_without_questions_there_is_no_score() -> None:
    assert all(isnan(score) for score in (recall([], 1), mrr([]), no_answer_precision([])))


def test_the_queries_are_enough_in_both_languages_and_a_third_is_held_out() -> None:
    queries = read_queries(QUERIES, KNOWN, KnowledgeQuery)
    assert len(queries) >= 120
    assert len({query.text for query in queries}) == len(queries)
    forms = [query.form for query in queries]
    assert min(forms.count("english"), forms.count("chinese")) >= 60
    assert sum(not query.documents for query in queries) >= 20
    held_out = sum(query.split == "held_out" for query in queries) / len(queries)
    assert held_out == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "queries: [{text: q, form: english, split: tuned, documents: [nowhere]}]",
            "no such documents: nowhere",
        ),
        ("queries: [{text: q, form: klingon, split: tuned, documents: []}]", "form"),
        ("{}", "queries"),
        ("[", "queries.yaml"),
    ],
)
def test_a_wrong_file_of_queries_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "queries.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(QueriesError, match=says):
        read_queries(path, KNOWN, KnowledgeQuery)


def test_the_suite_scores_words_alone_where_no_model_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge, "SMALL_MODEL", "no_such_package_at_all")
    path = tmp_path / "queries.yaml"
    path.write_text(
        "queries:\n"
        "  - {text: OOMKilled, form: identifier, split: tuned, documents: [oom-killed]}\n"
        "  - {text: coffee machine, form: english, split: held_out, documents: []}\n",
        encoding="utf-8",
    )
    with Progress(disable=True) as progress:
        result = knowledge.run(Options(data=path), progress)
    assert result.summary["lexical.recall1"] == 1.0
    assert result.summary["no_answer_precision"] == 1.0
    assert isnan(result.summary["dense.recall1"])
    assert differences(result) == []
    assert "not installed" in str(result.notes["dense"])


def line(*right: str) -> FieldQuery:
    return FieldQuery(text="q", form="alert", language="en", documents=right)


@pytest.mark.parametrize(
    ("query", "found", "right"),
    [
        pytest.param(line("a", "b"), ("b", "c"), True, id="any of its documents first"),
        pytest.param(line("a"), ("b", "a"), False, id="second is too late"),
        pytest.param(line("a"), (), False, id="silent and should not be"),
        pytest.param(line(), (), True, id="rightly silent"),
        pytest.param(line(), ("a",), False, id="nothing is about it and something is shown"),
    ],
)
def test_a_line_of_the_pager_is_right_by_its_first_answer(
    query: FieldQuery, found: tuple[str, ...], right: bool
) -> None:
    assert FieldAnswer(query, found).right is right


def test_the_lines_are_half_chinese_and_a_hash_halves_them() -> None:
    lines = read_queries(FIELD, KNOWN, FieldQuery)
    assert len({one.text for one in lines}) == len(lines) == 60
    assert sum(one.language == "zh" for one in lines) == 30
    assert {one.form for one in lines} == {"alert", "log", "question"}
    assert 24 <= sum(one.split == "tuned" for one in lines) <= 36
    assert isnan(first_right([]))


def test_the_threshold_of_a_line_comes_from_the_other_lines() -> None:
    found = [PostmortemFit(9.0, False), PostmortemFit(4.0, False), PostmortemFit(10.0, True)]
    assert largest_wrong(found) == 9.0
    assert left_out(found) == (1, 1)  # left out itself, the largest wrong one is shown
    assert left_out([]) == (0, 0)
