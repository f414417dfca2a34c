"""Forecasts in use: which series are resources, what is told, and what becomes of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from copilot import wiring
from copilot.case.engine import Engine
from copilot.case.foretelling import FORECASTS, ForecastTeller
from copilot.settings import load
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.sources.recorded.bundle import ReplayClock
from copilot.sources.resources import ComingLimit, coming, kind_of, table
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tools import TOOLS
from copilot.surfaces.chat.tools.tool import ServiceArguments
from copilot.surfaces.chat.understand import intents
from copilot.surfaces.console.pages import foretold
from copilot.testing.servers import PROMETHEUS, PROMTOOL, prometheus
from copilot.types.incident import Incident
from tools.topology_walker import is_forecast
from tools.topology_walker.signals import stated
from tools.types import Alert, FloatArray, Series, Timestamp

HOUR, DAY, NOW = 3600.0, 86_400.0, 1_800_000_000.0


def series(metric: str, shape: Callable[[FloatArray], FloatArray], owner: str = "db") -> Series:
    """Five days to now, by the quarter of an hour; `shape` is told days."""
    times = np.arange(NOW - 5 * DAY, NOW + 1, 900.0)
    return Series(owner, metric, times, shape((times - times[0]) / DAY))


RESOURCES = {
    "node_fs_used_pct": "disk",
    "disk_used_pct": "disk",
    "disk_inodes_used_pct": "inodes",
    "heap_used_pct": "memory",
    "memory_used_pct": "memory",
    "node_memory_pct": "memory",
    "pool_used_pct": "connections",
    "connections_used_pct": "connections",
    "node_connections_used_pct": "connections",
    "descriptors_used_pct": "descriptors",
    "certificate_left_s": "certificate",
    "node_cpu_pct": "capacity",
    "error_pct": None,
    "replicas_available_pct": None,
    "latency_p95_ms": None,
    "cpu_throttled_pct": None,
}


@pytest.mark.parametrize("metric", RESOURCES)
def test_a_series_is_a_resource_by_its_name(metric: str) -> None:
    assert kind_of(metric) == RESOURCES[metric]


def test_every_kind_is_told_by_a_name_that_is_a_forecast_and_states_no_fault() -> None:
    for words in table().kinds.values():
        assert is_forecast(words.alert)
        assert stated(words.alert) is None


def test_every_kind_names_playbooks_of_the_catalogue_that_help_in_time(tmp_path: Path) -> None:
    known = {one.id for one in wiring.catalogue(load(data_dir=tmp_path))}
    for words in table().kinds.values():
        assert set(words.playbooks) <= known
    (told,) = disk()
    alert = told.alert(NOW, NOW + HOUR)
    assert alert.annotations["summary"].endswith("; playbook: clean-disk, extend-volume")
    assert alert.annotations["summary_zh"].endswith(";预案:clean-disk, extend-volume")
    assert alert.annotations["playbook"].startswith("copilot playbook show clean-disk; ")


def test_the_soonest_stands_first_and_says_when_on_what_and_what_to_do() -> None:
    found = coming([
        series("disk_used_pct", lambda d: 40 + 10 * d),
        series("heap_used_pct", lambda d: 20 + 15 * d, "shop"),
        series("pool_used_pct", lambda d: 30 + 0 * d),
        series("latency_p95_ms", lambda d: 40 + 10 * d),
    ])  # fmt: skip
    assert [one.kind for one in found] == ["memory", "disk"]
    said = found[1].said()
    assert said.en.startswith("disk of db reaches its limit in 24 h (")
    assert "90 % used, +0.42 points an hour over 5.0 d" in said.en
    assert "将在 24 h 后到达上限" in said.zh
    assert "volume" in table().kinds["disk"].act.en


def test_a_certificate_ends_when_it_says() -> None:
    (found,) = coming([series("certificate_left_s", lambda d: (7.5 - d) * DAY, "shop")])
    assert found.at == found.earliest == found.latest
    assert found.at - NOW == pytest.approx(2.5 * DAY, abs=60)


def test_a_certificate_that_is_renewed_in_time_is_no_news() -> None:
    renewed = series("certificate_left_s", lambda d: (1.0 - d % 0.7) * DAY)
    assert coming([renewed]) == ()


def test_what_rests_on_minutes_is_not_foretold() -> None:
    times = np.arange(NOW - 600, NOW, 15.0)
    burst = Series("db", "pool_used_pct", times, 20 + (times - times[0]) / 10)
    assert coming([burst]) == ()


# --- told, and what became of it -----------------------------------------------------------------


class Declared:
    """An outlook that a test sets."""

    def __init__(self) -> None:
        self.found: tuple[ComingLimit, ...] = ()
        self.full: frozenset[str] = frozenset()

    def coming(self, now: Timestamp) -> Sequence[ComingLimit]:
        return self.found


class Duty:
    """An engine without sources, its clock, and the forecasts it is told of every 15 minutes."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.clock, self.outlook, self.path = ReplayClock(NOW), Declared(), folder / FORECASTS
        self.engine: Engine = stack.enter_context(
            wiring.engine(
                load(data_dir=folder / "data", refresh_s=0), "test",
                sources=Sources(), clock=self.clock,
            )
        )  # fmt: skip
        self.foretelling = self.reopened()

    def reopened(self) -> ForecastTeller:
        return ForecastTeller(self.engine, self.outlook, self.path, 900.0)

    def looks(self, times: int) -> None:
        for _ in range(times):
            self.foretelling.look()
            self.engine.drain()
            self.clock.sleep(900.0)

    @property
    def incidents(self) -> tuple[Incident, ...]:
        return self.engine.store.incidents.list()


