"""Knowledge and playbooks on the console: searched, read, reviewed, and what hostile text is."""

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from copilot.case.postmortem import draft
from copilot.knowledge import Library, Memory
from copilot.store import Store
from copilot.surfaces.console.answer import prose
from copilot.surfaces.console.card import Bookshelf
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from copilot.testing.service import CountedEngine
from copilot.types.incident import Incident
from knowledge_base import Document, Section, playbooks
from knowledge_base.documents import MAX_CHARS
from tests.copilot import people_world as world
from tests.copilot.people_world import BASE, NOW, Door, browser, signed_in
from tests.copilot.test_console import HOSTILE, TAGS, Page
from tools.types import PlaybookOutcome, Text

empty, planned, waiting, store = world.empty, world.planned, world.waiting, world.store
clock = world.clock
access, engine = world.access, world.engine

BOOKS = {one.id: one for one in playbooks() if one.id in ("restart", "rollback")}
RUNS = {name: Text(en="dry run here", zh="此处为演练") for name in BOOKS}


def document(name: str, text: str, **fields: object) -> Document:
    known: dict[str, object] = {
        "id": name, "kind": "note", "title": Text(en=f"Zebra {name}", zh=f"斑马 {name}"),
        "symptoms": Text(en="zebra workers lose their lease", zh="斑马任务丢失租约"),
        "fault_kinds": ("errors",), "sections": (Section(heading="Confirm", text=text),),
    }  # fmt: skip
    return Document.model_validate(known | fields)


TEXT = """- Ask the **zebra** [E1], then `run`:

```
zebra --lease
```

1. [the manual](https://example.org/zebra)
"""
SHIPPED = (
    document("zebra", TEXT, kind="runbook", playbooks=("restart",)),
    *(
        document(f"lion-{n}", "Roar.", title=Text(en="Lion", zh="狮子"),
                 symptoms=Text(en="asleep", zh="睡着"))
        for n in range(20)
    ),
)  # fmt: skip
"""Few documents have few words that tell them apart: a search wants some others."""


@pytest.fixture
def shelf(tmp_path: Path) -> Bookshelf:
    library = Library(tmp_path / "knowledge")
    return Bookshelf(library, Memory(lambda: (*SHIPPED, *library.own())), BOOKS, RUNS)


@pytest.fixture
def client(engine: CountedEngine, access: Access, shelf: Bookshelf) -> TestClient:
    found = browser(create_app(engine, Door(), access=access, shelf=shelf))
    signed_in(found, "the responder")
    return found


def page(client: TestClient, path: str) -> Page:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


def closed(store: Store, **fields: object) -> Incident:
    known: dict[str, object] = {
        "id": "I2", "title": "HighMemory on cart", "status": "recovered", "opened_at": NOW - 900,
        "updated_at": NOW, "services": ("cart",),
        "cause": {"component": "cart", "fault_kind": "memory_pressure", "by": "anna", "at": NOW},
    }  # fmt: skip
    made = Incident.model_validate(known | fields)
    store.incidents.open(made)
    return made


# --- search and read ---------------------------------------------------------------------------

ASKED = {
    "in English": ("zebra lease", "en", "Zebra zebra", "has the words"),
    "in Chinese": ("斑马任务丢失租约", "zh", "斑马 zebra", "命中词："),
}


@pytest.mark.parametrize("case", ASKED)
def test_a_search_answers_in_the_language_of_the_page(case: str, client: TestClient) -> None:
    asked, language, title, why = ASKED[case]
    text = page(client, f"/console/knowledge?q={asked}&lang={language}").text
    assert title in text
    assert why in text
    assert "lion" not in text


def test_what_nothing_answers_says_so(client: TestClient) -> None:
    assert "Nothing in the knowledge base answers" in page(client, "/console/knowledge?q=qq").text


def test_a_document_is_set_with_its_lists_code_links_and_playbooks(client: TestClient) -> None:
    found = page(client, "/console/knowledge/zebra")
    hrefs = {attrs["href"] for tag, attrs in found.tags if tag == "a"}
    assert {"/console/playbooks/restart", "https://example.org/zebra"} <= hrefs
    assert {"ul", "ol", "pre", "strong"} <= {tag for tag, _ in found.tags}
    assert "zebra --lease" in found.text
    assert "<code>zebra --lease\n</code>" in client.get("/console/knowledge/zebra").text


def test_a_document_names_the_incidents_that_recalled_it(
    client: TestClient,
    store: Store,
) -> None:
    told = {"document": "zebra", "kind": "runbook", "title": Text(en="z", zh="z"),
            "agreement": "symptoms", "trust": "reviewed"}  # fmt: skip
    closed(store, recalled=(told,))
    found = page(client, "/console/knowledge/zebra")
    assert "Recalled at HighMemory on cart" in found.text


@pytest.mark.parametrize("path", ["knowledge/none", "playbooks/none", "drafts/none", "drafts/I1"])
def test_what_is_not_there_is_a_page_that_leads_back(path: str, client: TestClient) -> None:
    answer = client.get(f"/console/{path}")
    assert answer.status_code == 404
    assert "Back to what is open now" in Page(answer.text).text


