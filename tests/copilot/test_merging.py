"""Incidents that a person merges and splits: whole or not at all, and alerts follow."""

import threading
from contextlib import suppress
from itertools import count

import pytest
from fastapi.testclient import TestClient
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.runtime import Runtime
from sqlalchemy.exc import OperationalError

from copilot.case.engine import Engine
from copilot.case.graph import NODES, build
from copilot.case.merging import MergeWish, SplitWish
from copilot.case.nodes.gather import GatherUpdate, gather
from copilot.case.state import IncidentState
from copilot.case.worker import Worker
from copilot.deps import Deps
from copilot.hands import DryRunRunner
from copilot.sources.deployment import Sources
from copilot.store import NoRightError, PolicyRefusedError, Store, StoreError
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from copilot.testing.store_faults import StoreFaults
from tests.copilot import people_world as world
from tests.copilot.people_world import BASE, NOW, PLAN, QUICK, TOKEN, Door
from tools.playbook_executor import Policy
from tools.types import Alert

empty, store = world.empty, world.bare


class Wall:
    """A clock that a test sets."""

    time = NOW

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def wall() -> Wall:
    return Wall()


def engine_of(store: Store, wall: Wall) -> Engine:
    policy = Policy(approvers=frozenset({"anna"}), responders=frozenset({"rob"}))
    deps = Deps(store, Sources(), wall, DryRunRunner(wall), (), policy=policy)
    numbers = count(1)
    return Engine(
        deps, build(InMemorySaver()), wall=wall, new_id=lambda: f"n{next(numbers)}", owner="t",
        refresh_s=0,
    )  # fmt: skip


@pytest.fixture
def engine(store: Store, wall: Wall) -> Engine:
    """Two incidents: a full disk, and an hour later errors of the till in two zones."""
    made = engine_of(store, wall)
    heard(made, wall, "DiskFull", "ledger")
    wall.time += 3600
    heard(made, wall, "HighErrorRate", "till", zone="a")
    heard(made, wall, "HighErrorRate", "till", zone="b")
    assert [one.id for one in store.incidents.list()] == ["n2", "n1"]
    return made


def heard(engine: Engine, wall: Wall, name: str, service: str, zone: str = "") -> None:
    alert = Alert(
        fingerprint=f"{name}{service}{zone}", name=name, service=service, severity="critical",
        labels={"zone": zone}, starts_at=wall.time, source="test",
    )  # fmt: skip
    engine.accept([alert], wall.time)
    engine.group()


def names(store: Store, incident_id: str) -> list[str]:
    return [one.fingerprint for one in store.alerts.of(incident_id)]


def said(store: Store, incident_id: str) -> list[tuple[str, str]]:
    return [(one.kind, one.by) for one in store.journal.events(incident_id)]


def wish(old: str = "n1", into: str = "n2", by: str = "rob", why: str = "same") -> MergeWish:
    return MergeWish(incident_id=old, into=into, by=by, reason=why)


def test_a_merged_incident_ends_and_its_alerts_are_the_others_now_and_later(
    engine: Engine, store: Store, wall: Wall
) -> None:
    store.approvals.request(PLAN.model_copy(update={"incident_id": "n1"}), "n1.1", NOW)
    assert engine.merge(wish()).id == "n2"
    old, home = store.incidents.require("n1"), store.incidents.require("n2")
    assert (old.status, old.merged_into, home.services) == ("resolved", "n2", ("ledger", "till"))
    assert names(store, "n1") == []
    assert "DiskFullledger" in names(store, "n2")
    assert {run.status for run in store.runs.of("n1")} == {"superseded"}
    assert store.approvals.pending() == ()
    assert said(store, "n1")[-1] == ("merged", "rob")
    assert said(store, "n2")[-1] == ("absorbed", "rob")
    wall.time += 60
    heard(engine, wall, "DiskSlow", "ledger")  # of the group that was merged
    assert "DiskSlowledger" in names(store, "n2")
    assert len(store.incidents.active()) == 1


def test_a_look_that_runs_while_its_incident_is_merged_ends_before_its_next_node(
    engine: Engine, store: Store, wall: Wall
) -> None:
    def merged(state: IncidentState, runtime: Runtime[Deps]) -> GatherUpdate:
        engine.merge(wish())
        worker.keep_leases()
        return gather(state, runtime)

    worker = Worker(engine.deps, build(InMemorySaver(), {**NODES, "gather": merged}), wall, "w")
    run = worker.claim(only="n1.1")
    assert run is not None
    assert worker.advance(run) == "stopped"
    assert "located" not in dict(said(store, "n1"))
    assert [one.status for one in store.runs.of("n1")] == ["superseded"]


def test_chosen_alerts_become_an_incident_that_is_looked_at_anew_and_stays(
    engine: Engine, store: Store, wall: Wall
) -> None:
    chosen = [one for one in store.alerts.decisions("n2") if one.alert.labels["zone"] == "b"]
    made = engine.split(
        SplitWish(incident_id="n2", alerts=(chosen[0].key,), by="rob", reason="another zone")
    )
    assert (made.id, made.split_from, made.services) == ("n3", "n2", ("till",))
    assert (names(store, "n2"), names(store, "n3")) == (
        ["HighErrorRatetilla"],
        ["HighErrorRatetillb"],
    )
    assert [run.status for run in store.runs.of("n3")] == ["accepted"]
    assert said(store, "n3") == [("opened", "rob")]
    assert said(store, "n2")[-1] == ("split", "rob")
    ended = chosen[0].alert.model_copy(update={"status": "resolved", "ends_at": wall.time + 5})
    engine.accept([ended], wall.time + 5)
    engine.group()
    assert store.incidents.require("n3").status == "resolved"  # its end is its own
    assert store.incidents.require("n2").status == "investigating"


