"""Text that leaves the tool: secrets replaced, hostile characters gone, records kept whole."""

import random
import time
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.logs.redaction import WRAPPINGS, leaks, ordinary, shapes
from tools.log_retriever import Vault, excerpt, redact, sanitize

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"
MIXED = "".join(random.Random(1).choices("abcdefXYZABC0123456789", k=40))

SECRETS = [
    ("password", "login failed, password=hunter2", "hunter2"),
    ("password, quoted", 'set "db_password": "two words" now', "two words"),
    ("password, Chinese", "密码：abc123xyz 错误", "abc123xyz"),
    ("password, prose", "the secret is swordfish", "swordfish"),
    ("password, option", "run mysql --password swordfish -h db", "swordfish"),
    ("password, URL", "dial postgres://app:s3cr3t@db:5432/x", "s3cr3t"),
    ("token", "ACCESS_TOKEN=abcdef123456;", "abcdef123456"),
    ("api key", "x-api-key: 0a1b2c3d4e5f", "0a1b2c3d4e5f"),
    ("session", "Cookie: sid-998877", "sid-998877"),
    ("bearer", "Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
    ("bearer, letters", "sent Bearer abcdefghijklmnop again", "abcdefghijklmnop"),
    ("basic", "authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("JWT", f"got {JWT} back", JWT),
    ("private key", f"loaded {KEY} twice", "MIIEow"),
    ("AWS", "id AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE"),
    ("GitHub", "push with ghp_" + "a1" * 18, "ghp_" + "a1" * 18),
    ("Stripe", "charge via sk_live_" + "a1" * 12, "sk_live_" + "a1" * 12),
    ("random string", f"value {MIXED} stored", MIXED),
    ("email", "mail ann.lee+x@mail.example.org bounced", "ann.lee+x@mail.example.org"),
    ("card", "paid with 4111 1111 1111 1111 today", "4111 1111 1111 1111"),
    ("card, dashes", "card 5555-5555-5555-4444 declined", "5555-5555-5555-4444"),
    ("card, one piece", '{"pan":"4111111111111111"}', "4111111111111111"),
    ("card behind a number", "sold 2 4111 1111 1111 1111 now", "4111 1111 1111 1111"),
    ("card, American Express", "amex 3782 822463 10005 ok", "3782 822463 10005"),
    ("card, thirteen digits", "old visa 4222222222222", "4222222222222"),
    ("card, UnionPay", "卡号 6200000000000005 无效", "6200000000000005"),
    ("card, JCB", "jcb 3566002020360505.", "3566002020360505"),
    ("card, Mastercard's newer range", "mc 2223003122003222", "2223003122003222"),
    ("IBAN", "to DE89 3704 0044 0532 0130 00 sent", "DE89 3704 0044 0532 0130 00"),
    ("resident id", "证件 11010519491231002X 无效", "11010519491231002X"),
    ("phone", "phone: +1 202-555-0143 busy", "+1 202-555-0143"),
    ("social security", "SSN 078-05-1120 rejected", "078-05-1120"),
]


@pytest.mark.parametrize(
    ("text", "secret"), [row[1:] for row in SECRETS], ids=[row[0] for row in SECRETS]
)
def test_a_secret_is_replaced(text: str, secret: str) -> None:
    assert secret not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Bearer authentication failed: send a bearer token, not basic; use bearer authentication.",
        "blk_38865049064139660 is at 10.251.73.220:50010",
        "order 1f0c6a2e-5c1d-4b7e-9a53-0123456789ab took 4111111111111112 ns",
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "at org.apache.hadoop.mapreduce.v2.app.MRAppMaster.main(MRAppMaster.java:1494)",
        "Failed password for invalid user webmaster from 173.234.31.186 port 38926 ssh2",
        "tokens used: many",
        "Error loading /p/gb1/Stella/UMT2K/1369/umt2k_DD2/CkptSRC: invalid image",
        "Token: Token { kind: ContainerToken, service: 10.0.0.1:45454 }",
        "unit getty@tty1.service: restart counter is at 3",
        "heap used 17179869184 bytes of 19327352832",
        "next_token=abcdefghij0123456789 max_tokens=4096",
        'MountVolume.SetUp failed: secret "shop-tls-17" not found',
        "Accepted publickey: RSA SHA256:AbCdEf0123456789AbCdEf0123456789AbCdEf01234",
        "GET http://registry:4873/@scope/pkg-1 200",
        "DB_PASSWORD=${DB_PASSWORD} TOKEN=$(cat /run/t) secret: {{ .Values.x }}",
        "started at 1714557600000, trace 143b8be8143b8be8",
        "dd.trace_id=4611686018427387909 dd.span_id=4111111111111111",
        '{"traceId":"4111111111111111","requestId": 4111111111111111}',
        "9999999999999995 is of no issuer",
        "took 4111 1111 1111 11 11 ms",
        "rows 4111-11-11 11-11-1111",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("digits", [13, 16, 19], ids=["ms", "µs", "ns"])
def test_no_moment_since_1970_is_a_card(digits: int) -> None:
    first = 1_795_960_001 * 10 ** (digits - 10)
    text = " ".join(str(first + n) for n in range(100))
    assert redact(text) == text


def test_one_secret_is_one_token_across_texts() -> None:
    vault = Vault()
    first = redact("ann@example.org logged in", vault)
    other = redact("bob@example.org and ann@example.org left", vault)
    assert first == "<EMAIL_1> logged in"
    assert other == "<EMAIL_2> and <EMAIL_1> left"


def test_with_a_key_a_secret_is_one_token_in_every_process_and_nobody_else_can_try() -> None:
    one, again, other = Vault(b"key"), Vault(b"key"), Vault(b"another")
    text = "password=hunter2"
    assert redact(text, one) == redact(text, again) != redact(text, other)
    assert redact("password=hunter3", one) != redact(text, one)
    assert redact(redact(text, one), other) == redact(text, one)


def test_what_is_redacted_already_stays_readable() -> None:
    once = redact("password=hunter2 of ann@example.org")
    assert redact(once) == once


FOUND = list(shapes(random.Random(7)))


def test_the_table_of_shapes_is_wide() -> None:
    assert len({one.name for one in FOUND}) == len(FOUND) >= 150


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_of_the_shapes_of_secrets_at_least_95_in_100_are_hidden(wrapping: str) -> None:
    missed = [one.name for one in FOUND if leaks(one, wrapping)]
    assert len(missed) <= 0.05 * len(FOUND), missed


def test_of_ordinary_lines_at_most_one_in_a_thousand_is_touched() -> None:
    lines = list(islice(ordinary(random.Random(7)), 5_000))
    touched = [shown for line in lines if (shown := redact(line)) != line]
    assert len(touched) <= 0.001 * len(lines), touched[:5]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([r[1] for r in SECRETS]) | st.text(max_size=40), max_size=6))
