"""Chinese whole: no page and no report of an incident has an English sentence of ours."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import get_args

import pytest
from fastapi.testclient import TestClient
from rich.console import Console

import copilot
from copilot.case.postmortem import draft
from copilot.settings import load
from copilot.store import PolicyRefusedError
from copilot.surfaces import listing
from copilot.surfaces.commands import screen
from copilot.surfaces.commands.doctor import report_of
from copilot.surfaces.console.answer import Audience, status_update
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from prompts import translation
from tests.copilot.people_world import BASE, QUICK, TOKEN, Clock, Door
from tests.copilot.test_rights import Desk, desk
from tools.playbook_executor import Policy, StepRefusedError

ENGLISH = re.compile(r"[A-Za-z][a-z]*(?:[ ,;:]+[a-z]{2,}){2,}")
"""Three words of it in a row, the first perhaps with a capital: names and units have fewer."""

SHOWN = {"title", "alt", "aria-label", "placeholder"}
"""Attributes that a person reads or hears."""


class ReadPage(HTMLParser):
    """What a person reads of a page; code and quotations are of others."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self._within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.text += [said for name, said in attrs if name in SHOWN and said]
        if tag in ("code", "blockquote"):
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._within and tag == self._within[-1]:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.text.append(data)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """An incident from its alerts to its recovery."""
    with desk(tmp_path_factory.mktemp("ended"), Policy()) as one:
        one.look()
        one.answer("anna")
        assert one.incident.status == "recovered"
        yield one


def english(ended: Desk, text: str) -> list[str]:
    """What is left of English in it but for what people and the world's own programs said."""
    for said in ("not now", *(one.output for one in ended.incident.results)):
        text = text.replace(said, "")
    return [one[0] for one in ENGLISH.finditer(text)]


@pytest.mark.integration
def test_no_page_has_an_english_sentence_of_ours(ended: Desk, tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path, model_use="off", embedder="none")
    access = Access(ended.engine.store, TOKEN, operator="root", clock=Clock(), passwords=QUICK)
    app = create_app(
        ended.engine, Door(), access=access, examine=lambda: report_of(settings, ended.engine, None)
    )
    client = TestClient(app, base_url=BASE)
    client.post("/console/sign-in", data={"name": "anna", "token": TOKEN})
    left: dict[str, list[str]] = {}
    for path in (*PAGES, "/console/incidents/inc-1", "/console/incidents/none"):
        answer = client.get(path, params={"lang": "zh"})
        found = [one for said in ReadPage(answer.text).text for one in english(ended, said)]
        left |= {path: found} if found else {}
    assert left == {}


PAGES = (
    "/", "/console/journal", "/console/alerts", "/console/health", "/console/device",
    "/console/sign-in", "/console/knowledge", "/console/playbooks", "/console/ask",
)  # fmt: skip


@pytest.mark.integration
def test_no_report_has_an_english_sentence_of_ours(ended: Desk) -> None:
    incident, events = ended.incident, ended.engine.store.journal.events(limit=1000)
    console = Console(file=StringIO(), width=500)
    screen.answer(console, incident, "zh")
    screen.walk(console, incident, "zh")
    screen.plan(console, ended.plan, "zh", ended.engine.terms(ended.plan))
    for event in events:
        screen.event(console, event, "zh")
    listing.show(console, screen.rows((incident,)), "zh")
    screen.clocks(console, incident, "zh")
    assert isinstance(console.file, StringIO)
    told = {
        "terminal": console.file.getvalue(), "report": incident.report["zh"],
        "brief": incident.brief["zh"], "postmortem": draft(incident, events, "zh"),
    }  # fmt: skip
    told |= {to: status_update(incident, "zh", to) for to in get_args(Audience)}
    quoted = re.compile(r"`[^`\n]*`|“[^”\n]*”|^---$.*?^---$", re.MULTILINE | re.DOTALL)
    left = {where: english(ended, quoted.sub("", text)) for where, text in told.items()}
    assert left == {where: [] for where in told}


# --- how a sentence is found in the catalogue ---------------------------------------------------

SENTENCES = {
    "as it is": ("works on it", "正在处理"),
    "with numbers": ("waited 30 s", "已等待 30 秒"),
    "where a number has to be": ("waited for ever s", "waited for ever s"),
    "with a word of a closed set": ("run r1 ended: handed_over", "调查 r1 结束:已转交人工"),
    "in another": ("refused: step 2 was run before", "已拒绝:第 2 步已执行过"),
    "joined": ("again, as before; step 2 was run before", "再次触发,与之前相同;第 2 步已执行过"),
    "before what a person wrote": ("to ben: look; then call", "交给 ben:look;then call"),
    "of somebody else": ("the pool is full of fish", "the pool is full of fish"),
    "empty": ("", ""),
    "many joined": ("a; " * 600, "a;" * 600),
    "joined by nothing": ("; " * 900, ";" * 900),
    "one in another in another": ("of " * 600, "of " * 591),
    "too long to be ours": ("works on it" * 500, "works on it" * 500),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_a_sentence_of_ours_is_told_in_chinese(case: str) -> None:
    english, chinese = SENTENCES[case]
    assert translation(english, "zh") == chinese
    assert translation(english, "en") == english


# --- what the code says, against the catalogue --------------------------------------------------

WHERE = (
    "case", "store", "alerts/admission.py", "surfaces/commands/doctor.py", "../tools/clusterer",
    "../tools/detector/onset.py", "../tools/playbook_executor/run.py",
)  # fmt: skip
"""Code whose sentences the journal keeps, a page shows as a refusal, or doctor finds."""

SAYS = {"note": 2, "Decision": 3, "Check": 2, "GroupAssignment": 1, "Onset": 9}
"""Calls, and the place of the first argument that is a sentence."""


def template(node: ast.expr) -> str:
    """A literal with 1 for each hole, which fits a hole of any kind; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return ""
    return "".join(str(one.value) if isinstance(one, ast.Constant) else "1" for one in node.values)


WORDS = re.compile(r"[a-z]{2,} [a-z]{2,}")


def sentences(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        call = node.exc if isinstance(node, ast.Raise) else node
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        refused = isinstance(node, ast.Raise) and name in REFUSALS
        listed = call.args[:1] if refused else call.args[SAYS[name] :] if name in SAYS else ()
        named = [one.value for one in call.keywords if one.arg == "reason" and name in SAYS]
        yield from (said for one in (*listed, *named) if WORDS.search(said := template(one)))


REFUSALS = {
    one.__name__
    for kind in (PolicyRefusedError, StepRefusedError)
    for one in (kind, *kind.__subclasses__())
}


def test_what_the_journal_keeps_and_pages_refuse_with_is_in_the_catalogue() -> None:
    root = Path(copilot.__file__).parent
    files = [
        one for place in WHERE for one in sorted((root / place).rglob("*.py")) or [root / place]
    ]
    missing = {
        said: one.name
        for one in files
        for said in sentences(one)
        if translation(said, "zh") == said
    }
    assert missing == {}
