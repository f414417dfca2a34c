"""Levels and messages of what loggers write, in text and in JSON, bare and wrapped."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.log_dialects import LEVELS_IN_JSON, LEVELS_IN_TEXT
from tools.log_retriever import Miner
from tools.log_retriever.fields import LEVELS, NumberScale, level_value
from tools.log_retriever.structured import read_json, read_record


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [row[1:] for row in LEVELS_IN_TEXT],
    ids=[row[0] for row in LEVELS_IN_TEXT],
)
def test_a_line_tells_its_level_and_its_message(line: str, level: str, message: str | None) -> None:
    parsed = Miner().add(line)
    assert parsed.level == level
    assert message is None or parsed.content == message


@pytest.mark.parametrize(
    ("line", "level"),
    [row[1:] for row in LEVELS_IN_JSON],
    ids=[row[0] for row in LEVELS_IN_JSON],
)
def test_a_record_tells_its_level_and_its_message(line: str, level: str) -> None:
    parsed = Miner().add(line)
    assert (parsed.level, parsed.template) == (level, "no stock")


WRAPPERS = [
    ("CRI", "2026-05-01T10:00:00.66Z stdout F {}"),
    ("syslog", "May  1 10:00:00 box api[77]: {}"),
    ("RFC 5424", "<30>1 2026-05-01T10:00:00Z box api 77 - - {}"),
    ("compose", "api-1  | {}"),
]


@pytest.mark.parametrize("wrapper", [row[1] for row in WRAPPERS], ids=[row[0] for row in WRAPPERS])
@pytest.mark.parametrize(
    ("line", "level"),
    [row[1:] for row in LEVELS_IN_JSON if row[2] and not row[0].startswith("cut")],
    ids=[row[0] for row in LEVELS_IN_JSON if row[2] and not row[0].startswith("cut")],
)
def test_a_record_is_read_behind_the_head_of_who_collected_it(
    wrapper: str, line: str, level: str
) -> None:
    parsed = Miner().add(wrapper.format(line))
    assert (parsed.level, parsed.template) == (level, "no stock")


@pytest.mark.parametrize(
    ("line", "level"),
    [row[1:] for row in LEVELS_IN_JSON if row[2]],
    ids=[row[0] for row in LEVELS_IN_JSON if row[2]],
)
def test_a_record_is_read_in_the_record_of_who_collected_it(line: str, level: str) -> None:
    docker = json.dumps({"log": line + "\n", "stream": "stdout", "time": "2026-05-01T10:00:00Z"})
    journal = json.dumps({"PRIORITY": "6", "SYSLOG_IDENTIFIER": "api", "MESSAGE": line})
    for wrapped in (docker, journal):
        parsed = Miner().add(wrapped)
        assert (parsed.level, parsed.template) == (level, "no stock")


@pytest.mark.parametrize(
    ("line", "template"),
    [
        ('{"a": "x9", "why": "the bank said no", "b": "y"}', "the bank said no"),
        ('{"user_agent": "Mozilla on a very old machine", "why": "no stock"}', "no stock"),
        ('{"labels": {"a": "one two three"}, "order": 7}', 'order=<*> labels.a="<*>"'),
        ('{"order": 7, "state": "lost"}', "order=<*> state=lost"),
        ('{"result": {"order": 7, "note": "not found in store"}}', "not found in store"),
        ('{"说明": "支付网关超时", "code": 7}', "支付网关超时"),
        ('{"msg": "query failed", "err": {"message": "refused"}}', "query failed: refused"),
        ('{"msg": "query failed", "error": "EOF"}', "query failed: EOF"),
        ('{"msg": "query failed: EOF", "error": "EOF"}', "query failed: EOF"),
        ('{"msg": "done", "error": null}', "done"),
        ('{"msg": "17", "order": 7}', "msg=<*> order=<*>"),
        ('{"msg": "' + "x" * 5_000 + '", "order": 7}', 'msg="<*>" order=<*>'),
        ('{"msg": "http://shop/cart", "why": "not found"}', "not found"),
        ('{"msg": 17}', "msg=<*>"),
        ('{"msg": "done", "error": "false"}', "done"),
        ('level=error msg="query failed" err="dial refused"', "query failed: dial refused"),
    ],
)
def test_what_a_record_says_is_its_message_and_what_was_caught(line: str, template: str) -> None:
    assert Miner().add(line).template == template


@pytest.mark.parametrize(
    ("value", "scale", "level"),
    [
        ("60", "level", "FATAL"), ("10", "level", "TRACE"), ("35", "level", "INFO"),
        ("3", "level", "ERROR"), ("7", "level", "DEBUG"), ("0", "syslog", "FATAL"),
        ("9", "otel", "INFO"), ("24", "otel", "FATAL"), ("0", "otel", ""),
        ("50", "python", "FATAL"), ("400", "cloud", "WARN"), ("400", "level", "ERROR"),
        ("1000", "level", "ERROR"), ("30000", "level", "WARN"), ("50.0", "level", "ERROR"),
        ("Error", "dotnet", "ERROR"), ("None", "dotnet", ""), ("", "level", ""),
        ("123456789012", "level", ""), ("ERROR+2", "level", "ERROR"), ("gold", "level", ""),
    ],
)  # fmt: skip
def test_numbers_are_levels_on_the_scale_of_their_field(
    value: str, scale: NumberScale, level: str
) -> None:
    assert level_value(value, scale) == level


def deep(levels: int) -> str:
    return '{"a":' * levels + '"x"' + "}" * levels


HOSTILE = [
    ("deep", deep(50)),
    ("too deep", deep(20_000)),
    ("deep lists", "[" * 20_000),
    ("deep lists in an object", '{"a":' + "[" * 20_000),
    ("a megabyte in one value", '{"level":"error","msg":"' + "x" * 1_000_000 + '"}'),
    ("a megabyte of keys", "{" + ",".join(f'"k{n}":{n}' for n in range(80_000)) + "}"),
    ("a number too long", '{"level":' + "9" * 10_000 + ',"msg":"x"}'),
    ("lone surrogates", '{"level":"error","msg":"\\ud800 lost \\udfff half"}'),
    ("invalid UTF-8", b'{"level":"error","msg":"\xff\xfe lost"}'.decode("utf-8", "replace")),
    ("controls", '{"level":"error","msg":"\\u0001\\u0002 \\u001b[31mred"}'),
    ("quotes without end", '{"' * 5_000),
    ("backslashes", '{"msg":"' + "\\" * 5_001),
    ("pairs without end", "a=" * 5_000),
    ("colons", "a:" * 5_000),
    ("brackets", "[" * 5_000),
    ("words that look like classes", "A." * 5_000 + "Error"),
    ("levels without end", "ERROR " * 2_000),
]


@pytest.mark.parametrize("line", [row[1] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_hostile_lines_have_a_level_and_a_bounded_printable_template(line: str) -> None:
    parsed = Miner().add(line)
    assert parsed.level in (*LEVELS, "")
    assert len(parsed.content) <= 4096
    assert "\x01" not in parsed.template
    assert parsed.content.isprintable()


def test_a_long_record_says_what_stands_at_its_end() -> None:
    line = json.dumps({"context": {"a": "x " * 8_000}, "level": "error", "message": "no stock"})
    assert Miner().add(line).template == "no stock"


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_left_alone(value: object) -> None:
    line = json.dumps(value)
    assert Miner().add(line).level in (*LEVELS, "")
    record = read_json(line) if isinstance(value, dict) else None
    assert record is None or record.message or not record.fields


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([row[1] for row in LEVELS_IN_JSON]), st.randoms())
def test_a_record_cut_anywhere_is_read_without_error(line: str, rng: random.Random) -> None:
    cut = line[: rng.randrange(1, len(line))]
    read_record(cut)
    Miner().add(cut)
