"""A plan is bound to its digest, and one approved step runs at a time."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_base import playbooks
from tools.playbook_executor import (
    ApprovalError,
    Policy,
    PreconditionError,
    StepError,
    digest,
    fill,
    one_person,
    run_step,
    step_key,
)
from tools.types import Approval, Plan, PlanStep, StepResult

BY_ID = {playbook.id: playbook for playbook in playbooks()}
NOW = 1_772_546_400.0
FACTS = {"replicas:cart": 3.0}


class Recorder:
    """A runner that succeeds, fails on request, and remembers what it was given."""

    def __init__(self, ok: bool = True) -> None:
        self.ran: list[tuple[str, PlanStep]] = []
        self._ok = ok

    def run(self, step: PlanStep, key: str) -> StepResult:
        self.ran.append((key, step))
        error = "" if self._ok else "broken"
        return StepResult(key=key, ok=self._ok, error=error, started_at=NOW, ended_at=NOW)


def scale_out(incident_id: str = "inc-1") -> Plan:
    values = {"service": "cart", "replicas": 5, "replicas_before": 3}
    return fill(BY_ID["scale-out"], values, incident_id, "cart", ("E1",), NOW, 900.0)


def drain() -> Plan:
    return fill(BY_ID["drain-node"], {"node": "node-1"}, "inc-1", "cart", (), NOW, 900.0)


def approval(plan: Plan, approver: str = "ann") -> Approval:
    return Approval(
        plan_id=plan.id,
        digest=plan.digest,
        decision="approve",
        approver=approver,
        decided_at=NOW + 10,
    )


def test_an_approved_step_is_run_once_with_its_values_filled_in() -> None:
    plan, runner = scale_out(), Recorder()
    result = run_step(plan, 0, approval(plan), runner, NOW + 20, facts=FACTS)
    assert result.ok
    assert runner.ran == [(f"inc-1:{plan.digest}:0", plan.steps[0])]
    assert plan.steps[0].arguments == {
        "verb": "scale",
        "kind": "deployment",
        "name": "cart",
        "replicas": 5,
    }


def test_the_rollback_was_approved_with_the_plan() -> None:
    plan, runner = scale_out(), Recorder()
    run_step(plan, 0, approval(plan), runner, NOW + 20, rollback=True)
    key, step = runner.ran[0]
    assert key == step_key(plan, 0, rollback=True) != step_key(plan, 0)
    assert step.arguments["replicas"] == 3


def test_a_plan_comes_back_from_json_with_the_digest_it_left_with() -> None:
    plan = scale_out()
    returned = Plan.model_validate_json(plan.model_dump_json())
    loose = Plan.model_validate(json.loads(json.dumps(plan.model_dump(mode="json"))))
    assert digest(returned) == digest(loose) == plan.digest
    assert returned == plan


def test_the_same_playbook_for_another_incident_or_moment_has_another_digest() -> None:
    plan = scale_out()
    later = fill(BY_ID["scale-out"], plan.parameters, "inc-1", "cart", ("E1",), NOW + 1, 900.0)
    assert len({plan.digest, later.digest, scale_out("inc-2").digest}) == 3
    assert scale_out().digest == plan.digest


EDITABLE = sorted(set(Plan.model_fields) - {"id", "digest"})
OTHER = {
    **scale_out("inc-2").model_dump(),
    "playbook_id": "restart",
    "title": "t",
    "title_zh": "t",
    "risk": "A",
    "component": "web",
    "parameters": {},
    "steps": (),
    "rollback": (),
    "preconditions": (),
    "verification": {"hold_s": 1.0},
    "lock": "l",
    "cooldown_s": 1.0,
    "evidence": ("E9",),
    "expected_effect": "e",
    "expected_effect_zh": "e",
    "blast_radius": "b",
    "blast_radius_zh": "b",
    "on_failure": "roll_back",
    "another": {
        "playbook_id": "restart",
        "title": {"en": "t", "zh": "t"},
        "risk": "B",
        "why": {"en": "w", "zh": "w"},
    },
    "created_at": NOW - 1,
    "expires_at": NOW + 9999,
}


@pytest.mark.parametrize("field", EDITABLE)
def test_the_digest_covers_every_field(field: str) -> None:
    plan = scale_out()
    edited = Plan.model_validate({**plan.model_dump(), field: OTHER[field]})
    assert edited != plan
    assert digest(edited) != plan.digest


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text("abc", max_size=3),
        st.integers(-99, 99)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        max_size=4,
    )
)
def test_the_digest_does_not_depend_on_the_order_of_keys(values: dict[str, float | str]) -> None:
    plan = scale_out().model_copy(update={"parameters": values})
    turned = plan.model_copy(update={"parameters": dict(reversed(values.items()))})
    assert digest(plan) == digest(turned)
    assert digest(Plan.model_validate_json(plan.model_dump_json())) == digest(plan)


def test_class_c_needs_two_different_people() -> None:
    plan, runner = drain(), Recorder()
    one, same, two = approval(plan, "ann"), approval(plan, "Ann "), approval(plan, "bo")
    for too_few in (one, [one, one], [one, same]):
        with pytest.raises(ApprovalError, match="2 different approvers"):
            run_step(plan, 0, too_few, runner, NOW + 20)
    assert runner.ran == []
    assert run_step(plan, 0, [one, two], runner, NOW + 20).ok


def test_only_those_with_the_right_may_approve() -> None:
    plan, runner = scale_out(), Recorder()
    policy = Policy(approvers=frozenset({"ann"}))
    with pytest.raises(ApprovalError, match="'mallory' has no right"):
        run_step(plan, 0, approval(plan, "mallory"), runner, NOW + 20, facts=FACTS, policy=policy)
    assert runner.ran == []
    assert run_step(plan, 0, approval(plan), runner, NOW + 20, facts=FACTS, policy=policy).ok


def test_preconditions_are_looked_up_when_the_step_is_run() -> None:
    plan, runner = scale_out(), Recorder()
    world = dict(FACTS)
    run_step(plan, 0, approval(plan), runner, NOW + 20, facts=lambda: world)
    world["replicas:cart"] = 20.0
    with pytest.raises(PreconditionError, match="replicas < 20"):
        run_step(plan, 0, approval(plan), runner, NOW + 20, facts=lambda: world)
    assert len(runner.ran) == 1


def test_a_step_that_has_a_result_is_not_run_again() -> None:
    plan, runner = scale_out(), Recorder()
    first = run_step(plan, 0, approval(plan), runner, NOW + 20, facts=FACTS, results=[])
    with pytest.raises(StepError, match="run before"):
        run_step(plan, 0, approval(plan), runner, NOW + 30, facts=FACTS, results=[first])
    assert len(runner.ran) == 1


def two_steps() -> Plan:
    base = scale_out()
    second = base.steps[0].model_copy(update={"index": 1})
    plan = base.model_copy(update={"steps": (*base.steps, second)})
    signature = digest(plan)
    return plan.model_copy(update={"digest": signature, "id": f"scale-out-{signature[:12]}"})


@pytest.mark.parametrize("earlier", ["missing", "failed"])
def test_a_step_waits_for_the_steps_before_it(earlier: str) -> None:
    plan, runner = two_steps(), Recorder(ok=False)
    results = []
    if earlier == "failed":
        results = [run_step(plan, 0, approval(plan), runner, NOW + 20, facts=FACTS, results=[])]
    ran = len(runner.ran)
    with pytest.raises(StepError, match="waits for step 0"):
        run_step(plan, 1, approval(plan), runner, NOW + 20, facts=FACTS, results=results)
    assert len(runner.ran) == ran


def test_later_steps_do_not_check_what_the_first_has_changed() -> None:
    plan, runner = two_steps(), Recorder()
    assert run_step(plan, 1, approval(plan), runner, NOW + 20, facts={"replicas:cart": 20.0}).ok


@pytest.mark.parametrize("ttl", [0.0, -1.0, float("nan"), float("inf")])
def test_a_plan_without_an_end_is_not_made(ttl: float) -> None:
    with pytest.raises(ValueError, match="positive validity"):
        fill(BY_ID["restart"], {"service": "cart"}, "inc-1", "cart", (), NOW, ttl)


LOOKALIKES = {
    "capital": "Anna",
    "Cyrillic": "\u0430nna",
    "Greek": "\u03b1nn\u03b1",
    "full width": "\uff41\uff4e\uff4e\uff41",
    "mathematical": "\U0001d41a\U0001d427\U0001d427\U0001d41a",
    "invisible": "an\u200bna",
    "blank": "  anna ",
}


@pytest.mark.parametrize("name", LOOKALIKES.values(), ids=LOOKALIKES)
def test_a_second_spelling_is_no_second_person(name: str) -> None:
    plan = drain()
    assert plan.risk == "C"
    with pytest.raises(ApprovalError, match="2 different approvers, got 1"):
        run_step(plan, 0, [approval(plan, "anna"), approval(plan, name)], Recorder(), NOW + 20)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ren\u00e9 Roy", "Rene\u0301  roy", True),
        ("bob", "b0b", True),
        ("l\u0456am", "liam", True),
        ("anna", "hanna", False),
        ("ren\u00e9", "rene", False),
        ("\u738b\u82b3", "\u738b\u65b9", False),
        ("ann", "anna", False),
    ],
)
def test_names_are_compared_as_people_read_them(one: str, other: str, same: bool) -> None:
    assert (one_person(one) == one_person(other)) is same
