"""Search: words, phrases, prefixes; by service, level and time; within bounds, after restart."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.log_retriever import Index
from tools.log_retriever.ranking import bm25, terms_of
from tools.types import LogLine, Window


def line(at: float, message: str, service: str = "cart", level: str = "INFO") -> LogLine:
    return LogLine(at, service, level, message)


def found(index: Index, query: str, **filters: object) -> list[str]:
    """The messages that answer."""
    return [hit.line.message for hit in index.search(query, **filters)]  # type: ignore[arg-type]


@pytest.fixture
def index() -> Index:
    index = Index()
    index.add(
        [
            line(1, "payment refused by bank", level="ERROR"),
            line(2, "payment accepted"),
            line(3, "connection refused: db-1:5432", service="stock", level="error"),
            line(4, "refused refused refused payment", service="stock", level="WARN"),
            line(5, "支付服务连接超时"),
            line(6, "timeout while paying"),
        ]
    )
    return index


def test_every_word_must_occur(index: Index) -> None:
    assert set(found(index, "payment refused")) == {
        "payment refused by bank",
        "refused refused refused payment",
    }


def test_words_match_without_case(index: Index) -> None:
    assert found(index, "PAYMENT Accepted") == ["payment accepted"]


def test_quoted_words_match_as_a_phrase(index: Index) -> None:
    assert found(index, '"payment refused"') == ["payment refused by bank"]


def test_a_star_matches_what_begins_so(index: Index) -> None:
    assert set(found(index, "pay*")) == {
        "payment refused by bank",
        "payment accepted",
        "refused refused refused payment",
        "timeout while paying",
    }


def test_chinese_is_found_by_any_part(index: Index) -> None:
    assert found(index, "连接超时") == ["支付服务连接超时"]


def test_punctuation_separates_words_as_in_the_log(index: Index) -> None:
    assert found(index, "db-1:5432") == ["connection refused: db-1:5432"]


def test_a_template_is_a_query_for_its_lines() -> None:
    index = Index()
    index.add([line(1, "block blk_17 sent in 5 ms"), line(2, "block lost in transit")])
    assert found(index, "block blk_<*> sent in <*> ms") == ["block blk_17 sent in 5 ms"]


def test_filters_narrow_the_search(index: Index) -> None:
    assert found(index, "refused", service="stock", level="ERROR") == [
        "connection refused: db-1:5432"
    ]
    assert found(index, "refused", window=Window(start=0, end=2)) == ["payment refused by bank"]
    assert found(index, "refused", service="nobody") == []
    assert found(index, "refused", level="warning") == ["refused refused refused payment"]


def test_an_empty_query_asks_for_the_newest(index: Index) -> None:
    assert found(index, "", limit=2) == ["timeout while paying", "支付服务连接超时"]
    assert found(index, "", service="stock", limit=1) == ["refused refused refused payment"]


def test_the_more_relevant_comes_first_and_among_equals_the_newer() -> None:
    index = Index()
    index.add([line(t, "disk almost full on node") for t in (1, 2, 3)])
    index.add([line(0, "disk disk disk full")])
    hits = index.search("disk")
    assert hits[0].line.message == "disk disk disk full"
    assert [hit.line.at for hit in hits[1:]] == [3, 2, 1]
    assert hits[0].score > hits[1].score


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    common, rare = bm25(["alpha beta", "alpha beta"], [("alpha", 0.1), ("beta", 5.0)])
    assert common == rare
    assert bm25(["alpha"], [('"alpha"', 5.0)]) > bm25(["alpha"], [('"alpha"', 0.1)])


@pytest.mark.parametrize(
    "query",
    [
        '"',
        '" OR "',
        "a AND b",
        "NEAR(a b)",
        "message:x",
        "* *",
        "(((",
        "x'; DROP TABLE line_0",
        "-",
    ],
)
def test_a_query_is_words_and_never_a_command(index: Index, query: str) -> None:
    assert found(index, query) == []
    assert found(index, "payment accepted") == ["payment accepted"]


def test_a_query_of_marks_only_finds_nothing_rather_than_everything(index: Index) -> None:
    assert terms_of("!!! ---") == []
    assert found(index, "!!! ---") == []


def test_hostile_lines_are_stored_and_found() -> None:
    index = Index()
    index.add(
        [line(1, "lone \ud800 surrogate"), line(2, "x" * 1_000_000), line(3, "nul \x00 byte")]
    )
    assert len(found(index, "surrogate")[0]) == len("lone ? surrogate")
    assert len(found(index, "", limit=2)[1]) == 4096
    assert found(index, "nul") == ["nul \x00 byte"]


def test_the_oldest_lines_go_when_the_index_is_full() -> None:
    index = Index(max_lines=100)
    for start in range(0, 1000, 10):
        index.add([line(t, f"tick {t}") for t in range(start, start + 10)])
        assert index.size().lines <= 100
    assert index.size().lines >= 50
    assert found(index, "", limit=1) == ["tick 999"]
    assert found(index, '"tick 3"') == []
    assert found(index, "", window=Window(start=990, end=991)) == ["tick 991", "tick 990"]


def test_more_lines_at_once_than_the_index_may_hold_keep_the_newest() -> None:
    index = Index(max_lines=100)
    assert index.add([line(t, f"tick {t}") for t in range(1000)]) == 1000
    assert index.size().lines <= 100
    assert found(index, "tick", limit=1) == ["tick 999"]


def test_lines_added_out_of_order_are_found_by_their_time() -> None:
    index = Index()
    index.add([line(t, f"tick {t}") for t in (5, 1, 9, 3)])
    assert found(index, "tick", window=Window(start=2, end=6)) == ["tick 5", "tick 3"]


def test_an_index_in_a_file_is_found_again(tmp_path: Path) -> None:
    first = Index(tmp_path / "logs.db", max_lines=40)
    first.add([line(t, f"tick {t}", level="WARN") for t in range(50)])
    first.close()
    again = Index(tmp_path / "logs.db", max_lines=40)
    assert found(again, "tick", level="warn", limit=1) == ["tick 49"]
    assert found(again, "", window=Window(start=48, end=48)) == ["tick 48"]
    again.add([line(60, "tock")])
    assert found(again, "", limit=2) == ["tock", "tick 49"]
    assert again.size().lines <= 40
    again.close()


def test_an_index_must_hold_something() -> None:
    with pytest.raises(ValueError, match="max_lines"):
        Index(max_lines=1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=10), st.text(max_size=40))
def test_any_query_over_any_lines_is_answered(messages: list[str], query: str) -> None:
    index = Index()
    index.add([line(i, message) for i, message in enumerate(messages)])
    assert len(index.search(query, limit=3)) <= 3
    index.close()


def test_services_and_traces_of_broken_text_are_kept_apart_from_nothing() -> None:
    index = Index()
    index.add([LogLine(1.0, "a\ud800", "INFO", "one", "t\ud800")])
    index.add([LogLine(2.0, "a\ud801", "INFO\ud800", "two", "t\ud801")])

    assert found(index, "", service="a\ud800") == ["two", "one"]
    assert found(index, "two", level="info\ud800") == ["two"]


def test_a_line_without_a_time_does_not_spoil_the_others() -> None:
    index = Index()
    index.add([line(5.0, "late"), line(float("nan"), "when"), line(3.0, "early")])

    assert set(found(index, "")) == {"late", "early", "when"}
    assert found(index, "late", window=Window(start=4.0, end=6.0)) == ["late"]
