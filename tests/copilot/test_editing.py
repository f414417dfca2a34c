"""A person changes a plan that waits: a new digest, the old one void, the same gates."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from copilot.case.editing import Edit, NoSuchWayError, NothingChangedError
from copilot.knowledge import Library, Memory
from copilot.settings import load
from copilot.store import NoRightError, WrongDigestError
from copilot.surfaces.console.card import Bookshelf
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from knowledge_base import playbooks
from tests.copilot.people_world import BASE, QUICK, TOKEN
from tests.copilot.test_rights import LISTED, RESIZE, Desk, desk
from tools.playbook_executor import ParameterError, Policy


def wanted(one: Desk, size: int = 77, editor: str = "anna", digest: str = "") -> Edit:
    return Edit(
        plan_id=one.plan.id,
        digest=digest or one.plan.digest,
        parameters={"pool_size": size},
        editor=editor,
        reason="the database has room for that",
    )


def test_an_edited_plan_has_its_own_digest_and_runs_as_edited(tmp_path: Path) -> None:
    with desk(tmp_path, Policy()) as one:
        one.look()
        before = one.plan
        after = one.engine.edit(wanted(one)).plan
        one.engine.drain()
        assert after.digest != before.digest
        assert one.plan == after
        assert [r.plan.id for r in one.engine.store.approvals.pending()] == [after.id]
        ((by, said),) = one.said("edited")
        was = before.parameters["pool_size"]
        assert (by, said) == ("anna", f"pool_size {was} -> 77; the database has room for that")
        one.answer("bob")
        assert one.incident.results[0].key.startswith(f"inc-1:{after.digest}:")
        assert one.incident.results[0].ok
        assert "77" in one.incident.results[0].output


def test_the_old_digest_cannot_be_approved_any_longer(tmp_path: Path) -> None:
    with desk(tmp_path, Policy()) as one:
        one.look()
        before = one.plan
        one.engine.edit(wanted(one))
        one.engine.drain()
        door = create_app(one.engine, load())
        client = TestClient(door, base_url="http://127.0.0.1")
        answer = {
            "plan_id": before.id,
            "digest": before.digest,
            "decision": "approve",
            "approver": "bob",
        }
        refused = client.post("/incidents/inc-1/approval", json=answer)
        assert refused.status_code == 409
        assert "was replaced" in refused.json()["detail"]
        assert one.world.actions() == []


def test_by_http_an_edit_returns_the_new_digest_and_refuses_what_is_out_of_bounds(
    tmp_path: Path,
) -> None:
    with desk(tmp_path, Policy()) as one:
        one.look()
        client = TestClient(create_app(one.engine, load()), base_url="http://127.0.0.1")
        body = wanted(one).model_dump(mode="json")
        too_much = client.post(
            "/incidents/inc-1/plan", json={**body, "parameters": {"pool_size": 9999}}
        )
        assert too_much.status_code == 422
        assert "9999 is outside of 2.0 to 500.0" in too_much.json()["detail"]
        edited = client.post("/incidents/inc-1/plan", json=body)
        assert edited.json()["replaces"] == body["plan_id"]
        one.engine.drain()
        assert edited.json()["digest"] == one.plan.digest
        assert client.post("/incidents/inc-9/plan", json=body).status_code == 404


def test_what_may_not_be_edited_is_refused_with_the_reason(tmp_path: Path) -> None:
    with desk(tmp_path, LISTED) as one:
        one.look()
        size = one.plan.parameters["pool_size"]
        assert isinstance(size, int)
        with pytest.raises(NoRightError, match="'eve' may not edit"):
            one.engine.edit(wanted(one, editor="eve"))
        with pytest.raises(WrongDigestError):
            one.engine.edit(wanted(one, digest="0" * 64))
        with pytest.raises(NothingChangedError):
            one.engine.edit(wanted(one, size=size))
        with pytest.raises(ParameterError, match="not declared"):
            one.engine.edit(wanted(one).model_copy(update={"parameters": {"argv": "reboot"}}))
        assert one.said("edited") == []


(RESTART,) = (one for one in playbooks() if one.id == "restart")
HARDLY_WORSE = RESIZE.applies[0].model_copy(update={"preference": 55, "effect": "buys_time"})
TWO = (RESIZE, RESTART.model_copy(update={"applies": (HARDLY_WORSE,)}))


def other(one: Desk, playbook_id: str, digest: str = "") -> Edit:
    plan = one.plan
    told = {"plan_id": plan.id, "digest": digest or plan.digest, "editor": "anna"}
    return Edit(**told, playbook_id=playbook_id)


def test_the_other_way_is_taken_by_a_person_and_has_a_digest_of_its_own(tmp_path: Path) -> None:
    with desk(tmp_path, Policy(), among=TWO) as one:
        one.look()
        first = one.plan
        assert first.another is not None
        assert first.another.title.zh in one.incident.brief["zh"]
        assert first.another.why.en in one.incident.brief["en"]
        one.engine.edit(other(one, first.another.playbook_id))
        one.engine.drain()
        assert one.plan.playbook_id == first.another.playbook_id
        assert one.plan.digest != first.digest
        assert one.plan.another is not None
        assert one.plan.another.playbook_id == first.playbook_id
        assert one.said("edited") == [
            ("anna", f"{first.playbook_id} -> {first.another.playbook_id}")
        ]
        one.engine.edit(other(one, first.playbook_id))
        one.engine.drain()
        assert one.plan.steps == first.steps
        one.answer("bob")
        assert one.incident.results[0].ok


def test_a_way_that_is_not_shown_is_refused(tmp_path: Path) -> None:
    with desk(tmp_path, Policy(), among=TWO) as one:
        one.look()
        way = one.plan.another
        assert way is not None
        with pytest.raises(NoSuchWayError, match=f"shown beside it is '{way.playbook_id}'"):
            one.engine.edit(other(one, "rollback"))
        with pytest.raises(WrongDigestError):
            one.engine.edit(other(one, way.playbook_id, digest="0" * 64))
        with pytest.raises(NothingChangedError):
            one.engine.edit(other(one, ""))
        wrong = other(one, way.playbook_id).model_copy(update={"parameters": {"argv": "x"}})
        with pytest.raises(ParameterError, match="not declared"):
            one.engine.edit(wrong)
        assert one.said("edited") == []


def test_with_four_eyes_whoever_edited_does_not_approve(tmp_path: Path) -> None:
    with desk(tmp_path, Policy(four_eyes=True)) as one:
        one.look()
        one.engine.edit(wanted(one))
        one.engine.drain()
        with pytest.raises(NoRightError, match="somebody else has to approve"):
            one.answer("Anna ")
        assert one.world.actions() == []
        one.answer("bob")
        assert len(one.world.actions()) == 1


def test_on_the_page_values_are_changed_within_their_bounds(tmp_path: Path) -> None:
    with desk(tmp_path, Policy(), among=TWO) as one:
        one.look()
        store, before = one.engine.store, one.plan
        books = {book.id: book for book in one.engine.deps.playbooks}
        shelf = Bookshelf(Library(tmp_path / "known"), Memory(lambda: ()), books, {})
        access = Access(store, TOKEN, operator="root", clock=one.world.now, passwords=QUICK)
        app = create_app(one.engine, load(), access=access, shelf=shelf)
        client = TestClient(app, base_url=BASE, follow_redirects=False)
        client.post("/console/sign-in", data={"name": "anna", "token": TOKEN})
        text = client.get("/console/incidents/inc-1?lang=zh").text
        assert "修改参数" in text
        assert 'name="value.pool_size" type="number"' in text
        assert 'min="2" max="500" step="1"' in text
        assert 'name="value.service"' not in text
        assert before.another is not None
        assert before.another.why.zh in text
        assert f'name="playbook_id" value="{before.another.playbook_id}"' in text
        csrf = text.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": csrf, "plan_id": before.id, "digest": before.digest}
        where = "/console/incidents/inc-1/plan"
        for size, said in (("9999", "9999 is outside of 2.0 to 500.0"), ("many", "not of type")):
            refused = client.post(where, data={**form, "value.pool_size": size})
            assert refused.status_code == 409
            assert said in refused.text
        assert one.plan == before
        assert client.post(where, data={**form, "value.pool_size": "77"}).status_code == 303
        assert one.plan.parameters["pool_size"] == 77
        assert one.plan.digest != before.digest
        swap = {**form, "plan_id": one.plan.id, "digest": one.plan.digest}
        swap |= {"playbook_id": before.another.playbook_id}
        assert client.post(where, data=swap).status_code == 303
        assert one.plan.playbook_id == before.another.playbook_id
        late = client.post(
            "/console/incidents/inc-1/decision", data={**form, "decision": "approve"}
        )
        assert late.status_code == 409
        assert one.said("edited")[0][0] == "anna"
