"""The console for everybody: axe over every page, and Ask with the keyboard alone."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from copilot.knowledge import Library, Memory
from copilot.store import Assignment, Store
from copilot.surfaces.chat import Question
from copilot.surfaces.console.card import Bookshelf
from copilot.surfaces.service.access import Access
from copilot.types.checks import Check, CheckReport
from knowledge_base import playbooks
from tests.copilot.people_world import NOW
from tests.copilot.test_chat_service import HOSTILE
from tests.copilot.test_chat_service import incident as asked_about
from tests.copilot.test_console import evidence, incident, plan
from tests.copilot.test_console_ask import desk_on
from tests.copilot.test_console_browser import TOKEN, awaited, served
from tests.copilot.test_console_browser import store as a_store
from tests.copilot.test_console_browser import tab as a_tab
from tests.copilot.test_console_knowledge import SHIPPED
from tests.evals import chromium
from tools.types import Alert, PlaybookOutcome, Text

store, tab = a_store, a_tab

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(chromium.BINARY is None, reason="Chromium is not installed"),
]

PAGES = (
    "/",
    "/console/incidents/I1",
    "/console/incidents/I2",
    "/console/ask",
    "/console/ask?conversation=chat-1",
    "/console/alerts",
    "/console/knowledge",
    "/console/knowledge?q=zebra+lease",
    "/console/knowledge/zebra",
    "/console/drafts/I2",
    "/console/playbooks",
    "/console/playbooks/restart",
    "/console/journal",
    "/console/health",
    "/console/evals",
    "/console/device",
    "/console/incidents/none",
)

VIEWS = {"a wide screen, in English": (1280, "en"), "a phone, in Chinese": (390, "zh")}

AUDIT = """axe.run(document, {
  runOnly: RULES, resultTypes: ["violations"],
}).then((found) => found.violations.map((one) => [one.id, one.nodes.map((node) => node.html)]))"""
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def axe() -> str:
    """The script of axe-core; out of a package that is not imported."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or not found.submodule_search_locations:
        pytest.skip("axe is not installed: make .venv/.installed-test")
    place = Path(found.submodule_search_locations[0]) / "axe.min.js"
    return place.read_text(encoding="utf-8")


@contextmanager
def house(store: Store, folder: Path) -> Iterator[str]:
    """A console with something on every page."""
    store.incidents.open(incident(plan=plan(), status="awaiting_approval"))
    store.approvals.request(plan(), "run-1", NOW)
    recalled = {"document": "zebra", "kind": "runbook", "title": Text(en="z", zh="z"),
                "agreement": "symptoms", "trust": "reviewed"}  # fmt: skip
    ended = incident("I2", evidence=(evidence(1),), status="recovered", recalled=(recalled,))
    store.incidents.open(ended)
    store.journal.append("I1", "briefed", "copilot", {"reason": "out"}, NOW)
    alert = Alert(fingerprint="a", name="BatchLate", service="till", starts_at=NOW, source="test")
    kept = store.alerts.accept([alert], NOW).new[0]
    store.alerts.assign_all([Assignment(kept.key, None, "silenced", "window: Sunday")], NOW)
    outcome = PlaybookOutcome(
        playbook_id="restart", fault_kind="memory_pressure", component="cart", recovered=True,
        at=NOW,
    )  # fmt: skip
    store.outcomes.record("p1", outcome)
    desk = desk_on(store)
    desk.ask(Question(text="what is the cause?", conversation_id="chat-1", incident_id="I1"))
    known = {one.id: one for one in playbooks()}
    runs = {name: Text(en="dry run here", zh="此处为演练") for name in known}
    shelf = Bookshelf(Library(folder / "knowledge"), Memory(lambda: SHIPPED), known, runs)
    report = CheckReport(
        pid=1, data_folder="/data", checks=(Check("metrics", "broken", "no answer", "see to it"),)
    )
    with served(store, desk=desk, shelf=shelf, examine=lambda: report) as base:
        yield base


def sign_in(tab: chromium.Tab, store: Store, base: str) -> None:
    tab.open(Access(store, TOKEN).link(base), 390)
    tab.value("document.querySelector('#name').value = 'anna'")
    tab.value("document.querySelector('form.sign-in button').click()")
    awaited(lambda: tab.value("document.querySelector('.person') !== null"))


def faults(tab: chromium.Tab, script: str) -> list[Any]:
    """What axe finds wrong with the page that is open, with everything unfolded; in the dark only
    colours are other ones.
    """
    tab.value("for (const one of document.querySelectorAll('details')) one.open = true")
    tab.value(script)
    tab.scheme("light")
    found = audited(tab, RULES)
    tab.scheme("dark")
    return found + audited(tab, ("color-contrast",))


