"""What is compared of a question: its words with their subject, not its numbers."""

import re
from importlib.resources import files

import pytest
import yaml

from copilot.knowledge import Knowledge
from copilot.knowledge.glossary import as_tokens, glossary_words
from copilot.knowledge.words import alert_names_apart, query
from knowledge_base import documents

KNOWLEDGE = Knowledge(documents())


@pytest.mark.parametrize(
    ("question", "document"),
    [
        pytest.param("CPU is at 100% on two pods", "cpu-saturation", id="a share of the CPU"),
        pytest.param("磁盘使用率 95%", "disk-full", id="a share of the disk"),
        pytest.param("db pool at 100%", "connection-pool-exhausted", id="a share of a pool"),
        pytest.param("disk full on the mail host", "disk-full", id="full, of a disk"),
        pytest.param("命名空间配额满了", "quota-exceeded", id="full, of a quota"),
        pytest.param("conntrack table full", "conntrack-full", id="full, of a table"),
        pytest.param("node is down", "node-not-ready", id="down, of a node"),
        pytest.param("who scaled it down to 0", "workload-scaled-to-zero", id="down, of replicas"),
        pytest.param("the query is slow since noon", "database-slow-queries", id="slow, a query"),
        pytest.param("slow disk on the broker", "disk-io-saturation", id="slow, of a disk"),
        pytest.param("lock wait timeout", "database-lock-contention", id="timeout, of a lock"),
        pytest.param("calls time out to billing", "slow-dependency", id="timeout, of a call"),
        pytest.param("clock is off by a minute", "clock-skew", id="off, of a clock"),
    ],
)
def test_a_word_that_means_several_things_is_read_with_its_subject(
    question: str, document: str
) -> None:
    assert KNOWLEDGE.search(question)[0].document.id == document


@pytest.mark.parametrize(
    ("question", "document"),
    [
        pytest.param("pods stuck in Pending", "pod-pending-no-resources", id="stuck"),
        pytest.param("pod stays Pending", "pod-pending-no-resources", id="stays"),
        pytest.param("pod keeps Pending", "pod-pending-no-resources", id="keeps"),
        pytest.param("pods still Pending", "pod-pending-no-resources", id="still"),
        pytest.param("pod 一直 Pending", "pod-pending-no-resources", id="一直"),
        pytest.param("namespace stuck in Terminating", "pod-stuck-terminating", id="a title's"),
    ],
)
def test_that_a_state_lasts_is_no_part_of_what_is_asked(question: str, document: str) -> None:
    assert KNOWLEDGE.search(question)[0].document.id == document


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("100%", id="a bare share"),
        pytest.param("it takes time", id="time"),
        pytest.param("response 200", id="a response"),
        pytest.param("fire drill on Friday", id="fire"),
        pytest.param("space bar", id="space"),
        pytest.param("the max of both", id="max"),
    ],
)
def test_what_is_left_of_a_phrase_without_its_small_words_is_not_that_phrase(text: str) -> None:
    assert glossary_words(text, query(text)) == []


def test_no_phrase_of_the_glossary_is_a_number_or_a_word_of_many_meanings() -> None:
    rows = yaml.safe_load(
        files("copilot.knowledge").joinpath("glossary.yaml").read_text(encoding="utf-8")
    )
    alone = {as_tokens(one) for one in ("full", "down", "slow", "timeout", "time", "pool", "gone")}
    said = [phrase for row in rows for phrase in row.get("say", ())]
    assert [one for one in said if as_tokens(one) in alone or re.fullmatch(r"[\d%.]+", one)] == []
    assert all(as_tokens(one).strip() for one in said)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("waited 3000ms", ["waited"], id="a duration"),
        pytest.param("剩余 3GB", ["剩余"], id="a size"),
        pytest.param("积压 120 万条", ["积压"], id="a Chinese count"),
        pytest.param("97% for 5m", [], id="a share and a while"),
        pytest.param("exit 137", ["exit", "137"], id="an exit code stays"),
        pytest.param("http 504", ["http", "504"], id="a status stays"),
    ],
)
def test_how_much_and_how_long_are_no_words(text: str, words: list[str]) -> None:
    assert [word.said for word in query(text)] == words


@pytest.mark.parametrize(
    ("text", "apart"),
    [
        pytest.param("NodeFilesystemFull", "Node Filesystem Full", id="an alert's name"),
        pytest.param("CPUThrottlingHigh", "CPU Throttling High", id="with an acronym"),
        pytest.param("etcdMembersDown", "etcd Members Down", id="that begins small"),
        pytest.param("OOMKilled", "OOMKilled", id="a name that documents have"),
        pytest.param("utm_campaign", "utm_campaign", id="a name with underscores"),
        pytest.param("com.shop.CartError", "com.shop.CartError", id="part of a path"),
    ],
)
def test_an_alerts_name_is_read_as_its_words(text: str, apart: str) -> None:
    assert alert_names_apart(text, {"oomkilled", "oomkill"}.__contains__) == apart


@pytest.mark.parametrize(
    ("question", "said"),
    [
        pytest.param(
            "磁盘满了怎么办", "matched on 磁盘满", id="a word, not its pairs of characters"
        ),
        pytest.param("发版后接口变慢", "发版后接口变慢", id="a piece that is whole"),
        pytest.param("db queries are crawling", "queries", id="as typed, not its stem"),
        pytest.param("drive is full", "drive is full", id="the phrase that meant it"),
        pytest.param("CPU 97%", "matched on CPU", id="not the share it was read as"),
    ],
)
def test_a_person_is_told_whole_words(question: str, said: str) -> None:
    reasons = [hit.reason for hit in KNOWLEDGE.search(question)]
    assert any(said in reason for reason in reasons)


def test_a_message_is_known_whatever_name_stands_in_it() -> None:
    found = KNOWLEDGE.search('Error: secret "db-credentials" not found')
    assert found[0].document.id == "secret-or-configmap-missing"
