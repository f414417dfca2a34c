"""The simulated world: equal scripts give equal worlds, and a fault shows where it was put."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.simulator import (
    RIGHT_PLAYBOOK,
    InjectedFault,
    RedHerring,
    SimulatedFault,
    SimulatedSource,
    TelemetryGap,
    World,
    WorldScenario,
    scenario,
)
from tools.types import Alert, Window

ALWAYS = Window(start=0.0, end=1e12)
SIGN: dict[SimulatedFault, str] = {
    "cpu_saturation": "cpu_pct",
    "memory_pressure": "mem_pct",
    "slow_dependency": "latency_p50_ms",
    "errors": "error_pct",
    "bad_deploy": "error_pct",
    "pool_exhaustion": "pool_in_use_pct",
    "dependency_down": "error_pct",
    "traffic_surge": "request_rate",
    "disk_full": "disk_used_pct",
    "network_loss": "net_retransmit_pct",
}


def lived(script: WorldScenario, seconds: float) -> World:
    world = World(script)
    world.advance(world.first + seconds)
    return world


def median(world: World, owner: str, metric: str, start: float, end: float) -> float:
    window = Window(start=start, end=end)
    found = [s for s in world.series(window) if (s.owner, s.metric) == (owner, metric)]
    return float(np.median(found[0].values))


def alerts_of(world: World) -> list[tuple[float, str, str]]:
    return [(a.starts_at - world.first, a.name, a.service) for a in world.alerts(ALWAYS)]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(min_value=0.0, max_value=90.0), max_size=8))
def test_how_time_is_cut_into_advances_does_not_matter(pauses: list[float]) -> None:
    script = scenario("errors", 4, quiet_s=60.0)
    whole, cut = World(script), World(script)
    for pause in pauses:
        cut.advance(cut.now + pause)
    end = script.start + 720.0
    whole.advance(end)
    cut.advance(end)
    for one, other in zip(whole.series(ALWAYS), cut.series(ALWAYS), strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    assert whole.logs(ALWAYS) == cut.logs(ALWAYS)
    assert whole.spans(ALWAYS) == cut.spans(ALWAYS)
    assert whole.alerts(ALWAYS) == cut.alerts(ALWAYS)
    assert whole.changes(ALWAYS) == cut.changes(ALWAYS)


def test_another_seed_gives_another_day_of_the_same_system() -> None:
    one, other = lived(WorldScenario(seed=1), 300.0), lived(WorldScenario(seed=2), 300.0)
    assert one.topology() == other.topology()
    assert not np.array_equal(one.series(ALWAYS)[0].values, other.series(ALWAYS)[0].values)


@settings(max_examples=15, deadline=None)
@given(st.floats(min_value=0.0, max_value=400.0), st.floats(min_value=0.0, max_value=600.0))
def test_no_port_shows_a_moment_after_now(lived_s: float, asked_s: float) -> None:
    world = lived(scenario("bad_deploy", 2, quiet_s=120.0), lived_s)
    source = SimulatedSource(world, history_s=60.0)
    asked = Window(start=world.first, end=world.first + asked_s)
    now = source.now()
    assert all(s.times[-1] <= now for s in source.series(asked) if len(s.times))
    assert all(line.at <= now for line in source.lines(asked))
    assert all(span.at + span.seconds <= now for span in source.spans(asked))
    assert all(change.at <= now for change in source.changes(asked))
    assert all(max(a.starts_at, a.ends_at or 0.0) <= now for a in source.alerts(asked))


@pytest.mark.parametrize("kind", sorted(RIGHT_PLAYBOOK))
def test_a_fault_shows_at_its_target_and_raises_alerts(kind: SimulatedFault) -> None:
    script = scenario(kind, 3, quiet_s=300.0)
    fault = script.faults[0]
    world = lived(script, 300.0 + 330.0)
    before = median(world, fault.target, SIGN[kind], script.start, fault.onset - 15.0)
    after = median(world, fault.target, SIGN[kind], fault.onset + 200.0, world.now)
    assert after > 1.25 * before
    assert alerts_of(world)
    assert all(at > 300.0 for at, _, _ in alerts_of(world))


@pytest.mark.parametrize("kind", ["errors", "bad_deploy"])
def test_a_change_that_brings_a_fault_is_in_the_log_of_changes(kind: SimulatedFault) -> None:
    script = scenario(kind, 5, quiet_s=60.0)
    world = lived(script, 120.0)
    change = world.changes(ALWAYS)[-1]
    assert (change.at, change.service) == (script.faults[0].onset, script.faults[0].target)
    assert change.kind == ("flag" if kind == "errors" else "deploy")
    assert script.faults[0].flag in change.summary


@pytest.mark.parametrize("seed", range(3))
def test_a_healthy_day_raises_no_alert(seed: int) -> None:
    assert alerts_of(lived(scenario("healthy", seed), 3600.0)) == []


def test_a_harmless_deploy_is_a_change_without_an_effect() -> None:
    script = scenario("healthy", 6, herring="harmless_deploy", quiet_s=600.0)
    quiet = lived(script.model_copy(update={"red_herrings": ()}), 900.0)
    deployed = lived(script, 900.0)
    assert [c.kind for c in deployed.changes(ALWAYS)] == ["deploy"]
    for one, other in zip(quiet.series(ALWAYS), deployed.series(ALWAYS), strict=True):
        np.testing.assert_array_equal(one.values, other.values)


def test_a_noisy_neighbour_loads_its_node_and_slows_nobody() -> None:
    script = WorldScenario(
        seed=1,
        red_herrings=(
            RedHerring(
                kind="noisy_neighbour",
                target="search",
                at=WorldScenario().start + 300.0,
                seconds=300.0,
            ),
        ),
    )
    world = lived(script, 600.0)
    start, noise = world.first, world.first + 330.0
    home = f"node:{world.graph.home['search']}"
    assert median(world, home, "cpu_pct", noise, world.now) > 75.0
    before = median(world, "search", "latency_p99_ms", start, start + 285.0)
    assert median(world, "search", "latency_p99_ms", noise, world.now) < 1.1 * before


def test_a_scheduled_spike_fires_a_warning_that_resolves_by_itself() -> None:
    script = scenario("healthy", 8, herring="scheduled_spike", quiet_s=600.0)
    found = lived(script, 900.0).alerts(ALWAYS)
    assert [(a.name, a.status) for a in found] == [("CpuSaturated", "resolved")]
    assert found[0].service == script.red_herrings[0].target


def test_missing_telemetry_is_missing_and_the_rest_is_not() -> None:
    start = WorldScenario().start
    script = WorldScenario(
        missing=(
            TelemetryGap(kind="no_metrics", service="pricing"),
            TelemetryGap(kind="no_logs", service="cache"),
            TelemetryGap(kind="gap", service="cart", start=start + 60.0, end=start + 120.0),
        )
    )
    world = lived(script, 300.0)
    owners = {s.owner for s in world.series(ALWAYS)}
    assert "pricing" not in owners
    assert {"catalog->pricing", "cache"} <= owners
    services = {line.service for line in world.logs(ALWAYS)}
    assert "cache" not in services
    assert "pricing" in services
    cart = next(s for s in world.series(ALWAYS) if s.owner == "cart")
    hole = (cart.times >= start + 60.0) & (cart.times <= start + 120.0)
    np.testing.assert_array_equal(np.isnan(cart.values), hole)


def test_spans_form_trees_that_follow_the_topology() -> None:
    world = lived(WorldScenario(seed=3, trace_every_s=5.0), 120.0)
    edges = {(e.caller, e.callee) for e in world.topology().edges}
    spans = world.spans(ALWAYS)
    by_id = {(s.trace, s.span): s for s in spans}
    roots = [s for s in spans if not s.parent]
    assert roots
    assert {s.service for s in roots} == {"gateway"}
    for span in spans:
        parent = by_id.get((span.trace, span.parent))
        if parent is not None:
            inside = (parent.service, span.service) in edges or parent.service == span.service
            assert inside
            assert span.at >= parent.at - 0.001


def test_what_lies_outside_is_seen_only_from_its_caller() -> None:
    world = lived(WorldScenario(), 60.0)
    assert "card-processor" not in world.topology().nodes
    assert ("payment", "card-processor") in {(e.caller, e.callee) for e in world.topology().edges}
    owners = {s.owner for s in world.series(ALWAYS)}
    assert "card-processor" not in owners
    assert "payment->card-processor" in owners


def test_an_alert_waits_for_its_rule_and_keeps_its_fingerprint_when_it_fires_again() -> None:
    script = scenario("memory_pressure", 2, quiet_s=60.0, magnitude=1.0)
    found = lived(script, 900.0).alerts(ALWAYS)
    again: dict[str, list[Alert]] = {}
    for alert in found:
        again.setdefault(alert.fingerprint, []).append(alert)
    assert any(len(same) > 1 for same in again.values())
    for same in again.values():
        assert len({tuple(sorted(a.labels.items())) for a in same}) == 1
        assert all(a.ends_at is not None and a.status == "resolved" for a in same[:-1])
    first = min(a.starts_at for a in found)
    assert first >= script.faults[0].onset + 30.0


@pytest.mark.parametrize(
    ("kind", "name"), [("disk_full", "DiskWillFill"), ("memory_pressure", "MemoryWillRunOut")]
)
def test_what_runs_full_is_announced_before_it_is_full(kind: SimulatedFault, name: str) -> None:
    script = scenario(kind, 4, quiet_s=120.0)
    fault = script.faults[0]
    world = lived(script, 120.0 + 200.0)
    alert = next(a for a in world.alerts(ALWAYS) if a.name == name)
    assert alert.service == fault.target
    assert alert.starts_at <= fault.onset + 90.0
    at = Window(start=alert.starts_at, end=alert.starts_at)
    now = next(s for s in world.series(at) if s.name == f"{fault.target}|{SIGN[kind]}")
    assert now.values[0] < 90.0


def test_the_baseline_is_the_day_before_and_the_quiet_past() -> None:
    script = scenario("errors", 1, quiet_s=300.0)
    source = SimulatedSource(lived(script, 600.0), history_s=300.0)
    onset = script.faults[0].onset
    for series in source.baseline(onset):
        assert series.times[0] == script.start - 86_400.0
        assert series.times[-1] < onset
        assert np.all(np.diff(series.times) > 0)
    worst = max(float(s.values.max()) for s in source.baseline(onset) if s.metric == "error_pct")
    assert worst < 5.0


def test_a_random_graph_carries_hundreds_of_services_and_thousands_of_series() -> None:
    world = lived(WorldScenario(system="random", services=300, graph_seed=7), 60.0)
    assert len(world.topology().nodes) == 300
    assert len(world.series(ALWAYS)) > 5000
    assert all(np.isfinite(s.values).all() for s in world.series(ALWAYS))


@pytest.mark.parametrize("kind", sorted(RIGHT_PLAYBOOK))
def test_every_kind_of_fault_finds_a_target_in_a_random_graph(kind: SimulatedFault) -> None:
    script = scenario(kind, 1, system="random", services=25, graph_seed=3, quiet_s=60.0)
    world = lived(script, 90.0)
    assert script.faults[0].target in world.topology().nodes


def test_a_scenario_that_names_what_is_not_there_is_refused() -> None:
    at = WorldScenario().start
    with pytest.raises(ValueError, match="nowhere"):
        World(WorldScenario(faults=(InjectedFault(kind="errors", target="nowhere", onset=at),)))
    with pytest.raises(ValueError, match="needs its dependency"):
        World(
            WorldScenario(
                faults=(InjectedFault(kind="dependency_down", target="payment", onset=at),)
            )
        )
    with pytest.raises(ValueError, match="cannot strike"):
        scenario("disk_full", 1, target="payment")
