"""Ask on the console: the same chat as everywhere, whole without JavaScript, and safe to read."""

import asyncio
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from copilot.deps import Deps
from copilot.hands import DryRunRunner
from copilot.sources.deployment import Sources
from copilot.store import Store
from copilot.surfaces.chat import ChatService, ToolContext
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.chat import asking
from copilot.surfaces.service.gate import Gate
from copilot.testing.service import CountedEngine
from prompts import LANGUAGES, Language
from tests.copilot import test_chat_service as asked
from tests.copilot.people_world import QUICK, TOKEN, account, signed_in
from tests.copilot.test_chat_service import HOSTILE, NOW, Door, Standing, events
from tests.copilot.test_console import TAGS, Page

engine, desk = asked.engine, asked.desk

MAY_STAND = TAGS | {"nav", "form", "input", "label", "article", "pre", "em", "textarea"}


def desk_on(store: Store) -> ChatService:
    numbers = iter(range(1000))
    deps = Deps(store, Sources(), Standing(), DryRunRunner(Standing()), ())
    return ChatService(
        store, lambda about: ToolContext(deps, about), Standing(), lambda: f"n{next(numbers)}"
    )


@pytest.fixture
def client(engine: CountedEngine, desk: ChatService) -> TestClient:
    app = create_app(engine, Door(), desk=desk)
    return TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)


def sent(text: str, **fields: str) -> dict[str, str]:
    return {"text": text, "conversation": "", "incident": "", **fields}


def followed(client: TestClient, text: str, **fields: str) -> tuple[str, Page]:
    """Where the form leads, and the page there."""
    answer = client.post("/console/ask", data=sent(text, **fields))
    assert answer.status_code == 303, answer.text
    where = answer.headers["location"]
    return where, Page(client.get(where.partition("#")[0]).text)


def test_without_javascript_the_form_leads_to_the_answer_and_goes_on(client: TestClient) -> None:
    where, found = followed(client, "what is the cause?", incident="inc-00aa")
    assert where.endswith("#turn-1")
    assert "what is the cause? Cause: likely: cart" in found.text
    conversation = parse_qs(urlsplit(where).query)["conversation"][0]
    where, found = followed(client, "", conversation=conversation, suggested="how sure are you?")
    assert where.endswith("#turn-2")
    assert found.text.index("what is the cause?") < found.text.index("how sure are you?")


def test_a_citation_opens_its_evidence_and_leads_to_the_page_of_the_incident(
    client: TestClient,
) -> None:
    _, found = followed(client, "what is the cause?", incident="inc-00aa")
    opens = {attrs["popovertarget"] for tag, attrs in found.tags if tag == "button"
             if "popovertarget" in attrs}  # fmt: skip
    holds = {attrs["id"] for _, attrs in found.tags if "popover" in attrs}
    assert "turn-1-E1" in opens
    assert opens <= holds
    links = [attrs["href"] for _, attrs in found.tags if "data-evidence" in attrs]
    assert links == ["/console/incidents/inc-00aa#E1"]


def test_with_javascript_the_same_form_answers_as_a_stream(client: TestClient) -> None:
    accepts = {"accept": "text/event-stream"}
    answer = client.post("/console/ask", data=sent("what is the cause?"), headers=accepts)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer.text)
    assert [name for name, _ in told][:2] == ["conversation", "progress"]
    assert {one["name"] for name, one in told if name == "progress" and one["step"] == "tool"}
    assert told[-1][0] == "done"


@pytest.mark.parametrize("language", LANGUAGES)
def test_three_questions_are_suggested_and_none_that_was_asked(
    client: TestClient, language: Language
) -> None:
    def suggested(page: Page) -> list[str]:
        return [attrs["value"] for _, attrs in page.tags if attrs.get("name") == "suggested"]

    before = suggested(Page(client.get(f"/console/ask?lang={language}").text))
    _, found = followed(client, before[0])
    after = suggested(found)
    assert len(before) == len(after) == 3
    assert before[0] not in after
    assert all(bool(re.search("[\u4e00-\u9fff]", one)) == (language == "zh") for one in after)


