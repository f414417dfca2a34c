"""Records of several lines: traces of every runtime are joined, whatever stands before a line."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.written_traces import LOGS, TRACES
from tools.log_retriever import is_cut, join_records
from tools.log_retriever.cut_lines import MOST_CHARACTERS
from tools.log_retriever.records import MOST_LINES, gist, shortened
from tools.types import LogLine

T0 = 1_780_000_000.0


def lines(*texts: str, stream: str = "a", start: float = T0, level: str = "") -> list[LogLine]:
    """A line every millisecond."""
    return [
        LogLine(start + 0.001 * n, "shop", level, text, stream=stream)
        for n, text in enumerate(texts)
    ]


def messages(given_lines: list[LogLine]) -> list[str]:
    return [record.message for record in join_records(given_lines)]


STARTS_ALONE = ("java, uncaught", "go panic", "go fatal error", "rust", "php", "ruby")
"""What a runtime writes by itself: nothing that was logged before belongs to it."""

WRAPPINGS = {
    "as written": "{}",
    "by containerd": "2026-05-28T10:00:01.123456789Z stderr F {}",
    "by syslog": "May 28 10:00:01 host-1 shop[311]: {}",
    "by a logger": "2026-05-28 10:00:01,123 ERROR [main] shop.Log - {}",
}


@pytest.mark.parametrize("wrapping", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_one_record_that_says_what_was_raised(name: str, wrapping: str) -> None:
    trace, told, untold = TRACES[name]
    wrapped = [wrapping.format(text) for text in trace.splitlines()]
    (record,) = join_records(lines(*wrapped))
    said = gist(record.message)
    assert [text for text in told if text not in said] == []
    assert [text for text in untold if text in said] == []


@pytest.mark.parametrize("name", TRACES)
def test_what_was_logged_before_and_after_a_trace_keeps_its_place(name: str) -> None:
    before = "2026-05-28 10:00:01 ERROR shop - order 7 failed"
    after = "2026-05-28 10:00:01 INFO shop - order 8 placed"
    found = messages(lines(before, *TRACES[name][0].splitlines(), after))
    alone = name in STARTS_ALONE
    assert len(found) == 2 + alone
    assert found[0].startswith(before)
    assert found[-1] == after
    assert ("\n" in found[0]) != alone


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_after_an_ordinary_line_is_a_record_of_its_own_and_an_error(name: str) -> None:
    before = "2026-05-28 10:00:01 INFO shop - order 7 placed"
    first, second = join_records(lines(before, *TRACES[name][0].splitlines()))
    assert first.message == before
    assert (first.level, second.level) == ("", "ERROR")


@pytest.mark.parametrize("name", TRACES)
def test_streams_that_interleave_are_joined_apart(name: str) -> None:
    texts = TRACES[name][0].splitlines()
    told = [line for stream in "abc" for line in lines(*texts, stream=stream)]
    assert messages(told) == [TRACES[name][0]] * 3


@pytest.mark.parametrize("name", TRACES)
def test_the_same_trace_again_is_another_record(name: str) -> None:
    texts = TRACES[name][0].splitlines()
    told = [*lines(*texts), *lines(*texts, start=T0 + 60)]
    assert messages(told) == [TRACES[name][0]] * 2


@pytest.mark.parametrize(("text", "gists"), LOGS.values(), ids=LOGS)
def test_logs_as_loggers_write_them_are_read_in_records(text: str, gists: list[str]) -> None:
    assert [gist(record) for record in messages(lines(*text.splitlines()))] == gists


ORDINARY = {
    "plain": ["one", "two", "three"],
    "errors without frames": ["TimeoutError: 3 s", "TimeoutError: 4 s", "ValueError: no"],
    "logged errors": [f"2026-05-28 10:00:0{n} ERROR shop - a.b.XError: no" for n in range(3)],
    "prose with at": ["at startup we wait", "at 10:00 (UTC) it began", "2026 ERROR at last"],
    "numbered": ["# 1 of 3", "#2 is done", "(3)"],
    "json": ['{"level":"error","msg":"boom"}', '{"level":"info","msg":"at a.b(c)"}'],
    "objects of a field log": ['{"log":"order 7"}', '{"log":"order 8"}'],
    "places of the code": [
        "2026-05-28 10:00:01 ERROR shop - job 1 failed: no",
        "2026-05-28 10:00:01 ERROR shop - job 2 failed after 3 s",
        "2026-05-28 10:00:02 ERROR shop - job 3 failed at Stage.run(Stage.java:7)",
        "2026-05-28 10:00:03 ERROR shop - job 4 failed at Stage.run(Stage.java:7)",
        "2026-05-28 10:00:04 ERROR shop - job 5 failed at main.go:12",
    ],
    "arrows": [
        "2026-05-28 10:00:01 DEBUG shop.Client - [get] ---> GET http://pay HTTP/1.1",
        "2026-05-28 10:00:02 DEBUG shop.Client - [get] <--- HTTP/1.1 200 (7ms)",
        "2026-05-28 10:00:03 DEBUG shop.Client - [get] ---> END HTTP (0-byte body)",
    ],
    "makers": [
        "2026-05-28 10:00:01 INFO shop - order 7",
        "2026-05-28 10:00:02 INFO shop - created by ann",
        "2026-05-28 10:00:03 INFO shop - Node.js v20.1.0",
    ],
    "json that quotes a trace": [
        '{"level":"info","msg":"again: panic: x, Traceback (most recent call last): no"}',
        '{"level":"info","msg":"again: next"}',
    ],
    "calls": ["placed(7)", "main.placed(8)", "shop.placed(9)"],
    "padded": ["  2026-05-28 10:00:01 INFO a", "  2026-05-28 10:00:02 INFO b"],
}


@pytest.mark.parametrize("texts", ORDINARY.values(), ids=ORDINARY)
def test_lines_that_are_no_trace_stay_apart(texts: list[str]) -> None:
    assert messages(lines(*texts)) == texts


def test_a_json_line_keeps_its_message_and_level_with_the_trace_behind_it() -> None:
    (record,) = join_records(
        lines('{"level":"error","msg":"order 7 failed"}', "a.b.XError: no", "\tat a.b(C.java:1)")
    )
    assert record.message == "order 7 failed\na.b.XError: no\n\tat a.b(C.java:1)"
    assert record.level == "ERROR"


def test_a_long_message_stands_between_the_line_and_its_frames() -> None:
    texts = ["2026-05-28 10:00:01 ERROR shop - failed", "### Error: bad grammar", "### SQL: x"]
    texts += ["a.b.SqlException: bad", "\tat a.b(C.java:1)"]
    assert messages(lines("2026-05-28 10:00:00 INFO shop - up", *texts))[1:] == ["\n".join(texts)]


# --- cut lines ---------------------------------------------------------------------------------

CRI = "2026-05-28T10:00:01.12345678{}Z stdout {} {}"
LONG = "x" * 16_384
FILE = {"stream": "stdout", "time": "2026-05-28T10:00:01.123456789Z"}

CUTS = {
    "cri": ([CRI.format(1, "P", "order 7 "), CRI.format(2, "F", "placed")], "order 7 placed"),
    "cri, three parts": (
        [CRI.format(1, "P", "a"), CRI.format(2, "P", "b"), CRI.format(3, "F", "c")],
        "abc",
    ),
    "docker": ([LONG, "end"], LONG + "end"),
    "docker, letters of three bytes": (["日" * 5461 + "x", "完"], "日" * 5461 + "x完"),
    "docker's files": (
        [json.dumps({"log": text, **FILE}) for text in ("order 7 ", "placed\n")],
        "order 7 placed",
    ),
}


@pytest.mark.parametrize(("parts", "whole"), CUTS.values(), ids=CUTS)
def test_parts_of_a_line_are_put_together(parts: list[str], whole: str) -> None:
    (found,) = messages(lines(*parts))
    assert found == whole
    assert not is_cut(found)
    assert len(messages(lines(*parts, parts[-1]))) == 2


def test_a_part_whose_end_never_came_stays_alone() -> None:
    later = [LogLine(T0 + 60, "shop", "", "next", stream="a")]
    assert len(messages([*lines(CRI.format(1, "P", "order 7 ")), *later])) == 2


def test_a_source_can_say_that_a_line_goes_on() -> None:
    first = LogLine(T0, "shop", "INFO", "order 7 ", cut=True)
    assert messages([first, LogLine(T0, "shop", "INFO", "placed")]) == ["order 7 placed"]


# --- hostile -----------------------------------------------------------------------------------


def test_a_trace_of_a_hundred_thousand_lines_is_one_record_within_its_bounds() -> None:
    texts = ["boom", *["\tat a.b(C.java:1)"] * 100_000, "Caused by: a.StackOverflowError"]
    told = [LogLine(T0, "shop", "", text) for text in texts]
    began = time.process_time()
    (record,) = join_records(told)
    assert time.process_time() - began < 20
    assert record.message.count("\n") <= MOST_LINES + 1
    assert len(record.message) <= MOST_CHARACTERS
    assert gist(record.message) == "boom Caused by: a.StackOverflowError"


def test_lines_that_come_too_late_are_no_part_of_a_record() -> None:
    told = [*lines("boom"), *lines("\tat a.b(C.java:1)", start=T0 + 6)]
    assert len(messages(told)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "at " * 400,
        "at a " * 300 + "(",
        "a." * 600,
        "[" * 1000,
        "File " * 300,
        "#1 " * 400,
        "(" * 9999,
    ],
)
def test_no_text_takes_long_to_read(text: str) -> None:
    began = time.process_time()
    join_records(lines(*[text] * 100))
    assert time.process_time() - began < 2


texts = st.text(max_size=40) | st.sampled_from(
    [text for trace, *_ in TRACES.values() for text in trace.splitlines()]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(texts, st.floats(0, 20), st.sampled_from("ab")), max_size=40))
def test_any_lines_are_joined_without_loss_of_text_in_order(
    told: list[tuple[str, float, str]],
) -> None:
    given_lines = [LogLine(T0 + at, "shop", "", text, stream=s) for text, at, s in told]
    found = join_records(given_lines)
    assert [one.at for one in found] == sorted(one.at for one in found)
    letters = "".join(sorted("".join(line.message for line in given_lines).split()))
    assert sorted("".join("".join(one.message for one in found).split())) == sorted(
        "".join(letters.split())
    )


def test_a_long_gist_is_shortened_in_its_middle() -> None:
    said = "order failed a.b.StoreError: no row Caused by: a.b.RangeError: too large"
    assert shortened(said, 200) == said
    assert shortened(said, 48) == "order failed a… Caused by: RangeError: too large"