def test_what_is_redacted_twice_is_as_after_the_first_time(parts: list[str]) -> None:
    once = redact(" ".join(parts))
    assert redact(once) == once


@pytest.mark.parametrize(
    "hostile",
    ["password" * 20_000, "eyJ" * 50_000, "://a:" * 30_000, "%70%61" * 30_000, "\\" * 60_000,
     "mysql -p" * 20_000, "4111 " * 30_000, "-----BEGIN PRIVATE KEY-----" * 5_000, "a@" * 60_000],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_a_hostile_text_takes_time_by_its_length(hostile: str) -> None:
    started = time.process_time()
    redact(hostile)
    assert time.process_time() - started < 5.0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m alert", "red alert"),
        ("\x1b]0;title\x07text", "text"),
        ("two\r\nlines\tand a tab", "two lines and a tab"),
        ("null\x00bell\x07back\x08", "nullbellback"),
        ("left\u202etfel\u2066x", "lefttfelx"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("tag\U000e0041s", "tags"),
        ("日志 naïve ok", "日志 naïve ok"),
    ],
)
def test_only_visible_text_is_shown(text: str, shown: str) -> None:
    assert sanitize(text) == shown


def test_a_long_line_is_cut_and_says_so() -> None:
    assert sanitize("a" * 1_000_000, 10) == "aaaaaaaaa…"


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        sanitize("a", 0)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=400), st.integers(1, 100))
def test_shown_text_is_one_printable_line_within_the_limit(text: str, limit: int) -> None:
    shown = sanitize(text, limit)
    assert len(shown) <= limit
    assert "\n" not in shown
    assert not any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in shown)
    shown.encode()


def test_a_secret_split_by_invisible_characters_is_still_found() -> None:
    assert "hunter2" not in excerpt("pass\u200bword=\x1b[1mhunter2\x1b[0m")


def test_an_excerpt_of_a_megabyte_is_short() -> None:
    assert len(excerpt("password=" + "x" * 1_000_000)) <= 300


def test_a_secret_that_the_cap_cuts_in_two_is_not_shown() -> None:
    secret = "sk-" + "A1b2C3d4E5" * 4

    for padding in range(3370, 3424):
        assert "A1b2" not in excerpt("\u200b" * padding + f" {secret}")
