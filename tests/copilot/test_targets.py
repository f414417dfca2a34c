"""One plan at a time on a target, and not the same again before its effect is seen."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from langgraph.runtime import Runtime

from copilot.case.nodes.act import longest_s
from copilot.case.nodes.verify import verify
from copilot.store import Store, TargetBusyError
from copilot.types.incident import Incident
from tests.copilot.test_executors import NOW, PLAN, TWO_STEPS, Executor, approval
from tools.playbook_executor import fill, parse
from tools.types import Plan, PlaybookOutcome


def same_target(incident_id: str) -> Plan:
    """Another incident's plan for the same service."""
    return fill(parse(TWO_STEPS, "two"), {"service": "cart"}, incident_id, "cart", (), NOW, 900.0)


def asked(store: Store, plan: Plan, run_id: str) -> None:
    incident = Incident(id=plan.incident_id, title="t", opened_at=NOW, updated_at=NOW)
    store.incidents.open(incident)
    store.approvals.request(plan, run_id, NOW)
    store.approvals.decide(approval(plan), NOW + 10)


def executor(folder: Path, plan: Plan, run_id: str) -> Executor:
    one = Executor(folder, run_id)
    one.state["incident_id"], one.state["plan"] = plan.incident_id, plan
    one.state["approvals"] = [approval(plan)]
    return one


FIRST, SECOND = PLAN, same_target("inc-2")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Executor, Executor]]:
    """Two incidents whose approved plans are for the same service."""
    pair = (executor(tmp_path, FIRST, "run-1"), executor(tmp_path, SECOND, "run-2"))
    asked(pair[0].store, FIRST, "run-1")
    asked(pair[0].store, SECOND, "run-2")
    yield pair
    for one in pair:
        one.store.close()


def test_a_second_incident_waits_until_the_first_one_is_judged(
    two: tuple[Executor, Executor],
) -> None:
    first, second = two
    assert first.step().ok
    refused = second.step()
    assert f"'config/cart' is worked on by '{FIRST.id} of run-1'" in refused.error
    assert len(second.place.ran) == 1
    first.finish()
    with pytest.raises(TargetBusyError):
        second.store.locks.take(FIRST.lock, "somebody", first.place.time, 1.0)
    looked = verify(first.state, Runtime(context=first.deps))["verified"]
    assert not looked.over  # it is looked at again later, and holds its target until then
    with pytest.raises(TargetBusyError):
        second.store.locks.take(FIRST.lock, "somebody", first.place.time, 1.0)
    first.state["verified"] = looked
    first.place.sleep(FIRST.verification.within_s)
    assert verify(first.state, Runtime(context=first.deps))["verified"].over
    second.store.locks.take(FIRST.lock, "somebody", first.place.time, 1.0)


def test_a_refused_plan_leaves_nothing_locked(two: tuple[Executor, Executor]) -> None:
    first, _ = two
    first.place.sleep(1000)  # the plan is too old by now
    assert "expired" in first.step().error
    first.store.locks.take(FIRST.lock, "somebody", first.place.time, 1.0)


def test_what_a_dead_process_held_is_free_after_its_longest_time(
    two: tuple[Executor, Executor],
) -> None:
    first, _ = two
    assert first.step().ok
    gone = first.place.time + longest_s(FIRST)
    with pytest.raises(TargetBusyError):
        first.store.locks.take(FIRST.lock, "somebody", gone - 1.0, 1.0)
    first.store.locks.take(FIRST.lock, "somebody", gone + 1.0, 1.0)


def race(folder: Path, run_id: str) -> list[bool]:
    plan = FIRST if run_id == "run-1" else SECOND
    one = executor(folder, plan, run_id)
    try:
        return [result.ok for result in one.finish()]
    finally:
        one.store.close()


def test_of_two_incidents_that_race_for_one_target_one_acts(
    two: tuple[Executor, Executor], tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(race, [tmp_path] * 2, ["run-1", "run-2"]))
    assert sorted(ended) == [[False], [True, True]]
    assert two[0].place.ran == ["0", "1"]


@pytest.mark.parametrize(
    ("playbook_id", "component", "refused"),
    [
        pytest.param("two-steps", "cart", True, id="the same on the same"),
        pytest.param("two-steps", "web", False, id="the same on another"),
        pytest.param("restart", "cart", False, id="another on the same"),
    ],
)
def test_the_cool_down_holds_whatever_was_approved_before_it_began(
    two: tuple[Executor, Executor], playbook_id: str, component: str, refused: bool
) -> None:
    first, _ = two
    outcome = PlaybookOutcome(
        playbook_id=playbook_id,
        fault_kind="errors",
        component=component,
        recovered=True,
        at=first.place.time - 60.0,
    )
    first.store.outcomes.record("earlier", outcome)
    result = first.step()
    assert result.ok is not refused
    assert ("its cool-down is 600 s" in result.error) is refused