def test_hostile_documents_are_only_text(
    client: TestClient,
    shelf: Bookshelf,
    store: Store,
) -> None:
    listed = [
        document(f"h{number}", f"- {text}\n\n[{text}]({text})\n\n![{text}](x)\n\n> {text}\n",
                 title=Text(en=text, zh=text), symptoms=Text(en=f"zebra {text}", zh=text))
        for number, text in enumerate(HOSTILE)
    ]  # fmt: skip
    shelf.memory._read = lambda: listed
    closed(store, title=HOSTILE[0])
    paths = ["knowledge", "knowledge?q=zebra", "drafts/I2"]
    paths += [f"knowledge/{one.id}" for one in listed]
    more = {"nav", "form", "input", "label", "article", "pre", "em", "textarea"}
    for path in paths:
        found = page(client, f"/console/{path}")
        assert {tag for tag, _ in found.tags} <= TAGS | more, path
        for tag, attrs in found.tags:
            assert not [name for name in attrs if name.startswith("on") or name == "style"], path
            assert not re.match("(?i)\\s*javascript", attrs.get("href", "")), path
            assert tag != "script" or attrs["src"].startswith("/console/static/"), path
        assert "Approved" not in [one.strip() for one in found.words], path


# --- drafts ------------------------------------------------------------------------------------


def fields(client: TestClient, path: str) -> dict[str, str]:
    """The token of the form, and the draft as the page offers it."""
    found = client.get(path).text
    token = re.search(r'name="csrf" value="([^"]+)"></form>|name="csrf" value="([^"]+)">', found)
    assert token is not None
    return {"csrf": token[1] or token[2], "step": "accept"}


def test_an_accepted_draft_is_searched_at_once_and_journaled(
    client: TestClient,
    store: Store,
    shelf: Bookshelf,
) -> None:
    made = closed(store)
    assert "HighMemory on cart" in page(client, "/console/knowledge").text
    text = draft(made, ()).replace("What to take from it", "What the giraffe taught")
    sent = {**fields(client, "/console/drafts/I2"), "text": text.replace("\n", "\r\n")}
    answer = client.post("/console/drafts/I2", data=sent)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/console/knowledge/postmortem-i2",
    )
    assert "What the giraffe taught" in page(client, answer.headers["location"]).text
    assert "Postmortems to review" not in page(client, "/console/knowledge").text
    (row,) = store.journal.events("I2")
    assert (row.kind, row.by) == ("accepted", "the responder")
    assert "giraffe" in page(client, "/console/drafts/I2").text
    assert [one.document.id for one in shelf.memory.knowledge().search("HighMemory on cart")] == [
        "postmortem-i2"
    ]


def test_the_draft_is_accepted_as_the_page_offers_it(
    client: TestClient, store: Store, shelf: Bookshelf
) -> None:
    made = closed(store)
    shown = client.get("/console/drafts/I2").text
    offered = unescape(shown.partition("required>\n")[2].partition("</textarea>")[0])
    assert offered == draft(made, store.journal.events("I2"))
    sent = {**fields(client, "/console/drafts/I2"), "text": offered}
    assert client.post("/console/drafts/I2", data=sent).status_code == 303
    assert shelf.library.text("postmortem-i2") == offered


def test_a_preview_keeps_nothing(client: TestClient, store: Store, shelf: Bookshelf) -> None:
    closed(store)
    sent = {**fields(client, "/console/drafts/I2"), "text": "---\nid: x\n---\n## Mine\n"}
    answer = client.post("/console/drafts/I2", data=sent | {"step": "preview"})
    assert "<h2>Mine</h2>" in answer.text
    assert shelf.library.own() == ()


def test_a_text_that_is_too_long_is_not_set(client: TestClient, store: Store) -> None:
    closed(store)
    sent = {**fields(client, "/console/drafts/I2"), "step": "preview"}
    answer = client.post("/console/drafts/I2", data={**sent, "text": "x" * MAX_CHARS + "yyy"})
    assert answer.text.count("xyyy") == 1, "in the box where it is cut, not below"
    assert answer.text.count("xxx") > 1


LARGE = {
    "rows that are filled up": f"|{'a|' * 100}\n|{'-|' * 100}\n" + "c\n" * 9_000,
    "many rows": "|a|b|\n|-|-|\n" + "|c|d|\n" * 9_000,
    "many items": "- c\n" * 4_500,
    "many words set apart": "*c* " * 5_200,
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE.keys())
def test_a_text_of_too_many_pieces_is_shown_as_it_was_typed(text: str) -> None:
    [shown] = prose(text).children
    assert (shown.type, shown.content) == ("code_block", text)


def test_a_large_table_of_a_person_is_set_as_one() -> None:
    [shown] = prose("|a|b|\n|-|-|\n" + "|c|d|\n" * 900).children
    assert shown.type == "table"


