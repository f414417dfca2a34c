"""Headers: where they end, what they say, and when there is none."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.log_retriever import Miner, MinerConfig
from tools.log_retriever.fields import LEVELS, level_name, read_stamp
from tools.log_retriever.headers import split_header

FORMATS = [
    ("log4j", "2024-05-01 10:00:00,123 INFO [main] c.acme.Cart: added 3", "INFO", "added 3"),
    ("log4j, class", "17/05/01 10:00:00 WARN storage.Block: lost 3", "WARN", "lost 3"),
    ("logback", "2024-05-01 10:00:00.123 [http-1] ERROR c.a.Cart - no stock", "ERROR", "no stock"),
    ("time only", "10:00:00.123 INFO  t.c.Travel#115 [query][Trips]", "INFO", "[query][Trips]"),
    (
        "Spring Boot",
        "2024-05-01T10:00:00.123Z  INFO 1 --- [           main] o.s.Tomcat  : started on 8080",
        "INFO",
        "started on 8080",
    ),
    (
        "thread with brackets",
        "2024-05-01 10:00:00,123 - WARN  [Peer[id=1]/0:0:0:0:2181:Election@774] - timed out",
        "WARN",
        "timed out",
    ),
    ("syslog", "Jun 14 15:16:01 combo sshd(pam)[19939]: check pass", "", "check pass"),
    ("syslog, short day", "Jun  4 15:16:01 combo su[3]: opened", "", "opened"),
    ("syslog, no pid", "Jun 14 15:16:01 combo kernel: oops", "", "oops"),
    ("syslog, name of two words", "Jul  4 23:22:09 mac Some App[144]: done", "", "done"),
    ("syslog, priority", "<34>Oct 11 22:14:15 box su: failed", "", "failed"),
    ("RFC 5424", "<34>1 2024-05-01T10:00:00Z box su - ID47 - failed", "", "failed"),
    ("klog", "E0501 10:00:00.123456   1 reflector.go:138] watch failed", "ERROR", "watch failed"),
    ("glog", "W20240501 10:00:00.123456 12 file.cc:42] slow", "WARN", "slow"),
    ("logcat", "05-01 10:00:00.811  1702  2395 D Window: printed", "DEBUG", "printed"),
    ("logcat, brief", "I/Activity( 585): starting", "INFO", "starting"),
    ("Apache", "[Wed May 01 10:00:00 2024] [error] client denied", "ERROR", "client denied"),
    ("nginx", "2024/05/01 10:00:00 [error] 29#29: *1 refused", "ERROR", "*1 refused"),
    ("access", '10.0.0.1 - - [01/May/2024:10:00:00 +0000] "GET /" 200', "", '"GET /" 200'),
    ("Python", "WARNING:app.db:slow query", "WARN", "slow query"),
    ("Python, dashes", "2024-05-01 10:00:00,123 - app - ERROR - no stock", "ERROR", "no stock"),
    ("loguru", "2024-05-01 10:00:00.1 | ERROR    | app.main:run:10 - boom", "ERROR", "boom"),
    ("Celery", "[2024-05-01 10:00:00,123: INFO/MainProcess] task done", "INFO", "task done"),
    ("Ruby", "I, [2024-05-01T10:00:00.1 #123]  INFO -- : started", "INFO", "started"),
    ("columns", "2024-05-01 10:00:00, Info                  CBS    loaded 3", "INFO", "loaded 3"),
    ("pipes", "20240501-10:00:00:606|Step_X|30002312|counted 3579", "", "counted 3579"),
    ("program and dash", "[05.01 10:00:00] chrome.exe - proxy opened", "", "proxy opened"),
    ("program with its kind", "[05.01 10:00:00] app.exe *64 - host closed", "", "host closed"),
    (
        "file, ids and request",
        "api.log.1 2024-05-01 10:00:00.008 257 INFO nova.api [req-1f - - -] done",
        "INFO",
        "done",
    ),
    (
        "event log of a supercomputer",
        "- 1714557600 2024.05.01 R02-M1 2024-05-01-10.00.00.675872 R02-M1 RAS KERNEL INFO parity",
        "INFO",
        "parity",
    ),
    (
        "cluster syslog after an event log",
        "- 1714557600 2024.05.01 dn228 May 1 10:00:00 dn228/dn228 cron(pam)[29]: closed",
        "",
        "closed",
    ),
    ("ids and epoch", "134681 node-246 unix.hw state.change 1714557600 1 down", "", "down"),
    ("compact date", "240501 100000 148 INFO dfs.Node: sent", "INFO", "sent"),
    ("container", "2024-05-01T10:00:00.66Z stdout F plain words", "", "plain words"),
    ("kernel", "[    1.234567] usb 1-1: new device", "", "usb 1-1: new device"),
    ("JSON", '{"ts": 1714557600.5, "level": "error", "msg": "boom"}', "ERROR", "boom"),
    ("logfmt", 'ts=2024-05-01T10:00:00Z level=warn msg="slow query"', "WARN", "slow query"),
    ("level only", "ERROR could not open", "ERROR", "could not open"),
    ("level, then time", "[INFO] 2024-05-01 10:00:00 ready", "INFO", "ready"),
]


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [row[1:] for row in FORMATS],
    ids=[row[0] for row in FORMATS],
)
def test_the_header_ends_where_the_message_begins(line: str, level: str, message: str) -> None:
    header, rest = split_header(line)
    assert (header.level, rest) == (level, message)


@pytest.mark.parametrize(
    "line",
    [
        "started at 2024-05-02 10:00:00 by the operator",
        "error: received disconnect",
        "Error: 5 at line 3",
        '{"broken json',
        "[1, 2, 3]",
        "",
        "plain words",
        "key = value",
    ],
)
def test_a_message_without_header_is_left_whole(line: str) -> None:
    header, rest = split_header(line)
    assert rest == line
    assert not header.stamp


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-05-01 10:00:00",
        "2024-05-01T12:00:00+02:00",
        "2024-05-01T10:00:00Z",
        "2024/05/01 10:00:00",
        "24/05/01 10:00:00",
        "05/01/2024 10:00:00",
        "05/01/2024 10:00:00 AM",
        "May  1 10:00:00",
        "Wed May 01 10:00:00 2024",
        "01/May/2024:10:00:00 +0000",
        "01 May 2024 10:00:00.000",
        "20240501-10:00:00:000",
        "240501 100000",
        "05-01 10:00:00.000",
        "2024-05-01-10.00.00.000000",
        "1714557600",
        "1714557600000",
        "1714557600.0",
    ],
)
def test_every_way_to_write_a_moment_means_the_same(stamp: str) -> None:
    assert read_stamp(stamp, 2024) == datetime(2024, 5, 1, 10, tzinfo=UTC).timestamp()


def test_fractions_of_a_second_are_kept() -> None:
    assert read_stamp("1970-01-01 00:00:01,250", 1970) == 1.25


@pytest.mark.parametrize("stamp", ["10:00:00", "2024-13-41 10:00:00", ""])
def test_a_stamp_that_names_no_day_has_no_time(stamp: str) -> None:
    assert read_stamp(stamp, 2024) is None


def test_the_configured_year_completes_a_stamp_without_one() -> None:
    parsed = Miner(MinerConfig(year=2020)).add("Feb 29 00:00:00 box cron[1]: run")
    assert parsed.timestamp == datetime(2020, 2, 29, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("word", "level"), [("warning", "WARN"), ("E", "ERROR"), ("hi", "")])
def test_levels_have_one_name(word: str, level: str) -> None:
    assert level_name(word) == level


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_line_splits_into_a_known_level_and_a_part_of_itself(line: str) -> None:
    header, rest = split_header(line)
    assert header.level in (*LEVELS, "")
    assert rest in line
    header.timestamp(2024)
