"""The tools of an assistant, by the official client: what it may read, and what nobody lets it."""

import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi.testclient import TestClient
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from pydantic import SecretStr

from copilot import wiring
from copilot.settings import load
from copilot.store import Store
from copilot.surfaces.chat import ChatService
from copilot.surfaces.commands.playbook import proposal
from copilot.surfaces.mcp.desk import StoreDesk
from copilot.surfaces.mcp.server import McpTools, server
from copilot.surfaces.mcp.wiring import served_at_mcp
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from copilot.testing.servers import copilot as running_copilot
from copilot.testing.service import CountedEngine
from copilot.types.incident import Hypothesis, Incident
from tests.copilot.people_world import account, login, program
from tools.types import Candidate, Evidence, Ranking, Term, Text, Window

NOW = 1_700_000_000.0
Talk = Callable[[Client], Awaitable[None]]


@dataclass(frozen=True)
class Door:
    api_key: SecretStr | None = None
    max_body_bytes: int = 100_000
    max_alerts: int = 100


def evidence(number: int, kind: str, subject: str) -> Evidence:
    return Evidence.model_validate(
        {
            "id": f"E{number}",
            "kind": kind,
            "subject": subject,
            "name": "p95_ms",
            "source": "prometheus",
            "query": "q",
            "window": Window(start=NOW - 60, end=NOW),
            "statement": f"{subject} is slow",
            "value": float("nan"),
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    opened.create()
    term = Term(name="own latency", weight=0.5, evidence=("E1",))
    opened.incidents.open(
        Incident(
            id="inc-1",
            title="cart is slow",
            severity="critical",
            services=("cart",),
            opened_at=NOW,
            updated_at=NOW,
            brief={"en": "**What**: cart is slow", "zh": "**现象**:cart 变慢"},
            evidence=(evidence(1, "metric", "cart"), evidence(2, "change", "checkout")),
            ranking=Ranking(
                candidates=(Candidate(component="cart", score=1, probability=0.84, terms=(term,)),),
                certainty="likely",
                calibrated=True,
                why=Text(en="metrics say so", zh="指标如此"),
            ),
            hypotheses=(
                Hypothesis(
                    component="cart", statement="x", contradicts=("E2",), certainty="likely"
                ),
            ),
        )
    )
    yield opened
    opened.close()


def tools_over(store: Store) -> McpTools:
    settings = load()
    chat = ChatService(store, lambda _: pytest.fail("nothing is asked"), None, lambda: "c")  # type: ignore[arg-type]
    desk = StoreDesk(chat)
    propose: Any = lambda *given: proposal(settings, *given)  # noqa: E731
    return McpTools(lambda: nullcontext(desk), wiring.library(settings), propose)


def talk(with_whom: Any, said: Talk) -> None:
    """Connect the official client and go on."""

    async def session() -> None:
        async with Client(with_whom) as client:
            await said(client)

    anyio.run(session)


async def told(client: Client, tool: str, **given: Any) -> dict[str, Any]:
    """What a tool returns, which is what its schema promises."""
    result = await client.call_tool(tool, given)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return {**result.structured_content}


def test_no_tool_approves_and_all_but_one_only_read(store: Store) -> None:
    async def said(client: Client) -> None:
        listed = {one.name: one for one in (await client.list_tools()).tools}
        assert " ".join(sorted(listed)) == (
            "ask brief changes evidence incidents postmortem_draft propose_playbook "
            "search_knowledge silence why"
        )
        for name, one in listed.items():
            assert one.annotations is not None
            assert one.annotations.read_only_hint == (name != "silence")
            assert one.output_schema is not None
            assert one.description

    talk(server(tools_over(store), declares=True), said)


def test_an_incident_is_read_from_its_list_to_the_reasons(store: Store) -> None:
    async def said(client: Client) -> None:
        (line,) = (await told(client, "incidents"))["incidents"]
        assert (line["id"], line["status"]) == ("inc-1", "investigating")
        brief = await told(client, "brief", incident="inc-1", language="zh")
        assert brief["text"] == "**现象**:cart 变慢"
        why = await told(client, "why", incident="inc-1")
        assert (why["certainty"], why["why"], why["against"]) == (
            "likely",
            "metrics say so",
            ["E2"],
        )
        assert why["suspects"][0] == {
            "component": "cart",
            "kind": "kind not decided",
            "chance": "84 %",
            "signs": ["own latency +0.50"],
            "evidence": ["E1"],
        }
        found = await told(client, "evidence", incident="inc-1", component="cart")
        assert [one["id"] for one in found["evidence"]] == ["E1"]
        assert found["evidence"][0]["value"] is None, "JSON has no NaN"
        changed = await told(client, "changes", incident="inc-1")
        assert [one["id"] for one in changed["changes"]] == ["E2"]

    talk(server(tools_over(store), declares=True), said)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "an incident of nobody": ("brief", {"incident": "inc-9"}, "there is no incident 'inc-9'"),
    "one that goes on": ("postmortem_draft", {"incident": "inc-1"}, "is investigating"),
    "a silence of all": (
        "silence",
        {"matchers": ["service=~.*"], "by": "ann", "comment": "x"},
        "at least one matcher must not match the empty string",
    ),
    "a bad expression": (
        "silence",
        {"matchers": ["service=~(("], "by": "ann", "comment": "x"},
        "is not a regular expression",
    ),
    "a silence of days": (
        "silence",
        {"matchers": ["service=a"], "by": "ann", "comment": "x", "minutes": 99_999},
        "less than or equal to 1440",
    ),
    "a playbook of nobody": (
        "propose_playbook",
        {"playbook": "rm-rf", "component": "cart"},
        "no playbook 'rm-rf'",
    ),
}


def test_what_cannot_be_is_refused_in_words(store: Store) -> None:
    async def said(client: Client) -> None:
        for row, (tool, given, words) in REFUSED.items():
            result = await client.call_tool(tool, given)
            assert result.is_error, row
            assert words in result.content[0].text, row  # type: ignore[union-attr]

    talk(server(tools_over(store), declares=True), said)


def test_a_silence_is_declared_in_a_persons_name_and_stands_in_the_journal(store: Store) -> None:
    async def said(client: Client) -> None:
        receipt = await told(
            client, "silence", matchers=["service=cart"], by="ann", comment="we know", minutes=5
        )
        assert receipt["matchers"] == ['service="cart"']

    talk(server(tools_over(store), declares=True), said)
    (row,) = [one for one in store.journal.events() if one.kind == "silence declared"]
    assert row.by == "ann"


@pytest.mark.integration
def test_documents_resources_and_prompts_are_offered(store: Store) -> None:
    async def said(client: Client) -> None:
        whole = await client.read_resource("runbook://connection-pool-exhausted")
        assert whole.contents[0].text.startswith("# ")  # type: ignore[union-attr]
        report = await client.read_resource("incident://inc-1/report")
        assert report.contents[0].text == "**What**: cart is slow"  # type: ignore[union-attr]
        given = await client.get_prompt("investigate", {"incident": "inc-1", "language": "zh"})
        assert "inc-1" in given.messages[0].content.text  # type: ignore[union-attr]
        plan = await told(client, "propose_playbook", playbook="rollback", component="cart")
        assert (plan["plan"]["component"], len(plan["plan"]["digest"])) == ("cart", 64)
        assert store.approvals.pending() == ()

    talk(server(tools_over(store), declares=True), said)


CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"accept": "application/json, text/event-stream"}