def test_what_was_split_off_can_be_merged_back(engine: Engine, store: Store) -> None:
    key = store.alerts.decisions("n2")[1].key
    engine.split(SplitWish(incident_id="n2", alerts=(key,), by="rob", reason="another zone"))
    engine.merge(wish("n3", "n2"))
    assert len(names(store, "n2")) == 2


def acting(store: Store, engine: Engine) -> None:
    store.incidents.update("n1", NOW, status="acting")


def acting_there(store: Store, engine: Engine) -> None:
    store.incidents.update("n2", NOW, status="acting")


def over(store: Store, engine: Engine) -> None:
    store.incidents.update("n1", NOW, status="recovered")


def recorded(store: Store, engine: Engine) -> None:
    store.incidents.update("n1", NOW, origin="/recordings/x")


def nothing(store: Store, engine: Engine) -> None:
    pass


REFUSED = {
    "while a step runs": (acting, wish(), "a step of incident 'n1' runs"),
    "while one of the other runs": (acting_there, wish(), "a step of incident 'n2' runs"),
    "of what is over": (over, wish(), "'n1' is recovered: it is over"),
    "of another world": (recorded, wish(), "of a recording"),
    "with itself": (nothing, wish("n1", "n1"), "into itself"),
    "without a reason": (nothing, wish(why=" "), "say why"),
    "by who only looks on": (nothing, wish(by="eve"), "'eve' may not merge"),
    "with nothing": (nothing, wish(into="n9"), "no incident 'n9'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_merge_is_refused(case: str, engine: Engine, store: Store) -> None:
    before, given, problem = REFUSED[case]
    before(store, engine)
    with pytest.raises((PolicyRefusedError, NoRightError, StoreError), match=problem):
        engine.merge(given)
    assert store.incidents.require("n1").merged_into == ""
    assert names(store, "n1") == ["DiskFullledger"]


@pytest.mark.parametrize(("chosen", "problem"), [("none", "no alert"), ("all", "nothing would")])
def test_a_split_takes_some_alerts_and_leaves_some(
    chosen: str, problem: str, engine: Engine, store: Store
) -> None:
    keys = [one.key for one in store.alerts.decisions("n2")] if chosen == "all" else []
    with pytest.raises(PolicyRefusedError, match=problem):
        engine.split(SplitWish(incident_id="n2", alerts=tuple(keys), by="rob", reason="x"))
    assert len(store.incidents.list()) == 2


@pytest.mark.parametrize("verb", ["merge", "split"])
def test_cut_off_at_whatever_statement_it_has_not_happened(
    verb: str, engine: Engine, store: Store
) -> None:
    key = store.alerts.decisions("n2")[1].key
    parted = SplitWish(incident_id="n2", alerts=(key,), by="rob", reason="x")
    faults = StoreFaults(store, {"cut"})
    faults.each_once()

    def seen() -> object:
        return [(one.id, one.status, one.services, names(store, one.id), said(store, one.id),
                 store.runs.of(one.id)) for one in store.incidents.list()]  # fmt: skip

    before, done = seen(), False

    def tried() -> None:
        nonlocal done
        with suppress(StoreError, OperationalError):
            engine.merge(wish()) if verb == "merge" else engine.split(parted)
            done = True

    while not done:
        assert seen() == before
        cut = threading.Thread(target=tried, name="cut")
        cut.start()
        cut.join()
    assert len(faults.failed) > 5
    assert seen() != before


def test_on_the_page_and_by_the_api(engine: Engine, store: Store, wall: Wall) -> None:
    access = Access(store, TOKEN, operator="root", clock=wall.now, passwords=QUICK)
    client = TestClient(
        create_app(engine, Door(), access=access), base_url=BASE, follow_redirects=False
    )
    client.post("/console/sign-in", data={"name": "anna", "token": TOKEN})
    page = client.get("/console/incidents/n2?lang=zh").text
    assert "并入其他事件" in page
    assert "拆分告警" in page
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    key = store.alerts.decisions("n2")[1].key
    form = {"csrf": csrf, f"alert.{key}": "1", "reason": "another zone"}
    assert client.post("/console/incidents/n2/split", data=form).status_code == 303
    assert "拆分自" in client.get("/console/incidents/n3").text
    many = {"alerts": [*range(201)], "by": "rob", "reason": "no"}
    admin = {"authorization": f"Bearer {TOKEN}"}
    refused = client.post("/incidents/n2/split", json=many, headers=admin)
    assert (refused.status_code, "at most 200" in refused.text) == (422, True)
    told = client.post(
        "/incidents/n3/merge", json={"into": "n1", "by": "rob", "reason": "no"},
        headers=admin,
    )  # fmt: skip
    assert told.json() == {
        "status": "recorded", "incident": "n1", "incident_status": "investigating",
    }  # fmt: skip
    over = client.get("/console/incidents/n3?lang=en").text
    assert 'Merged: goes on in <a href="/console/incidents/n1">' in over
