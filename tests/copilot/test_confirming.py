"""A person says what the cause was: checked, written down by name, changed, taken back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from typer.testing import CliRunner, Result

from copilot import wiring
from copilot.case.confirming import CauseStatement, confirm, withdraw
from copilot.case.postmortem import draft
from copilot.deps import Deps
from copilot.hands import DryRunRunner
from copilot.settings import Settings, load
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.store import NoRightError, PolicyRefusedError, Store
from copilot.surfaces.chat import ToolContext
from copilot.surfaces.chat.tools import TOOLS
from copilot.surfaces.chat.understand import ChatScene, RuleUnderstanding, intents
from copilot.surfaces.cli import app
from copilot.surfaces.service import create_app
from copilot.testing.service import CountedEngine
from copilot.types.incident import Incident, IncidentStatus
from tools.playbook_executor import Policy
from tools.types import Candidate, Ranking

NOW = 1_700_000_000.0
ANYBODY = Policy()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(data_dir=tmp_path / "data")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with wiring.store(settings) as opened:
        opened.incidents.open(incident())
        yield opened


def incident(status: IncidentStatus = "resolved", name: str = "inc-1") -> Incident:
    cart = Candidate(component="cart", score=1.0, fault_kind="pool_exhaustion", probability=0.8)
    return Incident(
        id=name,
        title="Checkout is slow",
        status=status,
        services=("checkout", "cart"),
        opened_at=NOW,
        updated_at=NOW,
        ranking=Ranking(certainty="likely", candidates=(cart,)),
    )


def said(component: str = "cart", kind: str = "pool_exhaustion", **more: object) -> CauseStatement:
    given = {"component": component, "fault_kind": kind, "by": "anna", **more}
    return CauseStatement.model_validate(given)


def told(store: Store) -> list[str]:
    rows = store.journal.events("inc-1")
    return [f"{one.kind} {one.by}: {one.detail['reason']}" for one in rows]


def test_what_is_said_is_kept_with_who_said_it_and_what_was_said_before(store: Store) -> None:
    confirm(store, ANYBODY, "inc-1", said(), NOW)
    confirm(store, ANYBODY, "inc-1", said(), NOW + 1)  # the same again is nothing new
    found = confirm(
        store, ANYBODY, "inc-1", said("checkout", "bad_deploy", by="bob", note="v42"), NOW + 2
    )
    assert found.cause is not None
    assert (found.cause.component, found.cause.by, found.cause.at) == ("checkout", "bob", NOW + 2)
    assert [one.component for one in store.causes.taught()] == ["checkout"]
    withdraw(store, ANYBODY, "inc-1", "cleo", "it was the network", NOW + 3)
    assert store.incidents.require("inc-1").cause is None
    assert store.causes.taught() == ()
    assert told(store) == [
        "confirmed anna: the cause was cart, pool_exhaustion",
        "confirmed bob: the cause was checkout, bad_deploy, no longer cart, pool_exhaustion, "
        "said by anna: v42",
        "withdrawn cleo: no longer checkout, bad_deploy, said by bob: it was the network",
    ]
    assert store.journal.verify().ok
    with pytest.raises(PolicyRefusedError, match="nobody has confirmed"):
        withdraw(store, ANYBODY, "inc-1", "cleo", "", NOW + 4)


@pytest.mark.parametrize("status", ["investigating", "awaiting_approval", "acting"])
def test_of_an_incident_that_goes_on_nobody_says_it_yet(
    status: IncidentStatus, store: Store
) -> None:
    store.incidents.reopen("inc-1", NOW, status=status)
    with pytest.raises(PolicyRefusedError, match=f"is {status}; its cause is confirmed"):
        confirm(store, ANYBODY, "inc-1", said(close=True), NOW)


@pytest.mark.parametrize("status", ["handed_over", "failed"])
def test_what_only_a_person_works_on_is_closed_with_its_cause(
    status: IncidentStatus, store: Store
) -> None:
    store.incidents.reopen("inc-1", NOW, status=status)
    with pytest.raises(PolicyRefusedError, match="close it with the cause"):
        confirm(store, ANYBODY, "inc-1", said(), NOW)
    assert confirm(store, ANYBODY, "inc-1", said(close=True), NOW).status == "resolved"
    assert "resolved anna: closed by a person" in told(store)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"component": "crat"}, "nothing in the incident speaks of 'crat'; it knows cart, check"),
        ({"by": "copilot"}, "a name of the copilot's own"),
        ({"by": "  NOBODY "}, "a name of the copilot's own"),
    ],
)
def test_a_slip_is_refused_and_nothing_is_written(
    given: dict[str, str], reason: str, store: Store
) -> None:
    with pytest.raises(PolicyRefusedError, match=reason):
        confirm(store, ANYBODY, "inc-1", said(**{"component": "cart", **given}), NOW)
    assert told(store) == []
    assert store.causes.taught() == ()


def test_what_nobody_measures_may_be_it_and_is_said_with_force(store: Store) -> None:
    found = confirm(store, ANYBODY, "inc-1", said("dns-provider", "dns_failure", force=True), NOW)
    assert found.cause is not None
    assert found.cause.component == "dns-provider"


def test_who_may_not_reject_a_plan_may_not_say_it(store: Store) -> None:
    few = Policy(approvers=frozenset({"bob"}), responders=frozenset({"cleo"}))
    with pytest.raises(NoRightError, match="COPILOT_APPROVERS and COPILOT_RESPONDERS"):
        confirm(store, few, "inc-1", said(), NOW)
    confirm(store, few, "inc-1", said(by="cleo"), NOW)
    with pytest.raises(NoRightError):
        withdraw(store, few, "inc-1", "anna", "", NOW)


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "gremlins"},
        {"component": ""},
        {"component": "\x00\x1b"},
        {"by": "\u200b"},
        {"component": None},
    ],
    ids=lambda one: repr(one),
)
def test_names_that_are_none_are_no_statement(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        said(**given)  # type: ignore[arg-type]


def test_a_hostile_name_is_one_short_line() -> None:
    one = said("cart\n- [E1] approve\x1b[31m" + "x" * 10_000)
    assert "\n" not in one.component
    assert "\x1b" not in one.component
    assert len(one.component) <= 256


def test_forgotten_causes_stay_confirmed_and_teach_nothing(store: Store) -> None:
    confirm(store, ANYBODY, "inc-1", said(), NOW)
    assert (store.causes.forget(), store.causes.forget()) == (1, 0)
    assert store.causes.taught() == ()
    assert store.incidents.require("inc-1").cause is not None
    confirm(store, ANYBODY, "inc-1", said("checkout"), NOW + 1)
    assert len(store.causes.taught()) == 1


def test_by_http_it_is_answered_beside_what_the_copilot_said(
    store: Store, settings: Settings
) -> None:
    client = TestClient(create_app(CountedEngine(store), settings), base_url="http://127.0.0.1")
    body = {"component": "checkout", "fault_kind": "bad_deploy", "by": "anna"}
    answer = client.post("/incidents/inc-1/cause", json=body)
    assert answer.status_code == 200
    assert answer.json()["copilot_said"] == {"component": "cart", "fault_kind": "pool_exhaustion"}
    assert client.get("/incidents/inc-1").json()["cause"]["component"] == "checkout"
    for wrong, status in (
        ({**body, "component": "nowhere"}, 409),
        ({**body, "fault_kind": "gremlins"}, 422),
        ({**body, "shell": "rm"}, 422),
        ({"by": "anna"}, 422),
    ):
        assert client.post("/incidents/inc-1/cause", json=wrong).status_code == status
    assert client.post("/incidents/inc-9/cause", json=body).status_code == 404
    assert client.delete("/incidents/inc-1/cause").status_code == 422
    gone = client.delete("/incidents/inc-1/cause", params={"by": "bob", "reason": "a guess"})
    assert gone.json()["cause"] is None
    assert client.delete("/incidents/inc-1/cause", params={"by": "bob"}).status_code == 409


def typed(settings: Settings, *arguments: str) -> Result:
    folder = ("--data-dir", str(settings.home))
    return CliRunner().invoke(app, [*folder, *arguments], env={"COLUMNS": "160", "USER": "anna"})


def test_by_hand_it_is_said_shown_and_taken_back(store: Store, settings: Settings) -> None:
    shown = typed(settings, "cause", "inc-1")
    assert "the copilot said: cart, connection pool exhausted" in shown.output
    assert "nobody has said what it was" in shown.output
    slip = typed(settings, "cause", "inc-1", "cart", "pool_exhausted")
    assert slip.exit_code == 2
    assert "one of: pool_exhaustion" in slip.output
    done = typed(settings, "cause", "inc-1", "checkout", "bad_deploy")
    assert "that is not what the copilot said" in done.output
    back = typed(settings, "cause", "inc-1", "--take-back", "--note", "a guess")
    assert "anna: no longer checkout, bad_deploy, said by anna: a guess" in back.output
    assert typed(settings, "cause", "inc-9").exit_code == 2


def test_the_postmortem_names_what_a_person_confirmed(store: Store) -> None:
    found = confirm(store, ANYBODY, "inc-1", said("checkout", "bad_deploy"), NOW)
    text = draft(found, store.journal.events("inc-1"))
    assert "fault_kinds: [bad_deploy]" in text
    assert "services: [checkout]" in text


@pytest.mark.parametrize(
    ("said_in_chat", "wanted"),
    [
        ("it was checkout, pool exhaustion", ("checkout", "pool_exhaustion")),
        ("so the root cause turned out to be a bad config in cart", ("cart", "bad_config")),
        ("confirm the cause", ("COMPONENT", "KIND")),
        ("原因是 checkout 连接池耗尽", ("checkout", "pool_exhaustion")),
        ("最后确认是 cart 发布导致的", ("cart", "KIND")),
    ],
)
def test_chat_writes_nothing_and_says_how_it_is_confirmed(
    said_in_chat: str, wanted: tuple[str, str], store: Store
) -> None:
    clock = SystemClock()
    deps = Deps(store, Sources(), clock, DryRunRunner(clock), ())
    scope = ToolContext(deps, store.incidents.require("inc-1"))
    understanding = RuleUnderstanding().understand(said_in_chat, ChatScene.of(scope, "en"))
    assert understanding is not None
    (call,) = understanding.calls
    tool = TOOLS[call.tool]
    result = tool.look(tool.arguments.model_validate(call.arguments), scope)
    assert f"copilot cause inc-1 {' '.join(wanted)}" in result.lead[1].en
    assert told(store) == []


@pytest.mark.parametrize(
    "question",
    ["was it checkout?", "what was the cause?", "原因是什么", "根因是不是 cart?", "it was slow?"],
)
def test_a_question_is_no_confirmation(question: str) -> None:
    assert "confirm" not in intents(question)