def audited(tab: chromium.Tab, rules: tuple[str, ...]) -> list[Any]:
    asked = AUDIT.replace("RULES", str([*rules]))
    given = {"expression": asked, "awaitPromise": True, "returnByValue": True}
    found: list[Any] = tab.ask("Runtime.evaluate", **given)["result"]["value"]
    return found


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_on_any_page(
    view: str, store: Store, tab: chromium.Tab, tmp_path: Path
) -> None:
    width, language = VIEWS[view]
    script, found = axe(), []
    with house(store, tmp_path) as base:
        tab.open(f"{base}/console/sign-in?lang={language}", width)
        found += [("/console/sign-in", one) for one in faults(tab, script)]
        sign_in(tab, store, base)
        for path in PAGES:
            joined = "&" if "?" in path else "?"
            tab.open(f"{base}{path}{joined}lang={language}", width)
            found += [(path, one) for one in faults(tab, script)]
            assert tab.value("document.documentElement.scrollWidth") <= width, path
            assert [one for one in tab.complaints if "Policy" in str(one)] == [], path
    assert found == []


KEYS = {"Enter": ("\r", 13), "Tab": ("", 9), "Escape": ("", 27)}


def press(tab: chromium.Tab, key: str, shift: bool = False) -> None:
    text, code = KEYS[key]
    more = {"text": text} if text else {}
    for kind in ("keyDown", "keyUp"):
        tab.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=8 * shift,
                windowsVirtualKeyCode=code, **(more if kind == "keyDown" else {}))  # fmt: skip


def tabbed_to(tab: chromium.Tab, selector: str, shift: bool = False) -> None:
    """Go there with the Tab key alone."""
    for _ in range(60):
        press(tab, "Tab", shift)
        if tab.value(f"document.activeElement.matches({selector!r})"):
            return
    raise AssertionError(f"{selector} is not reached")


def test_ask_needs_no_mouse_and_hostile_words_run_nothing(store: Store, tab: chromium.Tab) -> None:
    about = asked_about()
    store.incidents.open(about)
    with served(store, desk=desk_on(store)) as base:
        tab.open(f"{base}/console/incidents/{about.id}", 1280)
        tabbed_to(tab, "#ask-text")
        tab.ask("Input.insertText", text=f"what is the cause? {HOSTILE}")
        press(tab, "Enter")
        awaited(lambda: tab.value("document.querySelectorAll('.turn .reply').length") == 1)
        assert tab.value("document.querySelector('.question').textContent").endswith(HOSTILE)
        assert tab.value("document.querySelectorAll('main img, main script').length") == 0
        assert tab.value("document.activeElement.id") == "ask-text"
        tabbed_to(tab, ".turn button.cite", shift=True)
        press(tab, "Enter")
        awaited(lambda: tab.value("document.querySelectorAll(':popover-open').length") == 1)
        tabbed_to(tab, "a[data-evidence]")
        press(tab, "Enter")
        awaited(lambda: tab.value("document.querySelectorAll(':popover-open').length") == 0)
        awaited(lambda: tab.value("document.querySelector('#E1').closest('details').open"))
        tabbed_to(tab, "button[name=suggested]")
        press(tab, "Enter")
        awaited(lambda: tab.value("document.querySelectorAll('.turn .reply').length") == 2)
        tab.open(f"{base}/console/incidents/{about.id}", 1280)
        awaited(lambda: tab.value("document.querySelectorAll('.turn .reply').length") == 2)
        hosts = {one.split("/", 3)[2] for one in tab.requests if one.startswith("http")}
        assert hosts == {base.removeprefix("http://")}


def test_a_question_that_breaks_stays_in_the_box(store: Store, tab: chromium.Tab) -> None:
    with served(store, desk=desk_on(store)) as base:
        tab.open(f"{base}/console/ask", 390)
        awaited(lambda: tab.value("!document.querySelector('#ask-keys').hidden"))
        tab.value("document.querySelector('#ask-text').value = 'is it over?'")
    tab.value("document.querySelector('form.ask button.yes').click()")
    awaited(lambda: tab.value("!document.querySelector('[data-problem]').hidden"))
    assert tab.value("document.querySelector('#ask-text').value") == "is it over?"


def test_on_paper_everything_is_unfolded_and_no_form_stands(
    store: Store, tab: chromium.Tab, tmp_path: Path
) -> None:
    closed = "document.querySelectorAll('main details:not([open])').length"
    with house(store, tmp_path) as base:
        tab.open(f"{base}/console/incidents/I1", 1280)
        before = tab.value(closed)
        tab.value(f"addEventListener('beforeprint', () => {{ window.onPaper = {closed}; }})")
        assert tab.ask("Page.printToPDF")["data"]
        assert (tab.value("window.onPaper"), tab.value(closed)) == (0, before)
        tab.ask("Emulation.setEmulatedMedia", media="print")
        assert tab.value("getComputedStyle(document.querySelector('form')).display") == "none"
