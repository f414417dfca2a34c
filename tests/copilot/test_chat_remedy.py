"""How do I fix X: of the runbooks, unless X is the incident that is open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from copilot.settings import Settings
from copilot.surfaces.chat import ChatService, Question
from copilot.types.conversation import Answer
from copilot.types.incident import Incident
from tests.copilot.worked_incident import POOL, desk_over, work_on

OPEN_ID = "inc-0000"
"""Stands for the id of the open incident in the tables below."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("remedy"), model_use="off")


@pytest.fixture(scope="module")
def open_incident(settings: Settings) -> Incident:
    return work_on(settings, POOL)


@pytest.fixture(scope="module")
def desk(settings: Settings, open_incident: Incident) -> Iterator[ChatService]:
    with desk_over(settings) as opened:
        yield opened


def asked(desk: ChatService, incident: Incident, text: str) -> Answer:
    question = text.replace(OPEN_ID, incident.id)
    turn = desk.ask(Question(text=question, incident_id=incident.id))
    assert turn.answer is not None
    return turn.answer


@pytest.mark.parametrize(
    ("question", "document"),
    [
        pytest.param("how do I fix a full disk", "disk-full", id="fix"),
        pytest.param("how to fix a full disk?", "disk-full", id="how to, short"),
        pytest.param("How can we deal with a retry storm?", "retry-storm", id="deal with"),
        pytest.param(
            "what should I do about an expired certificate", "certificate-expired", id="do about"
        ),
        pytest.param(
            "what do we do when a node is NotReady?", "node-not-ready", id="do when it happens"
        ),
        pytest.param("is there a runbook for high cpu?", "cpu-saturation", id="a runbook for"),
        pytest.param(
            "how do I fix a pod that keeps restarting",
            "process-down-crash-loop",
            id="that, joining",
        ),
        pytest.param(
            "how do I fix this: no space left on device", "disk-full", id="this, and pasted"
        ),
        pytest.param('怎么解决 "too many open files"', "file-descriptors-exhausted", id="quoted"),
        pytest.param("磁盘满了怎么办", "disk-full", id="zh, subject first"),
        pytest.param("怎么处理证书过期?", "certificate-expired", id="zh, subject last"),
        pytest.param("Redis 内存满了应该怎么处理", "redis-memory-full", id="zh, should"),
        pytest.param("内存泄漏如何排查", "memory-leak", id="zh, look into"),
        pytest.param(
            "重启 Redis 之后缓存雪崩怎么办", "cache-stampede", id="zh, begins like an order"
        ),
        pytest.param("有没有消息积压的手册", "queue-backlog", id="zh, a manual of"),
    ],
)
def test_a_fault_that_is_described_is_looked_up_in_the_runbooks(
    desk: ChatService, open_incident: Incident, question: str, document: str
) -> None:
    answer = asked(desk, open_incident, question)
    assert [use.tool for use in answer.uses] == ["knowledge"]
    first = answer.text.partition("copilot kb show ")[2]
    assert first.startswith(f"{document}`")


@pytest.mark.parametrize(
    "question",
    [
        pytest.param("how do I fix it?", id="it"),
        pytest.param("how do we fix this now", id="this"),
        pytest.param("how do I fix this incident quickly", id="this incident"),
        pytest.param("how do we recover?", id="no subject"),
        pytest.param("what should we do?", id="what to do"),
        pytest.param("is there a fix for that", id="that"),
        pytest.param("how do I fix cart", id="its service"),
        pytest.param("how do I fix the database?", id="a component by its kind"),
        pytest.param(f"how do I fix {OPEN_ID}", id="its id"),
        pytest.param("怎么办?", id="zh, no subject"),
        pytest.param("这个告警怎么处理", id="zh, this alert"),
        pytest.param("现在该怎么修复", id="zh, now"),
        pytest.param("它怎么恢复", id="zh, it"),
        pytest.param("cart 怎么处理", id="zh, its service"),
    ],
)
def test_the_open_incident_gets_its_plan(
    desk: ChatService, open_incident: Incident, question: str
) -> None:
    answer = asked(desk, open_incident, question)
    assert "plan" in [use.tool for use in answer.uses]


@pytest.mark.parametrize("order", ["restart cart to fix a full disk", "重启 cart", "回滚这个发布"])
def test_an_order_stays_an_order(desk: ChatService, open_incident: Incident, order: str) -> None:
    text = asked(desk, open_incident, order).text
    assert "I cannot approve" in text or "我不能批准" in text


def test_who_asks_how_to_fix_is_shown_what_to_do_with_commands_that_can_be_run(
    desk: ChatService, open_incident: Incident
) -> None:
    english = asked(desk, open_incident, "how do I fix a full disk").text
    assert "(runbook, reviewed; `copilot kb show disk-full`)" in english
    assert "- Truncate an open log in place (`: > file`), so that" in english
    assert '`kubectl patch pvc NAME -p \'{"spec":{"resources"' in english
    assert "- Do not delete an open log file" in english
    chinese = asked(desk, open_incident, "磁盘满了怎么办").text
    assert "磁盘写满：设备上没有剩余空间(运行手册,已审阅;`copilot kb show disk-full`)" in chinese


HOSTILE = """---
id: zebra-quorum
kind: {kind}
title: {{en: Zebra quorum lost, zh: 斑马仲裁丢失}}
symptoms: {{en: zebra workers lose their quorum, zh: 斑马任务丢失仲裁}}
fault_kinds: [errors]
---
## Safe actions

- Ask [the zebra](https://evil.example) <img src=x> with `zebra --all *`.
- A tick `that never ends <b>
"""


@pytest.mark.parametrize(
    ("kind", "acts"),
    [pytest.param("runbook", True, id="reviewed"), pytest.param("note", False, id="unreviewed")],
)
def test_a_document_of_our_own_is_shown_inert_and_acted_on_only_if_somebody_vouches(
    tmp_path: Path, kind: str, acts: bool
) -> None:
    settings = Settings(data_dir=tmp_path, model_use="off")
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "knowledge" / "zebra-quorum.md").write_text(
        HOSTILE.format(kind=kind), encoding="utf-8"
    )
    with desk_over(settings) as desk:
        turn = desk.ask(Question(text="how do I fix a lost zebra quorum"))
    assert turn.answer is not None
    assert "`copilot kb show zebra-quorum`" in turn.answer.text
    assert ("`zebra --all *`" in turn.answer.text) is acts
    for alive in ("](https", "<img", "<b>"):
        assert alive not in turn.answer.text


def test_nothing_that_fits_is_said_and_no_plan_of_another_fault_is_shown(
    desk: ChatService, open_incident: Incident
) -> None:
    answer = asked(desk, open_incident, "how do I fix the coffee machine on floor 3")
    assert "nothing answers" in answer.text
    assert "copilot approve" not in answer.text


@pytest.mark.parametrize("question", ["how do I fix " + "a " * 900, "怎么处理" + "怎么处理" * 200])
def test_an_endless_question_costs_no_more(
    desk: ChatService, open_incident: Incident, question: str
) -> None:
    assert asked(desk, open_incident, question).text
