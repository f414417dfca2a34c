"""Writes docs/prompts.md: what each question to a model costs, and which sentences are refused.

`python -m docs.prompts`, without a model; an integration test holds the page to it.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from copilot.case.commits import CommitQuestion
from copilot.knowledge import Memory
from copilot.model.estimates import estimated
from copilot.model.fence import Fence
from copilot.model.tie_break import question
from copilot.settings import Settings
from copilot.sources.recorded import RecordedBundle
from copilot.surfaces.chat import Question
from copilot.surfaces.commands.chat_wiring import local_chat_service
from copilot.testing.policies import GoodPolicy, PolicyModel
from copilot.types.model_io import ModelRequest
from copilot.wiring import recorded_sources
from docs.sheets import table
from evals.localization.cases import RECORDINGS, read
from evals.reasoning.investigate import Investigation, Page, investigate
from evals.reasoning.sentences import TRUE, sentence_cases, sentence_figures, sentence_table
from evals.worked_incident import work_on
from knowledge_base import documents
from prompts import LANGUAGES, Language, load
from tools.change_inspector import CommitCase
from tools.clusterer import UncertainPair
from tools.types import Alert, AlertGroup, Commit, Topology

PAGE = Path(__file__).parent / "prompts.md"
RECORDING = "lab-851d38"
"""The pool of cart is exhausted; 32 items of evidence and a choice of playbooks."""

ASKED: dict[Language, tuple[str, str]] = {
    "en": ("how bad is it", "does the thing of the basket squeak"),
    "zh": ("影响多大", "那个篮子的东西是不是在吱吱叫"),
}
"""One question that is understood without a model, and one that the model is asked to read."""

NONCE = "5eed"
DIFF = "-maximum_pool_size: 20\n+maximum_pool_size: 2\n-timeout_ms: 900\n+timeout_ms: 800"
SORTS = (
    *("triage", "diagnose", "read_commits", "plan", "report_narrative"),
    *("chat_read", "chat_tools", "chat_write"),
)
"""Prompts in the order in which they may be asked; each is told by how it begins."""


def requests(language: Language, folder: Path) -> dict[str, ModelRequest]:
    """The first request of each sort on the recording, by the name of its prompt."""
    case = next(one for one in read(RECORDINGS) if one.folder.name == RECORDING)
    bundle, model = RecordedBundle(case.folder), PolicyModel(GoodPolicy())
    sources, page, memory = (
        recorded_sources(bundle),
        Page.of(bundle, case.answer),
        Memory(documents),
    )
    ran = investigate(sources, bundle, page, model=model, memory=memory, language=language)
    asked = [*model.requests, _triage(page.first, language), _changes(ran, language)]
    settings = Settings(data_dir=folder, model_use="off", language=language)
    incident = work_on(settings, case.folder).id
    with local_chat_service(settings) as desk:
        desk.model = model
        model.requests.clear()
        for said in ASKED[language]:
            desk.ask(Question(text=said, incident_id=incident))
    found: dict[str, ModelRequest] = {}
    for one in (*asked, *model.requests):
        found.setdefault(_sort(one, language), one)
    return found


def _sort(request: ModelRequest, language: Language) -> str:
    """The prompt that a request begins with."""
    begins = {load(name, language).body.strip()[:24]: name for name in SORTS}
    return begins[request.messages[0].content[:24]]


def _triage(alert: Alert, language: Language) -> ModelRequest:
    """A made-up doubt: an alert of a disk, and the incident that this alert opened."""
    group = AlertGroup(
        id="g",
        title=alert.name,
        fingerprints=(alert.fingerprint,),
        services=(alert.service,),
        first_service=alert.service,
        started_at=alert.starts_at,
        severity=alert.severity,
    )
    other = Alert(fingerprint="d", name="DiskSlow", service="reports", starts_at=alert.starts_at)
    doubt = UncertainPair(
        alert=other, group=group, gap=40.0, rules="merge", reason="it began within 60 s"
    )
    return question(doubt, language, Fence(NONCE))[0]


def _changes(ran: Investigation, language: Language) -> ModelRequest:
    """Two made-up changed lines that the rules alone do not judge."""
    at = ran.onset.at - 600
    commit = Commit(sha="c0ffee", at=at, files=("cart/db.yaml",), diff=DIFF)
    case = CommitCase([commit], [], [], [], ["cart"], Topology(), ran.onset.at)
    asked = CommitQuestion.of(
        case,
        ran.incident.evidence,
        ran.incident.ranking,
        PolicyModel(GoodPolicy()),
        language,
        NONCE,
    )
    assert asked is not None
    return asked.request


def sizes() -> str:
    """Tokens by our estimate and characters: what is the same each time, what is not, the cap."""
    rows = []
    for language in LANGUAGES:
        with TemporaryDirectory() as folder:
            asked = requests(language, Path(folder))
        for name in SORTS:
            texts = _undrawn([one.content for one in asked[name].messages])
            same, rest = (texts[0], texts[1]) if len(texts) > 1 else ("", texts[0])
            cap = str(asked[name].max_tokens)
            rows.append((f"{name}, {language}", *_size(same), *_size(rest), cap))
    columns = ("prompt", "fixed: tokens", "characters", "this incident: tokens", "characters")
    return table((*columns, "reply: most tokens"), rows)


def _undrawn(texts: Sequence[str]) -> list[str]:
    """The texts with one word for each name that is drawn at random, so that sizes stay."""
    drawn = re.findall(r"<<data (\w+) |\binc-([0-9a-f]{8})\b", "\n".join(texts))
    for one in {name for names in drawn for name in names if name}:
        texts = [text.replace(one, NONCE) for text in texts]
    return list(texts)


def _size(text: str) -> tuple[str, str]:
    return str(estimated(text)), str(len(text))


def examples() -> Iterator[str]:
    """Of each flaw and language the first sentence of the corpus, and what the checks say of it."""
    seen: set[tuple[str, str, bool]] = set()
    rows = []
    for one in sentence_cases():
        key = one.flaw, one.language, one.shown
        expected = one.shown == (one.flaw == TRUE)
        if key not in seen and not one.part and expected:
            seen.add(key)
            rows.append((one.flaw, one.text, one.problems[0] if one.problems else "shown"))
    yield table(("flaw", "sentence", "verdict"), sorted(rows, key=lambda row: row[0] == TRUE))
    lost = [one for one in sentence_cases() if not one.part and one.shown != (one.flaw == TRUE)]
    yield f"Judged wrongly, all {len(lost)} of them:"
    yield table(
        ("flaw", "sentence", "verdict"),
        [(one.flaw, one.text, one.problems[0] if one.problems else "shown") for one in lost],
    )


def page() -> str:
    """All of it; about 20 seconds of processor."""
    found, figures = sentence_table(sentence_cases()), sentence_figures(sentence_cases())
    told = ", ".join(f"`{name}` {value:.3f}" for name, value in figures.items())
    parts = [HEAD, sizes(), SENTENCES, told + ".", table(found.columns, found.rows), *examples()]
    return "\n\n".join(parts) + "\n"


HEAD = """# Prompts and sentences

Written by `python -m docs.prompts`, without a model.

## What a question costs

Tokens by our own estimate, which is never below Qwen's count ([model](decisions/model.md)), on a
recording that ships (the pool of cart is exhausted); `triage` and `read_commits` about an alert and
two changed lines made up for it. *Fixed* is the same for every incident, so that a server can keep
it; the schema of a reply is a grammar and costs none."""
SENTENCES = """## Which sentences a reader sees

A corpus of true and false sentences over cited evidence (`evals/reasoning/sentences.yaml`),
committed before the checks; *adversarial* and *fresh* were written after them, by who knew them
([why so](decisions/reasoning.md)). How many were judged right, true ones shown and false ones
refused:"""

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
