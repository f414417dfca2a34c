"""The event stream: what happened, then what happens, from where a reader left off."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient
from pydantic import SecretStr

from copilot.store import Store
from copilot.surfaces.service import Streams, create_app
from copilot.surfaces.service.events import JournalTail
from copilot.testing.service import CountedEngine
from copilot.types.incident import Incident

NOW = 1_700_000_000.0


@dataclass(frozen=True)
class Door:
    api_key: SecretStr | None = None
    max_body_bytes: int = 100_000
    max_alerts: int = 100


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    opened.create()
    for incident_id in ("I1", "I2"):
        opened.incidents.open(Incident(id=incident_id, title="cart", opened_at=NOW, updated_at=NOW))
    for number in range(3):
        opened.journal.append("I1", "noted", "copilot", {"n": number}, NOW)
        opened.journal.append("I2", "noted", "copilot", {"n": number}, NOW)
    yield opened
    opened.close()


@pytest.fixture
def base(store: Store) -> Iterator[str]:
    """The service on the loopback, with streams that are quick to say something."""
    streams = Streams(poll_s=0.02, heartbeat_s=0.1, longest_s=30, most=2)
    app = create_app(CountedEngine(store), Door(), streams)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/incidents/I1/events"
        server.should_exit = True
        thread.join()


def told(text: str) -> list[dict[str, Any]]:
    """The events of a stream, each with its number, name and data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if "data" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


def test_the_journal_of_one_incident_is_told_in_order(base: str) -> None:
    answer = httpx.get(f"{base}?follow=false")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = told(answer.text)
    assert [event["id"] for event in events] == ["1", "3", "5"]
    assert [event["event"] for event in events] == ["noted"] * 3
    assert [event["data"]["detail"] for event in events] == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_reader_goes_on_where_it_left_off(base: str) -> None:
    by_header = httpx.get(f"{base}?follow=false", headers={"last-event-id": "3"})
    by_query = httpx.get(f"{base}?follow=false&after=3")
    assert [e["id"] for e in told(by_header.text)] == ["5"]
    assert [e["id"] for e in told(by_query.text)] == ["5"]


@pytest.mark.parametrize("number", ["x", "-1", "1e3", "9" * 40])
def test_a_number_that_is_none_is_refused(base: str, number: str) -> None:
    answer = httpx.get(base, headers={"last-event-id": number})
    assert answer.status_code == 422
    assert "last-event-id" in answer.json()["detail"]


def test_what_happens_is_told_as_it_happens_and_silence_is_filled(base: str, store: Store) -> None:
    with httpx.stream("GET", base, headers={"last-event-id": "5"}, timeout=20) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("retry:")
        assert next(line for line in lines if line.startswith(":")) == ": still here"
        store.journal.append("I2", "noted", "copilot", {}, NOW)
        store.journal.append("I1", "acting", "ann", {"text": "two\nlines\n\nid: 99"}, NOW)
        assert next(line for line in lines if line.startswith("id:")) == "id: 8"
        assert next(lines) == "event: acting"
        assert json.loads(next(lines).removeprefix("data: "))["detail"] == {
            "text": "two\nlines\n\nid: 99"
        }


def test_waiting_readers_are_bounded_and_cost_no_answer_to_others(base: str) -> None:
    with httpx.stream("GET", base) as first, httpx.stream("GET", base) as second:
        readers = [first.iter_lines(), second.iter_lines()]
        assert [next(lines) for lines in readers] == ["retry: 2000"] * 2
        refused = httpx.get(base)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert httpx.get(base.removesuffix("/events")).status_code == 200
        assert httpx.get(f"{base}?follow=false").status_code == 200


def test_a_stream_ends_after_a_while_and_can_be_taken_up_again(store: Store) -> None:
    ending = Streams(poll_s=0.01, heartbeat_s=0.02, longest_s=0.1, most=1)
    client = TestClient(
        create_app(CountedEngine(store), Door(), ending), base_url="http://127.0.0.1"
    )
    for _ in range(2):
        answer = client.get("/incidents/I1/events")
        assert [event["id"] for event in told(answer.text)] == ["1", "3", "5"]
        assert ": still here" in answer.text


# --- the feed over all incidents ---------------------------------------------------------------


def test_the_feed_tells_of_every_incident_without_what_only_an_auditor_needs(base: str) -> None:
    every = base.replace("/incidents/I1", "")
    events = told(httpx.get(f"{every}?follow=false&after=0").text)
    assert [event["data"]["incident_id"] for event in events] == ["I1", "I2"] * 3
    assert set(events[0]["data"]) == {"seq", "at", "incident_id", "kind", "by", "detail"}
    assert told(httpx.get(f"{every}?follow=false").text) == []
    assert [e["id"] for e in told(httpx.get(f"{every}?follow=false&after=4").text)] == ["5", "6"]


def test_the_feed_goes_on_from_now_and_from_where_a_reader_left_off(
    base: str, store: Store
) -> None:
    every = base.replace("/incidents/I1", "")
    with (
        httpx.stream("GET", every, timeout=20) as fresh,
        httpx.stream("GET", every, headers={"last-event-id": "5"}, timeout=20) as back,
    ):
        readers = [fresh.iter_lines(), back.iter_lines()]
        assert [next(lines) for lines in readers] == ["retry: 2000"] * 2
        assert next(line for line in readers[1] if line.startswith("id:")) == "id: 6"
        store.journal.append("I2", "acting", "ann", {"text": "two\nlines\n\nid: 99"}, NOW)
        for lines in readers:
            assert next(line for line in lines if line.startswith("id:")) == "id: 7"


def test_a_long_journal_is_told_whole_and_read_once_for_all(store: Store) -> None:
    tail = JournalTail(store, 0, kept=20)

    async def listened() -> list[int]:
        assert await tail.last() == 6
        with store.transaction():
            for number in range(70):
                store.journal.append("I1", "noted", "copilot", {"n": number}, NOW)
        seen = 0
        found: list[int] = []
        while page := await tail.after(seen):
            found += [event.seq for event in page]
            seen = found[-1]
        return found

    assert asyncio.run(listened()) == [*range(1, 77)]
