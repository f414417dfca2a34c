"""The console's pages: the answer first, in both languages, and hostile text stays text."""

import gzip
import re
from html.parser import HTMLParser
from importlib import resources
from typing import get_args
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from markupsafe import escape
from pydantic import SecretStr

from copilot.store import Assignment, Store
from copilot.surfaces.console.answer import ANSWERS, Audience, answer_rows, status_update
from copilot.surfaces.service import create_app
from copilot.surfaces.service.visit import chosen
from copilot.testing.service import CountedEngine
from copilot.types.checks import Check, CheckReport
from copilot.types.incident import Clocks, Incident
from prompts import LANGUAGES, Language, load, word
from tests.copilot import people_world as world
from tests.copilot.people_world import NOW, Door
from tools.types import Alert, Candidate, Evidence, Plan, PlanStep, Ranking, Term, Window

empty, store = world.empty, world.bare

BRIEF = """# HighErrorRate on till

**What**: till error_pct rose to 12 %, normally 0 %. [E1]

**Who**: users of till; alerts about: till

**Since**: 2023-11-14 22:12:20 UTC

**Cause**: likely: **till**, bad deployment (91 %) [E2]

Else: ledger, slow dependency (4 %) [E1]

**Seen before**: runbook “A release made it worse”: `copilot kb show bad-deploy`

**Next**: approve or reject `rollback` on till: Roll till back

**Not known**: traces: not configured

**1-5-10**: detected 10 s (limit 1 min, met)

## Evidence

- **E1** metric: never shown from here
"""


@pytest.fixture
def client(store: Store) -> TestClient:
    return TestClient(create_app(CountedEngine(store, NOW), Door()), base_url="http://127.0.0.1")


def evidence(number: int, text: str = "till error_pct rose", kind: str = "metric") -> Evidence:
    return Evidence.model_validate(
        {
            "id": f"E{number}", "kind": kind, "subject": "till", "name": text, "source": "metrics",
            "query": text, "window": Window(start=NOW - 60, end=NOW), "statement": text,
            "excerpt": text,
        }
    )  # fmt: skip


def plan(text: str = "Roll till back") -> Plan:
    step = PlanStep(index=0, title=text, action="wait", arguments={"seconds": text})
    return Plan(
        id="rollback-1", incident_id="I1", playbook_id="rollback", title=text, risk="B",
        component=text, steps=(step,), expected_effect=text, blast_radius=text,
        created_at=NOW, expires_at=NOW + 900, digest="ab" * 32,
    )  # fmt: skip


