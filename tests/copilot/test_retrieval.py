"""Search by what somebody types; recall by symptoms and the located cause."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copilot.knowledge import Cause, Knowledge, RecallHit
from copilot.knowledge.words import query, terms
from knowledge_base import Document, documents, parse_document

KNOWLEDGE = Knowledge(documents())
IDS = frozenset({"restart", "clean-disk"})


def written(id_: str, kind: str = "note", faults: str = "errors", **more: str) -> Document:
    """A small document; `more` are further lines of its front matter."""
    extra = "\n".join(f"{key}: {value}" for key, value in more.items())
    text = f"""---
id: {id_}
kind: {kind}
title: {{en: Checkout stalls, zh: 结账卡住}}
symptoms: {{en: checkout requests wait for the quorum lease, zh: 结账请求等待租约}}
fault_kinds: [{faults}]
{extra}
---
Text of {id_}.
"""
    return parse_document(text, f"{id_}.md", IDS)


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("OOMKilled", "oom-killed"),
        ("cart-7d9f8b-x2x4q was OOMKilled", "oom-killed"),
        ("容器被 OOMKilled 了怎么办", "oom-killed"),
        ("why is there no space left on device?", "disk-full"),
        ("证书过期", "certificate-expired"),
        ("kafka consumer lag is growing", "queue-backlog"),
        ("java.util.concurrent.RejectedExecutionException", "threads-exhausted"),
    ],
)
def test_a_question_finds_its_runbook_first(question: str, document: str) -> None:
    assert KNOWLEDGE.search(question)[0].document.id == document


@pytest.mark.parametrize(
    "question",
    [
        "",
        "   ",
        "?!",
        "where is the coffee machine",
        "食堂几点开门",
        "订一张去上海的机票",
        "the of and",
    ],
)
def test_what_nothing_answers_gets_no_answer(question: str) -> None:
    assert KNOWLEDGE.search(question) == ()


def test_a_hit_shows_the_section_that_says_it_and_why_it_was_found() -> None:
    hit = KNOWLEDGE.search("never delete files in pg_wal, no space left on device")[0]
    assert hit.document.id == "disk-full"
    assert "pg_wal" in hit.section.text
    assert hit.reason.startswith("matched on ")
    assert hit.trust == "reviewed"


def test_an_identifier_matches_whole_and_in_parts() -> None:
    assert {"redis-cluster-01", "redis", "cluster"} <= set(terms("redis-cluster-01"))
    assert {"oomkill", "oom", "kill"} <= set(terms("OOMKilled"))
    assert {"延迟", "迟升"} <= set(terms("延迟升高"))


def test_full_width_and_half_width_are_the_same() -> None:
    assert terms("ＯＯＭＫｉｌｌｅｄ") == terms("OOMKilled")


def test_a_question_of_a_megabyte_costs_no_more_than_a_line() -> None:
    assert len(query("disk full " + "abc-123 x9 " * 100_000)) <= 64
    started = time.process_time()
    KNOWLEDGE.search("磁盘满了" * 50_000)
    assert time.process_time() - started < 5


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_searched_without_harm_and_the_same_each_time(question: str) -> None:
    assert KNOWLEDGE.search(question) == KNOWLEDGE.search(question)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_the_documents_does_not_matter(order: list[int]) -> None:
    some = documents()[:6]
    asked = some[0].symptoms.en
    ids = [hit.document.id for hit in Knowledge(some).search(asked)]
    again = [hit.document.id for hit in Knowledge([some[i] for i in order]).search(asked)]
    assert ids == again


def test_no_documents_answer_nothing() -> None:
    assert Knowledge(()).search("disk full") == ()
    assert Knowledge(()).recall("disk full", Cause(fault_kind="disk_full")) == ()


def recalled(cause: Cause, *own: Document) -> dict[str, RecallHit]:
    """What is recalled of our own documents, among those that ship, in its order."""
    found = Knowledge([*documents(), *own]).recall(SYMPTOMS, cause, limit=80)
    ids = {document.id for document in own}
    return {one.hit.document.id: one for one in found if one.hit.document.id in ids}


SYMPTOMS = "checkout requests wait for the quorum lease"


def test_a_fix_is_offered_only_where_the_located_cause_agrees() -> None:
    found = recalled(
        Cause(fault_kind="memory_pressure"),
        written("full-disk", faults="disk_full", playbooks="[clean-disk]"),
        written("leak", faults="memory_pressure", playbooks="[restart]"),
    )
    assert list(found) == ["leak", "full-disk"]
    assert found["leak"].agreement == "symptoms and cause"
    assert found["leak"].playbooks == ("restart",)
    assert found["full-disk"].agreement == "symptoms"
    assert found["full-disk"].playbooks == ()
    assert "no fix" in found["full-disk"].hit.reason


def test_without_a_located_cause_no_fix_is_offered() -> None:
    leak = written("leak", faults="memory_pressure", playbooks="[restart]")
    one = recalled(Cause(fault_kind=None), leak)["leak"]
    assert one.agreement == "symptoms"
    assert one.playbooks == ()


def test_a_cause_at_another_kind_of_component_does_not_agree() -> None:
    disk = written("disk", faults="disk_full", components="[database]", playbooks="[clean-disk]")
    at_cache = Cause(fault_kind="disk_full", component="cart-cache", component_kind="cache")
    assert recalled(at_cache, disk)["disk"].playbooks == ()
    at_database = at_cache.model_copy(update={"component_kind": "database"})
    assert recalled(at_database, disk)["disk"].playbooks == ("clean-disk",)


def test_runbooks_come_before_postmortems_and_those_before_notes() -> None:
    origin = '{url: "incident:inc-1", date: 2026-01-02}'
    found = recalled(
        Cause(fault_kind="errors"),
        written("a-note"),
        written("b-postmortem", kind="postmortem", origin=origin),
        written("c-runbook", kind="runbook"),
    )
    assert list(found) == ["c-runbook", "b-postmortem", "a-note"]


def test_what_happened_at_this_very_component_comes_first() -> None:
    found = recalled(
        Cause(fault_kind="errors", component="checkout"),
        written("c-runbook", kind="runbook"),
        written("z-note", services="[checkout]"),
    )
    assert list(found) == ["z-note", "c-runbook"]


def test_a_cause_is_recalled_even_when_no_symptom_is_shared() -> None:
    found = KNOWLEDGE.recall("zzz", Cause(fault_kind="clock_skew"))
    assert found[0].hit.document.id == "clock-skew"
    assert found[0].agreement == "cause"


def shipped(id_: str) -> Document:
    return next(one for one in documents() if one.id == id_)


PUBLIC = [one for one in documents() if one.kind == "postmortem"]
WRAPAROUND = "database is not accepting commands to avoid wraparound data loss"


@pytest.mark.parametrize(
    ("ours", "symptoms", "told"),
    [
        pytest.param([], WRAPAROUND, ["sentry-2015-07-20"], id="nothing of ours, and strong"),
        pytest.param([], "writes refused", [], id="nothing of ours, and weak"),
        pytest.param(
            [shipped("database-lock-contention")],
            WRAPAROUND,
            ["database-lock-contention"],
            id="a runbook of ours fits the cause",
        ),
        pytest.param(
            [
                written(
                    "our-own",
                    "postmortem",
                    "lock_contention",
                    origin='{url: "https://wiki.corp.example/pm/7", date: 2026-01-02}',
                ),
            ],
            WRAPAROUND,
            ["our-own"],
            id="a postmortem that was added here is ours, whatever its address",
        ),
    ],
)
def test_what_happened_elsewhere_is_told_only_where_nothing_of_ours_fits(
    ours: list[Document], symptoms: str, told: list[str]
) -> None:
    found = Knowledge([*PUBLIC, *ours]).recall(symptoms, Cause(fault_kind="lock_contention"))
    assert [one.hit.document.id for one in found] == told
    assert all(one.elsewhere is not bool(ours) for one in found)


def test_a_located_cause_recalls_no_incident_of_another_company() -> None:
    for kind in ("bad_deploy", "disk_io", "certificate_expired", "errors"):
        found = KNOWLEDGE.recall("error rate rose after the rollout", Cause(fault_kind=kind))
        assert found
        assert {one.hit.document.kind for one in found} == {"runbook"}
