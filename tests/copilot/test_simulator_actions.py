"""Acting on a simulated world: what removes the cause cures, everything else does not."""

from functools import cache

import numpy as np
import pytest
from pydantic import JsonValue

from evals.simulator import (
    RIGHT_PLAYBOOK,
    InjectedFault,
    SimulatedFault,
    SimulatedRunner,
    SimulatedSource,
    World,
    WorldScenario,
    scenario,
)
from tools.types import PlanStep, StepAction, Window

ALWAYS = Window(start=0.0, end=1e12)
QUIET_S = 120.0
ACT_AFTER_S = 240.0
KINDS: list[SimulatedFault] = sorted(RIGHT_PLAYBOOK)


def step(action: StepAction, **arguments: JsonValue) -> PlanStep:
    return PlanStep(index=0, title="try", action=action, arguments=arguments)


def steps(world: World, fault: InjectedFault) -> dict[str, PlanStep]:
    """What each playbook would do to the fault's target, filled in as a person would."""
    facts = SimulatedSource(world).facts()
    name, outside = fault.target, str(facts.get(f"dependency:{fault.target}", "none"))
    replicas, pool = float(facts[f"replicas:{name}"]), float(facts[f"pool_size:{name}"])
    usual = np.median(
        [
            float(np.median(s.values))
            for s in world.series(Window(start=world.first, end=fault.onset - 15.0))
            if s.owner == name and s.metric == "request_rate"
        ]
    )
    return {
        "scale-out": step(
            "kubernetes", verb="scale", kind="deployment", name=name, replicas=round(1.5 * replicas)
        ),
        "restart": step("kubernetes", verb="rollout_restart", kind="deployment", name=name),
        "rollback": step("kubernetes", verb="rollout_undo", kind="deployment", name=name),
        "drain-node": step(
            "kubernetes", verb="drain", kind="node", name=str(facts[f"node:{name}"])
        ),
        "disable-feature": step(
            "feature_flag", service=name, flag=str(facts.get(f"flag:{name}", "none")), value=False
        ),
        "resize-pool": step("config", service=name, key="pool_size", value=2 * pool),
        "rate-limit": step("config", service=name, key="rate_limit_rps", value=float(1.2 * usual)),
        "open-circuit-breaker": step(
            "config", service=name, key=f"circuit_breaker.{outside}", value="open"
        ),
        "failover": step("config", service=name, key=f"upstream.{outside}", value="standby"),
        "clean-disk": step(
            "command", argv=["disk-cleanup", "--service", name, "--older-than-days", "7"]
        ),
    }


def struck(kind: SimulatedFault) -> tuple[World, InjectedFault]:
    script = scenario(kind, 3, quiet_s=QUIET_S)
    world = World(script)
    world.advance(script.faults[0].onset + ACT_AFTER_S)
    return world, script.faults[0]


@cache
def normal_errors(seed: int) -> dict[str, float]:
    """The largest share of errors each owner ever showed in a quiet hour."""
    world = World(scenario("healthy", seed))
    world.advance(world.first + 1800.0)
    return {s.owner: float(s.values.max()) for s in world.series(ALWAYS) if s.metric == "error_pct"}


def still_wrong(world: World, fault: InjectedFault) -> list[str]:
    """What is not back to normal in the last minutes: firing alerts, and errors of the target."""
    since = world.now - 150.0
    wrong = [f"{a.name} {a.service}" for a in world.alerts(ALWAYS) if a.ends_at is None]
    wrong += [f"{a.name} {a.service}" for a in world.alerts(ALWAYS) if (a.ends_at or 0.0) > since]
    for series in world.series(Window(start=since, end=world.now)):
        near = fault.target in series.owner.split("->")
        if series.metric == "error_pct" and near:
            limit = 2.0 * normal_errors(3)[series.owner] + 0.5
            wrong += [series.name] if float(np.median(series.values)) > limit else []
        if series.metric == "mem_pct" and near and float(np.median(series.values)) > 80.0:
            wrong.append(series.name)
    return wrong


@pytest.mark.parametrize("kind", KINDS)
def test_the_right_playbook_cures_within_minutes(kind: SimulatedFault) -> None:
    world, fault = struck(kind)
    assert still_wrong(world, fault)
    result = SimulatedRunner(world).run(steps(world, fault)[RIGHT_PLAYBOOK[kind]], "k")
    assert result.ok, result.error
    world.advance(world.now + 300.0)
    assert still_wrong(world, fault) == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_playbook_cures(kind: SimulatedFault) -> None:
    for playbook in sorted(set(RIGHT_PLAYBOOK.values()) - {RIGHT_PLAYBOOK[kind]}):
        world, fault = struck(kind)
        SimulatedRunner(world).run(steps(world, fault)[playbook], "k")
        world.advance(world.now + 300.0)
        assert still_wrong(world, fault), playbook


def test_a_restart_costs_capacity_for_a_moment() -> None:
    world = World(WorldScenario(seed=4))
    world.advance(world.first + 300.0)
    SimulatedRunner(world).run(
        step("kubernetes", verb="rollout_restart", kind="deployment", name="checkout"), "k"
    )
    world.advance(world.now + 300.0)
    found = [s for s in world.series(ALWAYS) if s.name == "checkout|cpu_pct"][0]
    dip = found.values[found.times > world.first + 300.0]
    assert dip[:2].max() > 1.25 * np.median(found.values)
    assert dip[-5:].max() < 1.15 * np.median(found.values)