def incident(incident_id: str = "I1", text: str = "till", **fields: object) -> Incident:
    known: dict[str, object] = {
        "id": incident_id,
        "title": f"HighErrorRate on {text}",
        "opened_at": NOW - 100,
        "updated_at": NOW,
        "severity": "warning",
        "status": "investigating",
        "brief": {"en": BRIEF},
        "clocks": Clocks(onset=NOW - 110, detected=NOW - 100, located=NOW - 80),
        "evidence": (evidence(1), evidence(2)),
        "ranking": Ranking(
            certainty="likely",
            calibrated=True,
            candidates=(
                Candidate(
                    component=text, score=2, fault_kind="bad_deploy", probability=0.91,
                    terms=(Term(name="own errors", weight=1.0, evidence=("E1",)),
                           Term(name="recent change", weight=1.0, evidence=("E2",))),
                ),
                Candidate(
                    component="ledger", score=1, fault_kind="slow_dependency", probability=0.04,
                    terms=(Term(name="own errors", weight=0.5),),
                ),
            ),
        ),
    }  # fmt: skip
    return Incident.model_validate(known | fields)


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader sees, blanks made single."""
        return " ".join(" ".join(self.words).split())


def page(client: TestClient, path: str, **headers: str) -> Page:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


# --- now ---------------------------------------------------------------------------------------


def test_nothing_open_says_since_when_it_is_quiet(client: TestClient, store: Store) -> None:
    assert "No incident yet" in page(client, "/").text
    store.incidents.open(incident(status="resolved"))
    assert "All quiet since 2023-11-14 22:13:20 UTC" in page(client, "/").text


def test_what_is_open_stands_by_severity_and_then_newest(client: TestClient, store: Store) -> None:
    for number, severity in enumerate(("warning", "critical", "info", "critical")):
        store.incidents.open(
            incident(f"I{number}", f"s{number}", severity=severity, opened_at=NOW - 100 + number)
        )
    links = [tag[1]["href"] for tag in page(client, "/").tags if tag[0] == "a"]
    listed = [one.rpartition("/")[2] for one in links if one.startswith("/console/incidents/")]
    assert listed == ["I3", "I1", "I0", "I2"]


def test_a_row_says_cause_and_how_sure_whom_it_hurts_and_the_clocks(
    client: TestClient, store: Store
) -> None:
    store.incidents.open(incident())
    text = page(client, "/").text
    assert "till , bad deployment likely 91 %" in text
    assert "users of till; alerts about: till" in text
    assert "detected 10 s limit 1 min, met" in text
    assert "recovered 1 min 50 s running, limit 10 min" in text


def test_an_undecided_cause_is_not_told_as_one(client: TestClient, store: Store) -> None:
    undecided = incident().ranking.model_copy(update={"certainty": "insufficient"})
    store.incidents.open(incident(ranking=undecided))
    assert "insufficient evidence , first to look at till" in page(client, "/").text


def test_forecasts_stand_apart_and_leave_the_rest_quiet(client: TestClient, store: Store) -> None:
    store.incidents.open(incident(evidence=(evidence(1, "DiskWillFillIn4Hours", "alert"),)))
    text = page(client, "/").text
    assert "All quiet" in text
    assert text.index("Forecasts 1") < text.index("HighErrorRate on till")


def test_a_held_alert_is_listed_with_its_reason(client: TestClient, store: Store) -> None:
    alert = Alert(fingerprint="a", name="BatchLate", labels={}, starts_at=NOW, source="test")
    kept = store.alerts.accept([alert], NOW).new[0]
    store.alerts.assign_all([Assignment(kept.key, None, "silenced", "window: Sunday")], NOW)
    assert "silenced BatchLate window: Sunday" in page(client, "/").text


# --- one incident ------------------------------------------------------------------------------


def test_the_answer_stands_first_and_what_is_shown_elsewhere_is_left_out(
    client: TestClient, store: Store
) -> None:
    store.incidents.open(incident())
    text = page(client, "/console/incidents/I1").text
    order = ["What", "Who", "Since", "Cause", "Next", "Not known", "The plan", "Suspects"]
    assert sorted(order, key=text.index) == order
    assert "copilot kb show bad-deploy" not in text
    assert "Else: ledger" in text


def test_a_claim_opens_its_evidence_in_place(client: TestClient, store: Store) -> None:
    store.incidents.open(incident())
    tags = page(client, "/console/incidents/I1").tags
    opens = {attrs["popovertarget"] for tag, attrs in tags if "popovertarget" in attrs}
    holds = {attrs.get("id") for tag, attrs in tags if "popover" in attrs}
    assert opens == {"pop-E1", "pop-E2"} == holds
    assert {"E1", "E2"} <= {attrs.get("id") for _, attrs in tags}


def test_a_suspect_says_why_and_why_not(client: TestClient, store: Store) -> None:
    store.incidents.open(incident())
    text = page(client, "/console/incidents/I1").text
    assert "till bad deployment 91 % own errors +1.00 E1 recent change +1.00 E2" in text
    assert "ledger slow dependency 4 % own errors +0.50" in text
    assert "what the first has and it has not: recent change" in text


def test_a_plan_is_shown_as_a_person_decides_on_it(store: Store) -> None:
    engine = CountedEngine(store, NOW, dry_run=False, needed=2)
    client = TestClient(create_app(engine, Door()), base_url="http://127.0.0.1")
    store.incidents.open(incident(plan=plan(), status="awaiting_approval"))
    store.approvals.request(plan(), "run-1", NOW)
    text = page(client, "/console/incidents/I1").text
    for said in (
        "Real: this acts on the running system", "risk B (reversible)", "0 of 2, by different",
        "expected Roll till back", "touches Roll till back", "valid until", "ab" * 32,
        "wait seconds=Roll till back",
    ):  # fmt: skip
        assert said in text


def test_a_status_update_is_lines_of_the_brief_and_tells_customers_no_names(
    client: TestClient, store: Store
) -> None:
    felt = evidence(1).model_copy(
        update={"name": "error_pct", "unit": "%", "value": 12.0, "baseline": 0.0}
    )
    found = incident(brief={"en": BRIEF, "zh": ""}, evidence=(felt,), taken_by="anna")
    store.incidents.open(found)
    inside, outside = (status_update(found, "en", one) for one in get_args(Audience))
    assert "Cause: likely: till, bad deployment (91 %)" in inside
    assert "On it: anna" in inside
    assert "[E" not in inside
    assert outside.splitlines()[1:] == [
        "We are working on it.",
        "Next update: (time to be set by you).",
    ]
    assert "12.0% more of the calls fail" in outside
    assert not {"till", "ledger", "anna"} & set(re.findall(r"\w+", outside))
    shown = client.get("/console/incidents/I1").text
    for text in (inside, outside):
        assert str(escape(text.splitlines()[0])) in shown
    over = found.model_copy(
        update={"status": "recovered", "clocks": Clocks(onset=NOW, recovered=NOW + 60)}
    )
    assert "已于 2023-11-14 22:14:20 UTC 恢复" in status_update(over, "zh", "customers")


def test_an_unknown_incident_is_a_page_that_leads_back(client: TestClient) -> None:
    answer = client.get("/console/incidents/<b>nope")
    assert answer.status_code == 404
    assert "There is no such incident <b>nope" in Page(answer.text).text


# --- lists ---------------------------------------------------------------------------------------


def test_the_journal_is_filtered_and_paged_newest_first(client: TestClient, store: Store) -> None:
    with store.transaction():
        for number in range(250):
            kind = "acted" if number == 0 else "briefed"
            store.journal.append(f"I{number % 2}", kind, "ann", {"reason": f"n{number}."}, NOW)
    text = page(client, "/console/journal").text
    assert text.index("n249.") < text.index("n50.")
    assert "n49." not in text
    assert "n249." not in page(client, "/console/journal?incident=I0").text
    assert "n0." in page(client, "/console/journal?kind=acted").text
    assert "n49." in page(client, "/console/journal?before=51").text


def test_health_says_what_doctor_says(store: Store) -> None:
    found = CheckReport(
        pid=1, data_folder="/data", checks=(Check("metrics", "broken", "no answer", "see to it"),)
    )
    app = create_app(CountedEngine(store, NOW), Door(), examine=lambda: found)
    text = page(TestClient(app, base_url="http://127.0.0.1"), "/console/health").text
    assert "broken metrics no answer see to it" in text


def test_what_nobody_examines_says_so(client: TestClient) -> None:
    assert "Nothing is examined here." in page(client, "/console/health").text


# --- words -------------------------------------------------------------------------------------

LANGUAGE_OF: dict[str, tuple[Language | None, str, str, Language]] = {
    "nothing is said": (None, "", "", "en"),
    "the browser's first that we have": (None, "", "fr;q=0.9, zh-CN, en;q=0.5", "zh"),
    "by weight, not by place": (None, "", "en;q=0.2, zh;q=0.8", "zh"),
    "what was kept": (None, "en", "zh", "en"),
    "what is asked for": ("zh", "en", "en", "zh"),
    "a weight that is none": (None, "", "zh;q=high, en", "en"),
    "a cookie that is none": (None, "xx", "", "en"),
}


@pytest.mark.parametrize("case", LANGUAGE_OF)
def test_the_language_is_the_one_wanted(case: str) -> None:
    asked, kept, accepted, language = LANGUAGE_OF[case]
    assert chosen(asked, kept, accepted) == language


def test_the_language_asked_for_is_kept(client: TestClient, store: Store) -> None:
    store.incidents.open(incident())
    assert "进行中的事件" in page(client, "/?lang=zh").text
    assert "进行中的事件" in page(client, "/").text


def test_every_word_of_the_pages_is_in_the_catalogue_in_both_languages() -> None:
    folder = resources.files("copilot.surfaces.console") / "templates"
    texts = [one.read_text(encoding="utf-8") for one in folder.iterdir()]
    used = {key for text in texts for key in re.findall(r"""\bt\(["']([^"']+)["']\)""", text)}
    assert used
    missing = [
        (k, lang) for k in used for lang in LANGUAGES if word("console", k, lang) == k != "of"
    ]
    assert [one for one in missing if one[1] == "zh"] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_label_of_a_brief_is_known(language: Language) -> None:
    labels = set(re.findall(r"(?m)^(?:\{%.*%\})?\*\*([^*{]+)\*\*", load("brief", language).body))
    labels |= set(
        re.findall(r"\{% (?:if elsewhere|else) %\}\*\*([^*{]+)\*\*", load("brief", language).body)
    )
    assert labels == {word("answer", key, language) for key in ANSWERS}


def test_a_brief_is_cut_at_its_labels() -> None:
    rows = answer_rows(
        "# T\n\n**原因**:很可能:**till**,`x` [E3]\n\n其次:ledger\n\n## 证据\n- **E3**", "zh"
    )
    assert [(one.key, one.label, one.cites, len(one.lines)) for one in rows] == [
        ("cause", "原因", ("E3",), 2)
    ]
    assert [(one.kind, one.text) for one in rows[0].lines[0]] == [
        ("text", "很可能:"), ("strong", "till"), ("text", ","), ("code", "x"), ("text", " "),
        ("cite", "E3"),
    ]  # fmt: skip


# --- hostile text ------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)' x='",
    "</title></dd></details></main><h1>Approved</h1>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "<!--<svg onload=alert(1)>-->",
    "&lt;b&gt;&#60;script&#62;",
    "**bold** `code` [E1] [x](javascript:alert(1))",
    "\u202egnp.exe\u2028\x1b[31m",
]  # fmt: skip


def hostile(store: Store, number: int, text: str) -> None:
    """Store it wherever somebody else's words are shown."""
    mine = plan(text).model_copy(update={"id": f"p{number}", "incident_id": f"I{number}"})
    brief = {"en": BRIEF.replace("till", text)}
    shown = (evidence(1, text), evidence(2, text))
    store.incidents.open(incident(f"I{number}", text, plan=mine, brief=brief, evidence=shown))
    store.approvals.request(mine, "run-1", NOW)
    store.journal.append(f"I{number}", text, text, {"reason": text}, NOW)
    alert = Alert(fingerprint=text, name=text, service=text, starts_at=NOW, source="test")
    kept = store.alerts.accept([alert], NOW).new[0]
    store.alerts.assign_all([Assignment(kept.key, None, "silenced", text)], NOW)