REFUSED = {
    "no question": (sent("  "), 422, "the question is empty"),
    "a question too long": (sent("x" * 4001), 422, "4000 is the limit"),
    "a conversation that is none": (sent("hi", conversation="chat-none"), 404, "chat-none"),
    "an incident that is none": (sent("hi", incident="inc-none"), 404, "inc-none"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_asked_is_said(client: TestClient, case: str) -> None:
    fields, status, said = REFUSED[case]
    for accept in ("text/html", "text/event-stream"):
        answer = client.post("/console/ask", data=fields, headers={"accept": accept})
        assert answer.status_code == status
        assert said in answer.text


def test_a_conversation_that_is_none_is_a_page_that_leads_back(client: TestClient) -> None:
    answer = client.get("/console/ask?conversation=chat-none")
    assert answer.status_code == 404
    assert "chat-none" in Page(answer.text).text


def test_hostile_words_of_people_and_telemetry_are_only_text(client: TestClient) -> None:
    _, found = followed(client, f"what is the cause? {HOSTILE} <script>alert(1)</script>")
    assert "<img src=x>" in found.text
    assert {tag for tag, _ in found.tags} <= MAY_STAND
    for tag, attrs in found.tags:
        assert not [name for name in attrs if name.startswith("on") or name == "style"]
        assert attrs.get("href", "/")[:1] in "/?#" or attrs["href"] == "data:,"
        assert tag != "script" or attrs["src"].startswith("/console/static/")


def test_a_form_of_another_page_is_refused(client: TestClient) -> None:
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = client.post("/console/ask", data=sent("hi"), headers=headers)
        assert answer.status_code == 403


def test_where_people_have_accounts_a_viewer_asks_by_the_form_and_a_stranger_does_not(
    tmp_path: Path,
) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    store.people.add(account("vera", "viewer"))
    access = Access(store, TOKEN, clock=lambda: NOW, passwords=QUICK)
    app = create_app(CountedEngine(store, NOW), Door(), desk=desk_on(store), access=access)
    client = TestClient(app, base_url="http://127.0.0.1:8383", follow_redirects=False)
    assert client.post("/console/ask", data=sent("hi")).status_code == 403
    assert signed_in(client, "vera").status_code < 400
    assert client.post("/console/ask", data=sent("hi")).status_code == 403
    token = next(
        attrs["value"]
        for _, attrs in Page(client.get("/console/ask").text).tags
        if attrs.get("name") == "csrf"
    )
    answer = client.post("/console/ask", data=sent("hi", csrf=token))
    assert answer.status_code == 303
    store.close()


def test_the_page_of_an_incident_asks_about_it(client: TestClient, engine: CountedEngine) -> None:
    found = Page(client.get("/console/incidents/inc-00aa").text)
    fields = {attrs["name"]: attrs.get("value", "") for _, attrs in found.tags if "name" in attrs}
    assert fields["incident"] == "inc-00aa"
    alone = TestClient(create_app(engine, Door()), base_url="http://127.0.0.1")
    assert "/console/ask" not in alone.get("/console/incidents/inc-00aa").text.split("<main", 1)[1]


WITHOUT_A_SCRIPT: dict[str, tuple[dict[str, str], dict[str, str], int, str]] = {
    "another page sent it": ({}, {"origin": "http://evil.example"}, 403, "sent from another page"),
    "no such conversation": ({"conversation": "none"}, {}, 404, "no conversation"),
    "no such incident": ({"incident": "none"}, {}, 404, "no incident"),
    "nothing is asked": ({"text": " "}, {}, 422, "the question is empty"),
    "it is too large": ({"text": "x" * 200_000}, {}, 413, "larger than"),
}


@pytest.mark.parametrize("case", WITHOUT_A_SCRIPT)
def test_what_is_refused_is_a_page_for_who_has_no_script(client: TestClient, case: str) -> None:
    fields, headers, status, said = WITHOUT_A_SCRIPT[case]
    told = {"accept": "text/html,*/*", **headers}
    answer = client.post("/console/ask", data={**sent("why?"), **fields}, headers=told)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert said in Page(answer.text).text


def test_a_script_is_told_as_before(client: TestClient) -> None:
    told = {"accept": "text/event-stream"}
    answer = client.post("/console/ask", data=sent("why?", incident="none"), headers=told)
    assert answer.json()["detail"]


def test_where_all_places_are_taken_the_question_stays_in_the_box(
    engine: CountedEngine, desk: ChatService
) -> None:
    app = FastAPI()
    app.include_router(asking(engine, desk, None, asyncio.Semaphore(0)))
    app.add_middleware(Gate, settings=Door())
    client = TestClient(app, base_url="http://127.0.0.1")
    answer = client.post("/console/ask", data=sent("why is cart slow?"))
    assert answer.status_code == 503
    assert "why is cart slow?</textarea>" in answer.text
