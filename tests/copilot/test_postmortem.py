"""A closed incident becomes a draft, a person accepts it, and the next one like it recalls it."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from copilot import wiring
from copilot.case.engine import Engine
from copilot.case.postmortem import NotClosedError, draft
from copilot.knowledge import Cause, Knowledge, Library
from copilot.settings import Settings, load
from copilot.surfaces.cli import app
from copilot.surfaces.service import create_app
from copilot.types.incident import Incident
from evals.simulator import scenario
from evals.torture.survival import DurableWorld
from knowledge_base import parse_document
from tools.types import Approval, Window

SCENARIO = scenario("memory_pressure", 5)
FAULT = SCENARIO.start + SCENARIO.quiet_s
IDS = frozenset({"restart"})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Incident]:
    """A data folder in which one simulated incident was recovered by an approved plan."""
    folder = tmp_path_factory.mktemp("home")
    world = DurableWorld(SCENARIO, folder / "world.jsonl")
    world.sleep(max(0.0, FAULT + 120 - world.now()))
    settings = load(data_dir=folder / "data")
    with wiring.engine(
        settings, "test", sources=world.sources, clock=world, runner=world
    ) as engine:
        engine.accept(world.source.alerts(Window(start=SCENARIO.start, end=FAULT + 120)), FAULT)
        engine.drain()
        approve(engine)
        engine.drain()
        (incident,) = engine.store.incidents.list()
    assert incident.status == "recovered"
    return settings, incident


def approve(engine: Engine) -> None:
    (request,) = engine.store.approvals.pending()
    engine.decide(
        Approval(
            plan_id=request.plan.id,
            digest=request.plan.digest,
            decision="approve",
            approver="anna",
            decided_at=engine.now(),
        )
    )


def typed(settings: Settings, *arguments: str, answer: str = "") -> Result:
    folder = ("--data-dir", str(settings.home))
    return CliRunner().invoke(app, [*folder, *arguments], input=answer, env={"COLUMNS": "160"})


def test_the_draft_is_a_document_of_the_knowledge_base(home: tuple[Settings, Incident]) -> None:
    settings, incident = home
    said = typed(settings, "postmortem", incident.id)
    document = parse_document(said.output, "draft", IDS)
    assert (document.kind, document.trust) == ("postmortem", "reported")
    assert document.fault_kinds == ("memory_pressure",)
    assert document.playbooks == ("restart",)
    assert document.services == SCENARIO.faults[0].causes
    assert document.origin is not None
    assert document.origin.url == f"incident:{incident.id}"
    assert "内存" in document.title.zh
    assert "approved by anna" in said.output
    assert "[E1]" in said.output


def test_accepted_it_is_recalled_at_the_next_one_and_its_fix_only_for_the_same_cause(
    home: tuple[Settings, Incident], tmp_path: Path
) -> None:
    settings, incident = home
    out = tmp_path / "draft.md"
    refused = typed(settings, "postmortem", incident.id, "--accept", "--by", "bob", answer="n\n")
    assert refused.exit_code == 1
    assert Library(settings.home / "knowledge").own() == ()
    command = ("postmortem", incident.id, "--accept", "--by", "bob", "--out", str(out))
    assert typed(settings, *command, answer="y\n").exit_code == 0
    (own,) = Library(settings.home / "knowledge").own()
    assert own == parse_document(out.read_text(encoding="utf-8"), "draft", IDS)
    knowledge = Knowledge(wiring.library(settings).documents())
    seen, (service,) = own.symptoms.en, own.services

    def recalled(kind: str) -> tuple[str, ...] | None:
        cause = Cause.model_validate({"fault_kind": kind, "component": service})
        found = {one.hit.document.id: one for one in knowledge.recall(seen, cause, limit=4)}
        return found[own.id].playbooks if own.id in found else None

    assert recalled("memory_pressure") == ("restart",)
    assert not recalled("certificate_expired")
    journal = typed(settings, "journal", "export").output
    assert '"accepted"' in journal
    assert '"bob"' in journal


def test_by_http_it_is_markdown_and_an_open_incident_has_none(
    home: tuple[Settings, Incident],
) -> None:
    settings, incident = home
    with wiring.engine(settings, "test") as engine:
        client = TestClient(create_app(engine, settings), base_url="http://127.0.0.1")
        answer = client.get(f"/incidents/{incident.id}/postmortem", params={"lang": "zh"})
        unknown = client.get("/incidents/inc-none/postmortem")
    assert answer.headers["content-type"].startswith("text/markdown")
    assert "## 原因" in answer.text
    assert parse_document(answer.text, "draft", IDS).playbooks == ("restart",)
    assert unknown.status_code == 404
    opened = incident.model_copy(update={"status": "acting"})
    with pytest.raises(NotClosedError, match="is acting; a postmortem is drafted once"):
        draft(opened, ())


def test_what_is_secret_or_not_known_is_not_in_it(home: tuple[Settings, Incident]) -> None:
    _, incident = home
    told = incident.model_copy(update={"title": "login failed password=hunter2 for a@b.example"})
    text = draft(told, ())
    assert "hunter2" not in text
    assert "a@b.example" not in text
    dry = tuple(one.model_copy(update={"dry_run": True}) for one in incident.results)
    assert "playbooks: []" in draft(incident.model_copy(update={"results": dry}), ())