TAGS = {
    "html", "head", "meta", "title", "link", "script", "body", "a", "header", "nav", "span", "p",
    "main", "section", "h1", "h2", "h3", "ol", "ul", "li", "div", "dl", "dt", "dd", "strong", "b",
    "small", "code", "button", "details", "summary", "blockquote", "table", "tbody", "tr", "td",
    "th", "time", "br",
}  # fmt: skip


def test_hostile_text_is_only_text(client: TestClient, store: Store) -> None:
    for number, text in enumerate(HOSTILE):
        hostile(store, number, text)
    paths = ["/", *(f"/console/incidents/I{number}" for number in range(len(HOSTILE)))]
    paths += [f"/console/incidents/{quote(text.replace('/', ''))}" for text in HOSTILE]
    for path in paths:
        found = Page(client.get(path).text)
        assert {tag for tag, _ in found.tags} <= TAGS, path
        scripts = [attrs["src"] for tag, attrs in found.tags if tag == "script"]
        assert [one.partition("?")[0] for one in scripts] == ["/console/static/console.js"], path
        for _, attrs in found.tags:
            assert not [name for name in attrs if name.startswith("on") or name == "style"], path
            assert attrs.get("href", "/")[:1] in "/?#" or attrs["href"] == "data:,", path
        assert "Approved" not in [one.strip() for one in found.words], path
        assert "49" not in found.words, path
        assert not re.search("[\u202a-\u202e\x1b]", found.text), path