@pytest.fixture
def duty(tmp_path: Path) -> Iterator[Duty]:
    with ExitStack() as stack:
        yield Duty(tmp_path, stack)


def disk() -> tuple[ComingLimit, ...]:
    return coming([series("disk_used_pct", lambda d: 40 + 10 * d)])


def test_two_looks_that_agree_are_told_and_no_plan_rests_on_them(duty: Duty) -> None:
    duty.outlook.found = disk()
    duty.looks(1)
    assert not any(duty.incidents)
    duty.looks(3)
    (only,) = duty.incidents
    assert only.plan is None
    assert only.ranking.certainty == "insufficient"
    assert "**What**: disk of db reaches its limit in 24 h (" in only.brief["en"]
    assert "in time: free or grow the volume" in only.brief["en"]
    assert "db 的磁盘将在 24 h 后到达上限" in only.brief["zh"]
    assert foretold(only)
    assert duty.engine.counters.forecasts_told == 1


def test_a_forecast_about_a_node_stands_apart_too(duty: Duty) -> None:
    duty.outlook.found = coming([series("node_fs_used_pct", lambda d: 40 + 10 * d, "node:n1")])
    duty.looks(3)
    (only,) = duty.incidents
    assert foretold(only)
    assert only.plan is None
    assert only.ranking.certainty == "insufficient"
    assert "**What**: disk of node n1 reaches its limit in 24 h (" in only.brief["en"]


def test_a_restart_tells_nothing_twice_and_a_broken_file_is_begun_anew(duty: Duty) -> None:
    duty.outlook.found = disk()
    duty.looks(2)
    duty.foretelling = duty.reopened()
    duty.looks(1)
    assert duty.engine.counters.forecasts_told == 1
    duty.path.write_text("{")
    assert duty.reopened().forecasts == ()


def test_a_line_that_ends_is_counted_as_not_come(duty: Duty) -> None:
    duty.outlook.found = disk()
    duty.looks(2)
    duty.outlook.found = ()
    duty.looks(5)
    (one,) = duty.foretelling.forecasts
    assert one.outcome == "not come"
    assert duty.engine.counters.forecasts_not_come == 1
    assert not duty.engine.store.alerts.firing(one.told.alert(one.began, NOW).fingerprint)


def test_a_resource_that_is_full_came_true(duty: Duty) -> None:
    duty.outlook.found = disk()
    duty.looks(2)
    duty.outlook.found, duty.outlook.full = (), frozenset({"disk|db|"})
    duty.looks(1)
    assert duty.foretelling.forecasts[0].outcome == "came true"
    assert duty.engine.counters.forecasts_came_true == 1


def fault(name: str, service: str) -> Alert:
    return Alert(fingerprint=f"{name}{service}", name=name, service=service, starts_at=NOW + HOUR,
                 labels={"alertname": name, "service": service}, source="test")  # fmt: skip


INCIDENTS = {
    "the same component and resource": ("DiskFull", "db", True),
    "another component": ("DiskFull", "shop", False),
    "another resource": ("PoolExhausted", "db", False),
    "another forecast": ("DiskWillFillIn4Hours", "db", False),
}


