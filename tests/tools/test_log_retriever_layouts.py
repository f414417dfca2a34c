"""Remembering headers changes nothing but the time it takes."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from tools.log_retriever.headers import split_header
from tools.log_retriever.miner import Layouts

STAMPS = (
    "2024-05-01 10:00:0{d},12{d}",
    "2024-05-01T10:0{d}:00Z",
    "May  {d} 10:00:00",
    "[Wed May 0{d} 10:00:00 2024]",
    "17/06/0{d} 20:10:40",
    "081109 20401{d} 30{d}",
    "10:00:0{d}",
    "<3{d}>1 2024-05-01T10:00:00Z",
    "I0501 10:00:00.00000{d} 1",
    "{{{d}",
    "time=2024-05-01T10:00:0{d}Z",
    "",
)
MIDDLES = (
    " INFO ",
    " [main-{d}] WARN ",
    " host-{d} ",
    " host ",
    " - ",
    " ",
    "|ERROR|",
    " 170{d} 2395 D ",
    " {d}.5 ",
    " [error] ",
)
NAMES = ("sshd[{d}]: ", "a.b.C{d}: ", "web: ", "c.a.s.Service - ", "a.b.C ", "", "[x{d}] q.r.S: ")
MESSAGES = (
    "out of stock",
    "ERROR: {d} lost",
    "ERROR {d} lost",
    "2024-05-01 10:00:0{d} told again",
    "May  1 10:00:0{d} told again: yes",
    "- [a b] x: y",
    ": {d}",
    "[req-{d}] GET /x",
    "10.0.0.{d} - - [x] y",
    "a.b.D: cause: z",
    '{{"level":"error"}}',
    "",
)
lines = st.tuples(
    st.sampled_from(STAMPS),
    st.sampled_from(MIDDLES),
    st.sampled_from(NAMES),
    st.sampled_from(MESSAGES),
    st.integers(1, 9),
).map(lambda parts: "".join(parts[:4]).format(d=parts[4]))


@settings(max_examples=200, deadline=None)
@given(st.lists(lines, max_size=40))
def test_layouts_split_as_the_grammar_does(stream: list[str]) -> None:
    layouts = Layouts()
    assert [layouts.split(line) for line in stream] == [split_header(line) for line in stream]


def test_each_message_after_each_header_that_was_seen_before_another() -> None:
    for stamp, middle, name in product(STAMPS, MIDDLES, NAMES):
        for first in MESSAGES:
            layouts = Layouts()
            layouts.split((stamp + middle + name + first).format(d=3))
            for second in MESSAGES:
                line = (stamp + middle + name + second).format(d=7)
                assert layouts.split(line) == split_header(line)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=10))
def test_any_text_is_split_as_the_grammar_does(stream: list[str]) -> None:
    layouts = Layouts()
    twice = [*stream, *stream]
    assert [layouts.split(line) for line in twice] == [split_header(line) for line in twice]


PROSE = st.tuples(
    st.sampled_from(("warn", "error", "calling", "monday", "dbug", "may", "stdout", "level")),
    st.sampled_from((" a", " INFO x", " May 1", " k=v", " ERROR: x", " w | y", " HTTP/1.1 500 /a")),
    st.sampled_from(("", " level=error msg=lost", " 10:00:00", ": x", " [error] y", ' {"a": 1}')),
).map("".join)


@given(PROSE)
def test_a_line_that_begins_with_two_plain_words_has_no_header(line: str) -> None:
    assert Layouts().split(line) == split_header(line)
