"""Documents of one's own: added, listed, searched, removed, from the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from copilot.knowledge import Library, LibraryError, Memory
from copilot.surfaces.cli import app
from copilot.testing.ollama import LazyPolicy, ollama_server
from knowledge_base import DocumentError, documents

NOTE = """---
id: zebra-lease
kind: note
title: {en: Zebra lease lost, zh: 斑马租约丢失}
symptoms: {en: zebra workers lose their lease, zh: 斑马任务丢失租约}
fault_kinds: [errors]
---
## Confirm

Ask the zebra.
"""


def run(*arguments: str | Path) -> Result:
    """One command in a wide terminal, with no embedder at hand."""
    env = {"COLUMNS": "120", "TERM": "dumb", "COPILOT_EMBEDDER": "none"}
    return CliRunner().invoke(app, [str(one) for one in arguments], env=env)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "anything.md"
    path.write_text(NOTE, encoding="utf-8")
    return path


def test_what_is_added_is_found_and_what_is_removed_is_not(note: Path) -> None:
    assert run("kb", "search", "zebra lease").exit_code == 1
    assert "added note zebra-lease" in run("kb", "add", note).output
    assert "zebra-lease" in run("kb", "search", "zebra lease").output
    assert run("kb", "remove", "zebra-lease").exit_code == 0
    assert run("kb", "search", "zebra lease").exit_code == 1


def test_adding_twice_needs_to_be_meant(note: Path) -> None:
    run("kb", "add", note)
    again = run("kb", "add", note)
    assert again.exit_code == 2
    assert "--replace" in again.stderr
    assert run("kb", "add", "--replace", note).exit_code == 0


def test_a_wrong_document_is_refused_and_not_kept(note: Path) -> None:
    note.write_text(NOTE.replace("[errors]", "[gremlins]"), encoding="utf-8")
    refused = run("kb", "add", note)
    assert refused.exit_code == 2
    assert "fault_kinds" in refused.stderr
    assert "zebra" not in run("kb", "list").output


def test_shipped_documents_stay(tmp_path: Path) -> None:
    refused = run("kb", "remove", "oom-killed")
    assert refused.exit_code == 2
    assert "ships with the project" in refused.stderr
    with pytest.raises(LibraryError, match="not in the knowledge base"):
        Library(tmp_path).remove("nothing")


def test_a_document_of_our_own_stands_in_for_the_shipped_one(tmp_path: Path, note: Path) -> None:
    note.write_text(NOTE.replace("id: zebra-lease", "id: oom-killed"), encoding="utf-8")
    library = Library(tmp_path / "kept")
    library.add(note, replace=True)
    assert [one.kind for one in library.documents() if one.id == "oom-killed"] == ["note"]


def test_a_link_that_leads_nowhere_names_itself_and_recall_goes_on_without(tmp_path: Path) -> None:
    (tmp_path / ".#editing.md").symlink_to("anna@laptop.1234")  # as Emacs marks what is open
    library = Library(tmp_path)
    with pytest.raises(DocumentError, match=r"\.#editing\.md: cannot be read"):
        library.own()
    assert Memory(library.documents).knowledge().documents == documents()


def test_search_as_json_says_source_reason_and_playbooks() -> None:
    shown = run("kb", "search", "--json", "--limit", "1", "OOMKilled")
    (hit,) = json.loads(shown.stdout)
    assert hit["id"] == "oom-killed"
    assert hit["playbooks"] == ["restart", "rollback"]
    assert hit["reason"].startswith("matched on ")


def test_search_says_by_what_it_searched() -> None:
    assert "words only" in run("kb", "search", "OOMKilled").output


def test_index_says_that_there_is_nothing_to_embed_with() -> None:
    shown = run("kb", "index")
    assert shown.exit_code == 1
    assert "nothing to index" in shown.output


def test_list_by_kind_in_chinese() -> None:
    shown = run("kb", "list", "--kind", "postmortem", "--json", "--lang", "zh")
    rows = json.loads(shown.stdout)
    assert {row["kind"] for row in rows} == {"postmortem"}
    assert all(row["date"] and row["url"] for row in rows)


def test_an_embedder_that_was_asked_for_and_is_away_is_an_error() -> None:
    away = {"COPILOT_EMBEDDER": "ollama", "COPILOT_EMBEDDER_URL": "http://127.0.0.1:9"}
    shown = CliRunner().invoke(app, ["kb", "index"], env=away)
    assert shown.exit_code == 2
    assert "Ollama at http://127.0.0.1:9" in shown.stderr


def test_auto_finds_ollama_indexes_with_it_and_searches_both_ways() -> None:
    pytest.importorskip("chromadb")
    with ollama_server(LazyPolicy()) as server:
        env = {"COPILOT_EMBEDDER_URL": server.url, "COLUMNS": "200", "TERM": "dumb"}
        found = CliRunner().invoke(app, ["kb", "search", "OOMKilled", "--limit", "1"], env=env)
        assert "passages are not indexed yet" in found.output
        indexed = CliRunner().invoke(app, ["kb", "index"], env=env)
        assert "0 unchanged, 0 removed" in indexed.output
        again = CliRunner().invoke(app, ["kb", "index"], env=env)
        assert "0 embedded" in again.output
        found = CliRunner().invoke(app, ["kb", "search", "OOMKilled", "--limit", "1"], env=env)
    assert "words and meaning, by ollama:qwen3-embedding:0.6b" in found.output
    assert "not indexed" not in found.output


def test_show_prints_a_document_whole_with_its_source_and_trust() -> None:
    shown = run("kb", "show", "gitlab-2017-01-31")
    assert shown.exit_code == 0
    for part in ("postmortem, reported", "2017-01-31, https://", "GitLab.com: data directory"):
        assert part in shown.output
    shipped = next(one for one in documents() if one.id == "gitlab-2017-01-31")
    assert all(section.heading in shown.output for section in shipped.sections)


def test_show_in_chinese_and_as_json() -> None:
    assert "磁盘写满" in run("kb", "show", "disk-full", "--lang", "zh").output
    row = json.loads(run("kb", "show", "disk-full", "--json").stdout)
    assert [one["heading"] for one in row["sections"]] == [
        "Confirm",
        "Causes",
        "Safe actions",
        "Do not",
    ]
    assert "clean-disk" in row["playbooks"]


def test_show_reads_a_document_of_our_own(note: Path) -> None:
    run("kb", "add", str(note))
    assert "note, unreviewed" in run("kb", "show", "zebra-lease").output


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        pytest.param("disk-ful", "nearest: disk-full", id="mistyped"),
        pytest.param("Knight", "nearest: knight-capital-2012-08-01", id="a part of it"),
        pytest.param("qqqq", "no document 'qqqq'; see: copilot kb list", id="nothing like it"),
        pytest.param("x" * 5000, "see: copilot kb list", id="endless"),
    ],
)
def test_an_unknown_id_is_answered_with_the_nearest(asked: str, says: str) -> None:
    shown = run("kb", "show", asked)
    assert shown.exit_code == 2
    assert says in shown.stderr
    assert len(shown.stderr) < 300