REFUSED: Mapping[str, tuple[str, str, str]] = {
    "another id": ("id: postmortem-i2", "id: zebra", "keep the lines `id: postmortem-i2`"),
    "another kind": ("kind: postmortem", "kind: runbook", "kind: postmortem"),
    "a cause that is none": ("- memory_pressure", "- gremlins", "fault_kinds"),
    "no front matter": ("---\n", "", "has no front matter"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_postmortem_of_the_incident_is_refused_and_what_was_typed_stays(
    case: str,
    client: TestClient,
    store: Store,
    shelf: Bookshelf,
) -> None:
    old, new, why = REFUSED[case]
    text = draft(closed(store), ()).replace("[memory_pressure]", "\n- memory_pressure")
    assert old in text
    text = text.replace(old, new) + "\nTyped by hand.\n"
    sent = {**fields(client, "/console/drafts/I2"), "text": text}
    answer = client.post("/console/drafts/I2", data=sent)
    assert answer.status_code == 409
    assert why in Page(answer.text).text
    assert "Typed by hand." in answer.text
    assert shelf.library.own() == ()
    assert store.journal.events("I2") == ()


def test_only_who_may_decide_accepts(
    engine: CountedEngine,
    access: Access,
    shelf: Bookshelf,
    store: Store,
) -> None:
    made = closed(store)
    viewer = browser(create_app(engine, Door(), access=access, shelf=shelf))
    signed_in(viewer, "the viewer")
    assert "<textarea" not in viewer.get("/console/drafts/I2").text
    sent = {**fields(viewer, "/console/drafts/I2"), "text": draft(made, ())}
    assert viewer.post("/console/drafts/I2", data=sent).status_code == 409
    assert viewer.post("/console/drafts/I2", data=sent | {"csrf": "x"}).status_code == 403
    stranger = TestClient(viewer.app, base_url=BASE, follow_redirects=False)
    assert stranger.post("/console/drafts/I2", data=sent).status_code == 403
    assert shelf.library.own() == ()


# --- playbooks ---------------------------------------------------------------------------------


def test_playbooks_stand_by_kind_of_fault_with_how_they_ended(
    client: TestClient,
    store: Store,
) -> None:
    for number in range(4):
        store.outcomes.record(
            f"p{number}",
            PlaybookOutcome(
                playbook_id="restart", fault_kind="memory_pressure", component="cart",
                recovered=number > 0, at=NOW + number,
            ),
        )  # fmt: skip
    listed = page(client, "/console/playbooks").text
    assert "restart B (reversible)" in listed
    assert "3 of 4 recovered (28–95 %)" in listed
    assert "not tried yet" in listed
    card = page(client, "/console/playbooks/restart").text
    for said in ("who agrees one approver", "here dry run here", "‹service›", "did not help",
                 "Documents that name it 1 runbook Zebra zebra"):  # fmt: skip
        assert said in card
    assert "${" not in card
    assert "此处为演练" in page(client, "/console/playbooks/restart?lang=zh").text
    assert (
        "It has not been run for real here."
        in page(client, "/console/playbooks/rollback?lang=en").text
    )


# --- adding ------------------------------------------------------------------------------------

RUNBOOK = """---
id: our-own-shard
kind: runbook
title: {en: A shard of the ledger is full, zh: 账本分片已满}
symptoms: {en: writes are refused, zh: 写入被拒绝}
fault_kinds: [disk_full]
components: [service]
---
## What to do

Move the oldest partition away.
"""


def added(client: TestClient, text: str, step: str = "add") -> Response:
    shown = client.get("/console/knowledge").text
    csrf = shown.partition('name="csrf" value="')[2].partition('"')[0]
    return client.post("/console/knowledge", data={"csrf": csrf, "text": text, "step": step})


def test_a_document_is_previewed_and_added_by_a_responder(client: TestClient, store: Store) -> None:
    shown = added(client, RUNBOOK, "preview")
    assert "Move the oldest partition away." in shown.text
    assert store.journal.last() == 0 or store.journal.events("")[-1].kind != "documented"
    answer = added(client, RUNBOOK)
    assert answer.headers["location"] == "/console/knowledge/our-own-shard"
    assert "A shard of the ledger is full" in page(client, answer.headers["location"]).text
    row = store.journal.events("")[-1]
    assert (row.kind, row.by) == ("documented", "the responder")


def test_what_is_no_document_or_stands_in_for_one_is_refused_and_stays_in_the_box(
    client: TestClient,
) -> None:
    wrong = added(client, "just some words")
    assert wrong.status_code == 409
    assert "just some words</textarea>" in wrong.text
    assert added(client, RUNBOOK).status_code == 303
    again = added(client, RUNBOOK)
    assert again.status_code == 409
    assert "exists" in again.text


# --- evals -------------------------------------------------------------------------------------


def test_the_report_of_the_evals_is_shown_apart_from_the_session(
    engine: CountedEngine, access: Access, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text("<title>r</title><script>let a = 1;</script>")
    client = browser(create_app(engine, Door(), access=access, report=path))
    signed_in(client, "the viewer")
    assert "Open the report" in page(client, "/console/evals").text
    policy = client.get("/console/evals/report").headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts;")
    assert "allow-same-origin" not in policy
    digest = b64encode(sha256(b"let a = 1;").digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    path.unlink()
    assert "No report is configured" in page(client, "/console/evals").text
    assert client.get("/console/evals/report").status_code == 404
