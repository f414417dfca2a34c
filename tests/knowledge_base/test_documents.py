"""What ships is complete, bilingual and checked; what is wrong is refused with a reason."""

import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from knowledge_base import (
    Document,
    DocumentError,
    documents,
    parse_document,
    playbooks,
    read_folder,
)
from tools.types import FaultKind

DOCUMENTS = documents()
RUNBOOKS = [one for one in DOCUMENTS if one.kind == "runbook"]
POSTMORTEMS = [one for one in DOCUMENTS if one.kind == "postmortem"]
KNOWN = frozenset({"restart"})

GOOD = """---
id: pool-leak
kind: note
title: {en: Pool leak, zh: 连接池泄漏}
symptoms: {en: requests wait, zh: 请求等待}
fault_kinds: [pool_exhaustion]
playbooks: [restart]
---
Before any heading.

## Confirm

- `echo one`

```
## not a heading
```
"""


def parsed(text: str) -> Document:
    return parse_document(text, "pool-leak.md", KNOWN)


def test_there_is_enough_of_it_and_every_id_is_its_own() -> None:
    assert len(RUNBOOKS) >= 40
    assert len(POSTMORTEMS) >= 25
    assert max(Counter(one.id for one in DOCUMENTS).values()) == 1


def test_every_fault_kind_has_a_runbook() -> None:
    covered = {kind for one in RUNBOOKS for kind in one.fault_kinds}
    assert set(get_args(FaultKind)) - covered == set()


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda one: one.id)
def test_a_runbook_says_how_to_confirm_what_causes_it_what_to_do_and_what_not(
    runbook: Document,
) -> None:
    headings = [section.heading for section in runbook.sections]
    assert headings == ["Confirm", "Causes", "Safe actions", "Do not"]
    assert runbook.trust == "reviewed"
    assert runbook.playbooks
    # Somebody at three in the morning copies this: it has to hold a command or an expression.
    assert re.search(r"`[^`]{6,}`", runbook.sections[0].text)


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda one: one.id)
def test_the_playbooks_a_runbook_names_in_its_text_are_the_ones_it_declares(
    runbook: Document,
) -> None:
    ids = "|".join(re.escape(one.id) for one in playbooks())
    named = set(re.findall(rf"[Pp]laybook ({ids})\b", runbook.sections[2].text))
    assert named <= set(runbook.playbooks)


@pytest.mark.parametrize("postmortem", POSTMORTEMS, ids=lambda one: one.id)
def test_a_postmortem_names_its_source_and_its_day(postmortem: Document) -> None:
    assert postmortem.origin is not None
    assert postmortem.origin.url.startswith("https://")
    assert 2010 < postmortem.origin.date.year < 2027
    assert postmortem.trust == "reported"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.id)
def test_titles_and_symptoms_are_in_both_languages(document: Document) -> None:
    for text in (document.title, document.symptoms):
        assert re.search("[\u4e00-\u9fff]", text.zh)
        assert not re.search("[\u4e00-\u9fff]", text.en)


def test_a_document_is_cut_at_its_headings_but_not_inside_code() -> None:
    sections = parsed(GOOD).sections
    assert [section.heading for section in sections] == ["", "Confirm"]
    assert "## not a heading" in sections[1].text


def test_what_cannot_be_seen_is_dropped_from_the_text() -> None:
    text = GOOD.replace("echo one", "echo\u202e \x1b[31mone\u200b")
    assert parsed(text).sections[1].text.startswith("- `echo one`")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("---\nid", "id"), "front matter"),
        (
            ("kind: note", "kind: note\norigin: {date: 2026-02-30}"),
            "front matter is not YAML: day is",
        ),
        (("kind: note", "kind: rumour"), "kind"),
        (("[pool_exhaustion]", "[gremlins]"), "fault_kinds.0"),
        (("[pool_exhaustion]", "[]"), "fault_kinds"),
        (("[restart]", "[reboot-all]"), "'reboot-all'"),
        (("kind: note", "kind: postmortem"), "origin"),
        (("kind: note", "kind: note\ntrust: reviewed"), "at most the trust 'unreviewed'"),
        (("kind: note", "kind: note\nseverity: 1"), "severity"),
        (("id: pool-leak", "id: ../pool"), "id"),
        (("title: {en", "title: {de"), "title"),
        (("kind: note", "kind: [note"), "not YAML"),
        (("zh: 请求等待", "zh: ''"), "symptoms.zh"),
    ],
    ids=lambda value: value[1][-24:] if isinstance(value, tuple) else "",
)
def test_a_wrong_document_is_refused_with_the_field(change: tuple[str, str], says: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(says)):
        parsed(GOOD.replace(*change))


def test_an_endless_document_is_refused() -> None:
    with pytest.raises(DocumentError, match="limit"):
        parsed(GOOD + "x" * 70_000)


def test_a_file_is_named_after_its_document(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text(GOOD, encoding="utf-8")
    with pytest.raises(DocumentError, match=r"pool-leak\.md"):
        read_folder(tmp_path)


def test_no_folder_holds_no_documents(tmp_path: Path) -> None:
    assert read_folder(tmp_path / "none") == ()
