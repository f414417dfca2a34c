"""The console in a real browser: hostile text runs nothing, pages renew and recover alone."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from copilot.store import Store
from copilot.surfaces.service import Streams, create_app
from copilot.surfaces.service.access import Access
from copilot.testing.service import CountedEngine
from tests.copilot.people_world import NOW, Door
from tests.copilot.test_console import HOSTILE, hostile, incident, plan
from tests.evals import chromium

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(chromium.BINARY is None, reason="Chromium is not installed"),
]

TOKEN = "a" * 64
QUICK = Streams(poll_s=0.05, heartbeat_s=0.5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    opened.create()
    yield opened
    opened.close()


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[chromium.Tab]:
    with chromium.opened(tmp_path / "profile") as opened:
        yield opened


@contextmanager
def served(store: Store, port: int = 0, **more: Any) -> Iterator[str]:
    access = Access(store, TOKEN)
    app = create_app(CountedEngine(store, NOW), Door(), QUICK, access=access, **more)
    config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=0)
    server = uvicorn.Server(config)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def awaited(question: Callable[[], Any], seconds: float = 40.0) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := question():
            return answer
        time.sleep(0.1)
    raise AssertionError("nothing came")


def test_hostile_text_runs_nothing_and_loads_nothing(store: Store, tab: chromium.Tab) -> None:
    for number, text in enumerate(HOSTILE):
        hostile(store, number, text)
    with served(store) as base:
        for path in ("/", *(f"/console/incidents/I{number}" for number in range(len(HOSTILE)))):
            tab.open(base + path, 1280)
            assert tab.value("document.scripts.length") == 1
            assert tab.value("document.querySelectorAll('img, svg, iframe, style').length") == 0
            assert tab.value("document.querySelector('h1').textContent !== 'Approved'")
            assert {one.split("/", 3)[2] for one in tab.requests if one.startswith("http")} == {
                base.removeprefix("http://")
            }
            assert [one for one in tab.complaints if "dialog" in str(one).lower()] == []


def test_nothing_needs_more_than_the_policy_allows(store: Store, tab: chromium.Tab) -> None:
    store.incidents.open(incident(plan=plan(), status="awaiting_approval"))
    store.approvals.request(plan(), "run-1", NOW)
    with served(store) as base:
        for path in ("/", "/console/incidents/I1", "/console/sign-in", "/console/incidents/I9"):
            for width in (390, 2560):
                tab.open(base + path, width)
                assert tab.value("document.documentElement.scrollWidth") <= width
            assert [one for one in tab.complaints if "Policy" in str(one)] == []


def test_evidence_opens_in_place_with_the_keyboard(store: Store, tab: chromium.Tab) -> None:
    store.incidents.open(incident())
    with served(store) as base:
        tab.open(f"{base}/console/incidents/I1", 1280)
        tab.value("document.querySelector('button.cite').focus()")
        for kind in ("keyDown", "keyUp"):
            tab.ask("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                    windowsVirtualKeyCode=13)  # fmt: skip
        assert awaited(lambda: tab.value("document.querySelectorAll(':popover-open').length")) == 1
        for kind in ("keyDown", "keyUp"):
            tab.ask("Input.dispatchKeyEvent", type=kind, key="Escape", code="Escape",
                    windowsVirtualKeyCode=27)  # fmt: skip
        awaited(lambda: tab.value("document.querySelectorAll(':popover-open').length") == 0)


def test_a_page_renews_itself_and_recovers_when_the_service_was_gone(
    store: Store, tab: chromium.Tab
) -> None:
    store.incidents.open(incident())
    status = "document.querySelector('.status').textContent"
    with served(store) as base:
        tab.open(f"{base}/console/incidents/I1", 1280)
        awaited(lambda: tab.value("document.querySelector('[data-feed]').textContent") == "live")
        tab.value("document.querySelector('details.item').open = true")
        store.incidents.update("I1", NOW, status="acting")
        store.journal.append("I1", "acted", "copilot", {}, NOW)
        awaited(lambda: tab.value(status) == "acting")
        assert tab.value("document.querySelector('details.item').open")
    awaited(lambda: tab.value("!document.querySelector('[data-lost]').hidden"))
    store.incidents.update("I1", NOW, status="recovered")
    with served(store, int(base.rpartition(":")[2])):
        awaited(lambda: tab.value(status) == "recovered")
        awaited(lambda: tab.value("document.querySelector('[data-lost]').hidden"))


def test_a_person_signs_in_and_approves_on_a_phone_in_two_taps(
    store: Store, tab: chromium.Tab
) -> None:
    store.incidents.open(incident(plan=plan(), status="awaiting_approval"))
    store.approvals.request(plan(), "run-1", NOW)
    with served(store) as base:
        tab.open(Access(store, TOKEN).link(base), 390)
        tab.value("document.querySelector('#name').value = 'anna'")
        tab.value("document.querySelector('form.sign-in button').click()")
        awaited(lambda: tab.value("document.querySelector('.person') !== null"))
        tab.open(f"{base}/console/incidents/I1", 390)
        tab.value("document.querySelector('.decide summary').click()")
        tab.value("document.querySelector('.decide button.yes').click()")
        request = awaited(lambda: (found := store.approvals.get("rollback-1")) and found.given)
        assert [(one.approver, one.decision) for one in request] == [("anna", "approve")]