def test_a_key_acts_once_and_answers_the_same_again() -> None:
    world = World(WorldScenario())
    runner = SimulatedRunner(world)
    service = world.graph.visible[0].name
    first = runner.run(scaled(service, 5), "incident:digest:0")
    assert runner.run(scaled(service, 2), "incident:digest:1").ok
    assert runner.run(scaled(service, 5), "incident:digest:0") == first
    assert world.state.desired[0] == 2
    assert runner.run(scaled(service, 5), "incident:digest:2").ok
    assert world.state.desired[0] == 5


def scaled(service: str, replicas: int) -> PlanStep:
    return step("kubernetes", verb="scale", kind="deployment", name=service, replicas=replicas)


def test_a_world_built_anew_can_be_brought_to_where_recorded_steps_left_it() -> None:
    world, fault = struck("bad_deploy")
    undo = steps(world, fault)["rollback"]
    result = SimulatedRunner(world).run(undo, "k")
    world.advance(world.now + 200.0)
    rebuilt = World(world.scenario)
    SimulatedRunner(rebuilt).replay(undo, result)
    rebuilt.advance(world.now)
    for one, other in zip(world.series(ALWAYS), rebuilt.series(ALWAYS), strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    assert world.logs(ALWAYS) == rebuilt.logs(ALWAYS)


def test_what_was_logged_before_an_act_stays_as_it_was() -> None:
    world, fault = struck("bad_deploy")
    past = Window(start=world.first, end=world.now)
    before = world.logs(past)
    SimulatedRunner(world).run(steps(world, fault)["rollback"], "k")
    world.advance(world.now + 60.0)
    assert world.logs(past) == before


@pytest.mark.parametrize(
    ("case", "refused"),
    [
        (
            step("kubernetes", verb="rollout_undo", kind="deployment", name="checkout"),
            "no earlier revision",
        ),
        (step("kubernetes", verb="delete", name="checkout"), "verb"),
        (
            step("kubernetes", verb="scale", kind="deployment", name="nobody", replicas=3),
            "not found",
        ),
        (step("kubernetes", verb="scale", kind="deployment", name="cart", replicas=-1), "replicas"),
        (step("kubernetes", verb="scale", kind="deployment", name="cart", replicas=500), "within"),
        (step("kubernetes", verb="drain", kind="node", name="node-z9"), "not found"),
        (step("kubernetes", verb="cordon", kind="node", name="node-a1"), "cannot be done"),
        (step("config", service="cart", key="pool_size", value="many"), "number"),
        (step("config", service="cart", key="color", value="red"), "no setting"),
        (
            step("config", service="shipping", key="upstream.carrier-api", value="standby"),
            "standby",
        ),
        (step("config", service="cart", key="circuit_breaker.moon", value="open"), "dependency"),
        (step("command", argv=["rm", "-rf", "/"]), "--service"),
        (step("command", argv=["format", "--service", "cart"]), "not installed"),
        (step("feature_flag", service="cart", flag="x", value="sometimes"), "value"),
        (step("check", owner="cart", metric="cpu_pct", comparison=">", value=101), "wanted >"),
        (step("http", url="http://example.invalid/"), "does not exist"),
    ],
    ids=lambda case: case if isinstance(case, str) else f"{case.action}",
)
def test_what_the_world_cannot_do_is_refused_with_a_reason(case: PlanStep, refused: str) -> None:
    world = World(WorldScenario())
    world.advance(world.first + 60.0)
    result = SimulatedRunner(world).run(case, "k")
    assert not result.ok
    assert refused in result.error
    assert world.changes(ALWAYS) == ()


def test_a_check_reads_the_newest_point() -> None:
    world = World(WorldScenario())
    world.advance(world.first + 60.0)
    result = SimulatedRunner(world).run(
        step("check", owner="cart", metric="error_pct", comparison="<", value=5), "k"
    )
    assert result.ok
    assert result.output.startswith("cart|error_pct is ")


@pytest.mark.parametrize(
    ("act", "back"),
    [
        (
            step("config", service="gateway", key="rate_limit_rps", value=30.0),
            step("config", service="gateway", key="rate_limit_rps", value=None),
        ),
        (
            step("config", service="payment", key="circuit_breaker.card-processor", value="open"),
            step("config", service="payment", key="circuit_breaker.card-processor", value="closed"),
        ),
        (
            step("kubernetes", verb="drain", kind="node", name="node-a1"),
            step("kubernetes", verb="uncordon", kind="node", name="node-a1"),
        ),
    ],
    ids=["rate limit", "breaker without a fallback", "drain"],
)
def test_an_act_can_be_taken_back(act: PlanStep, back: PlanStep) -> None:
    touched, quiet = World(WorldScenario(seed=9)), World(WorldScenario(seed=9))
    runner = SimulatedRunner(touched)
    quiet.advance(quiet.first + 900.0)
    touched.advance(touched.first + 60.0)
    assert runner.run(act, "act").ok
    touched.advance(touched.now + 120.0)
    assert runner.run(back, "back").ok
    touched.advance(quiet.now)
    during = Window(start=quiet.first + 90.0, end=quiet.first + 180.0)
    after = Window(start=quiet.now - 120.0, end=quiet.now)
    pairs = list(zip(touched.series(during), quiet.series(during), strict=True))
    assert any(not np.allclose(one.values, other.values, rtol=0.05) for one, other in pairs)
    for one, other in zip(touched.series(after), quiet.series(after), strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=0.02, atol=0.05)