@pytest.mark.parametrize("key", [None, "the-key"])
def test_the_service_answers_behind_its_key_and_declares_only_with_one(
    store: Store, key: str | None
) -> None:
    door = Door(api_key=SecretStr(key) if key else None)
    app = create_app(CountedEngine(store), door)
    tools = tools_over(store)
    chat: Any = tools.desk().__enter__()._chat  # type: ignore[attr-defined]
    propose: Any = None
    served_at_mcp(app, chat, lambda: None, tools.library, propose, declares=key is not None)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        bare = client.post("/mcp", json=CALL, headers=ACCEPT)
        bearer = {"authorization": f"Bearer {key}"} if key else {}
        answer = client.post("/mcp", json=CALL, headers={**ACCEPT, **bearer})
    assert bare.status_code == (401 if key else 200)
    names = {one["name"] for one in answer.json()["result"]["tools"]}
    assert ("silence" in names) == (key is not None)
    assert "brief" in names


@pytest.mark.parametrize(
    ("who", "by"), [("chat", None), ("the viewer", None), ("the responder", "the responder")]
)
def test_over_http_a_silence_is_the_callers_and_needs_their_right(
    store: Store, who: str, by: str | None
) -> None:
    store.people.add(account("the viewer", "viewer"))
    store.people.add(account("the responder", "responder"))
    program_token = {"authorization": f"Bearer {program(store, 'chat')[0]}"}
    sent = program_token if who == "chat" else login(store, who)
    app = create_app(CountedEngine(store), Door(), access=Access(store, "a" * 64))
    tools = tools_over(store)
    chat: Any = tools.desk().__enter__()._chat  # type: ignore[attr-defined]
    propose: Any = None
    served_at_mcp(app, chat, lambda: None, tools.library, propose, declares=True)
    wanted = {"matchers": ["service=cart"], "by": "ann", "comment": "we know"}
    call = CALL | {"method": "tools/call", "params": {"name": "silence", "arguments": wanted}}
    with TestClient(app, base_url="http://127.0.0.1") as client:
        told = client.post("/mcp", json=call, headers=ACCEPT | sent).json()["result"]
    assert told["isError"] is (by is None), told
    rows = [one.by for one in store.journal.events() if one.kind == "silence declared"]
    assert rows == ([by] if by else [])


def stdio(folder: Path) -> AbstractAsyncContextManager[Any]:
    environment = {"COPILOT_MODEL_USE": "off", "COPILOT_EMBEDDER": "none", "HOME": str(folder)}
    given = ["-m", "copilot", "--data-dir", str(folder / "data"), "mcp"]
    return stdio_client(StdioServerParameters(command=sys.executable, args=given, env=environment))


@pytest.mark.integration
def test_over_standard_input_it_reads_the_store_and_asks_a_service_that_starts(
    tmp_path: Path,
) -> None:
    async def said(client: Client) -> None:
        assert (await told(client, "incidents"))["incidents"] == []
        with running_copilot(tmp_path) as url:
            alert = {"labels": {"alertname": "Down", "service": "cart", "severity": "critical"}}
            httpx.post(f"{url}/api/v2/alerts", json=[alert], trust_env=False).raise_for_status()
            listed: list[dict[str, Any]] = []
            while not listed:
                await anyio.sleep(0.2)
                listed = (await told(client, "incidents"))["incidents"]
            found = await told(client, "search_knowledge", query="connection pool exhausted")
            assert found["documents"][0]["id"] == "connection-pool-exhausted"
            answer = await told(client, "ask", question="what is the cause?")
            assert answer["conversation"]
        after = (await told(client, "incidents"))["incidents"]
        assert [one["id"] for one in after] == [listed[0]["id"]], "and the store when it is gone"
        json.dumps(after)

    talk(stdio(tmp_path), said)