@pytest.mark.parametrize("case", INCIDENTS)
def test_an_incident_that_was_foretold_is_told_so(duty: Duty, case: str) -> None:
    name, service, linked = INCIDENTS[case]
    duty.outlook.found = disk()
    duty.looks(4)
    duty.clock.advance(NOW + HOUR + 60)
    duty.engine.accept([fault(name, service)], duty.engine.now())
    duty.engine.drain()
    duty.looks(1)
    (one,) = duty.foretelling.forecasts
    events = [event.kind for event in duty.engine.store.journal.events()]
    assert (one.outcome == "came true") is linked
    assert ("foretold" in events) is linked
    assert bool(one.incident) is linked


# --- a real Prometheus ---------------------------------------------------------------------------


def past(now: float) -> str:
    gauges: dict[str, Callable[[float], float]] = {
        'node_filesystem_avail_bytes{instance="n1:9100",mountpoint="/data",fstype="ext4"}':
            lambda d: 60e9 - 10e9 * d,
        'node_filesystem_avail_bytes{instance="n1:9100",mountpoint="/",fstype="ext4"}':
            lambda d: 5e9,
        'node_filesystem_size_bytes{instance="n1:9100",mountpoint="/data",fstype="ext4"}':
            lambda d: 100e9,
        'node_filesystem_size_bytes{instance="n1:9100",mountpoint="/",fstype="ext4"}':
            lambda d: 100e9,
        'process_open_fds{job="shop",instance="s:1"}': lambda d: 100 + 150 * d,
        'process_max_fds{job="shop",instance="s:1"}': lambda d: 1024,
        'pyrra_availability{slo="shop-errors"}': lambda d: 0.99965 - 0.0001 * d,
        'pyrra_objective{slo="shop-errors"}': lambda d: 0.999,
    }  # fmt: skip
    lines: list[str] = []
    for name in dict.fromkeys(one.partition("{")[0] for one in gauges):
        lines.append(f"# TYPE {name} gauge")
        for full, shape in gauges.items():
            if full.startswith(f"{name}{{"):
                lines += [
                    f"{full} {shape(i / 96):.8g} {now - 5 * DAY + i * 900:.0f}" for i in range(481)
                ]
    return "\n".join((*lines, "# EOF\n"))


@pytest.mark.integration
def test_a_real_prometheus_is_asked_volume_by_volume(tmp_path: Path) -> None:
    if PROMETHEUS is None or PROMTOOL is None:
        pytest.skip("prometheus is not installed")
    now = SystemClock().now() // 900 * 900
    with prometheus(tmp_path, past=past(now)) as url:
        outlook = wiring.outlook(load(data_dir=tmp_path, prometheus_url=url))
        assert outlook is not None
        found, kinds = outlook.coming(now + 60), outlook.kinds(now + 60)
        outlook.close()
    assert [(one.kind, one.resource) for one in found] == [
        ("disk", "node n1 /data"),
        ("descriptors", "shop"),
        ("budget", "shop-errors"),
    ]
    assert kinds == ("disk", "descriptors", "budget")
    assert found[0].at - now == pytest.approx(DAY, rel=0.1)
    assert outlook.looked_at == 4


ASKED = (
    "what is coming?", "how long will the disk last", "when is the volume full?",
    "are we running out of disk space?", "does a certificate expire soon?", "any forecasts?",
    "磁盘还能撑多久?", "证书什么时候到期", "内存会不会用完", "接下来有什么会满",
)  # fmt: skip


@pytest.mark.parametrize("question", ASKED)
def test_what_is_coming_is_asked_in_both_languages(question: str) -> None:
    assert intents(question) == ("forecasts",)


def test_the_chat_tells_what_stands_and_what_the_series_say(duty: Duty) -> None:
    nothing = TOOLS["forecasts"].look(ServiceArguments(), ToolContext(duty.engine.deps))
    duty.outlook.found = disk()
    duty.looks(3)
    told = TOOLS["forecasts"].look(ServiceArguments(), ToolContext(duty.engine.deps))
    assert nothing.lead[0].en == "No resource is foretold to reach its limit."
    assert told.lead[0].en == "Foretold to reach their limit, no fault yet: 1."
    assert told.rows[0].cites[0].statement.startswith("disk of db reaches its limit in 24 h")