# --- how it is sent ----------------------------------------------------------------------------


def test_a_page_runs_our_own_files_and_nothing_else(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_static_files_are_kept_for_as_long_as_they_are_the_same(client: TestClient) -> None:
    links = [a.get("href", a.get("src", "")) for _, a in page(client, "/").tags]
    files = [one for one in links if one.startswith("/console/static/")]
    assert len(files) == 2
    for one in files:
        assert "immutable" in client.get(one).headers["cache-control"]
        assert client.get(one.partition("?")[0]).headers["cache-control"] == "no-cache"
    assert client.get("/console/static/..%2f__init__.py").status_code == 404


def test_a_page_is_small_on_the_wire(client: TestClient, store: Store) -> None:
    for number in range(20):
        store.incidents.open(incident(f"I{number}", f"service-{number}"))
    paths = ["/", "/console/static/console.css", "/console/static/console.js"]
    sent = [client.get(path, headers={"accept-encoding": "gzip"}) for path in paths]
    assert all(one.headers["content-encoding"] == "gzip" for one in sent)
    assert (
        sum(len(gzip.compress(one.content, 5)) for one in sent) < 30 * 1024
    )  # of 150 KiB; a hundred rows cost 4 KiB more


def test_with_a_key_the_pages_ask_for_it(store: Store) -> None:
    app = create_app(CountedEngine(store, NOW), Door(api_key=SecretStr("s3cret")))
    client = TestClient(app, base_url="http://copilot.example")
    refused = client.get("/")
    assert refused.status_code == 401
    assert "Basic" in refused.headers["www-authenticate"]
    assert client.get("/", auth=("anybody", "s3cret")).status_code == 200
