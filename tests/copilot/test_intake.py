"""The intake as timetables: which incident an alert is filed under, also after a restart."""

import contextlib
import threading
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from copilot.alerts.admission import Intake
from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.store import Store, StoreError
from copilot.testing.store_faults import StoreFaults
from tools.clusterer import Matcher, PairDecision, Silence, TieBreaker, UncertainPair
from tools.types import Alert, Edge, Subject, Topology

NOW = 1_700_000_000.0
SHOP = Topology(
    edges=(
        Edge(caller="web", callee="checkout"),
        Edge(caller="web", callee="search"),
        Edge(caller="checkout", callee="payment"),
    )
)


@dataclass
class Clock:
    """Time that is set by hand."""

    at: float = NOW

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


class Desk:
    """An intake over a store, fed as a service feeds it."""

    def __init__(self, folder: Path, judge: TieBreaker | None = None) -> None:
        self.store = Store(f"sqlite:///{folder / 'store.sqlite'}")
        self.store.create()
        self.clock = Clock()
        ids = (f"I{n}" for n in count(1))
        self.announced = MaintenanceSchedule()
        self.intake = Intake(
            self.store,
            self.clock,
            SHOP,
            lambda: next(ids),
            judge=judge,
            announced=self.announced,
        )

    def deliver(self, after_s: float, *alerts: tuple[str, str]) -> None:
        self.clock.at = NOW + after_s
        at = self.clock.at - 0.5
        self.store.alerts.accept(
            [
                Alert(fingerprint=f"{name} {service}", name=name, service=service, starts_at=at)
                for name, service in alerts
            ],
            self.clock.at,
        )
        self.intake.decide()

    def post(self, after_s: float, *alerts: Alert) -> None:
        self.clock.at = NOW + after_s
        self.store.alerts.accept(alerts, self.clock.at)
        self.decide()

    def wait(self, after_s: float) -> None:
        self.clock.at = NOW + after_s
        self.intake.expire()
        self.decide()

    def decide(self) -> None:
        while self.intake.decide().decided:
            pass

    @property
    def told(self) -> list[tuple[str, str]]:
        """Title and status of every incident, oldest first."""
        return [(one.title, one.status) for one in reversed(self.store.incidents.list())]

    def restart(self) -> None:
        ids = (f"R{n}" for n in count(1))
        self.intake = Intake(self.store, self.clock, SHOP, lambda: next(ids))

    def filed(self) -> dict[str, list[str]]:
        return {
            incident.id: sorted(alert.fingerprint for alert in self.store.alerts.of(incident.id))
            for incident in self.store.incidents.active()
        }


def test_a_symptom_that_came_before_its_root_was_known_is_filed_under_the_root(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    desk.deliver(0, ("PodCpuHigh", "payment"), ("LatencyHigh", "payment"))
    desk.deliver(100, ("LatencyHigh", "web"))
    inhibited = desk.store.alerts.decisions("I1")[-1]
    assert (inhibited.alert.service, inhibited.action) == ("web", "inhibited")
    desk.deliver(101, ("LatencyHigh", "search"), ("PodCpuHigh", "search"))
    assert desk.filed() == {
        "I1": ["LatencyHigh payment", "PodCpuHigh payment"],
        "I2": ["LatencyHigh search", "LatencyHigh web", "PodCpuHigh search"],
    }
    moved = next(r for r in desk.store.alerts.decisions("I2") if r.alert.service == "web")
    assert moved.reason.startswith("moved from I1: ")
    assert set(desk.store.incidents.require("I2").services) == {"search", "web"}
    assert "web" not in desk.store.incidents.require("I1").services


class Splitter:
    """A judge that keeps everything apart, and says so."""

    def judge(self, doubt: UncertainPair) -> PairDecision | None:
        return PairDecision("split", f"{doubt.alert.service} has nothing to do with it")


def test_a_judge_that_is_given_decides_the_uncertain_pairs(tmp_path: Path) -> None:
    alone, judged = tmp_path / "alone", tmp_path / "judged"
    alone.mkdir()
    judged.mkdir()
    incidents = []
    for desk in (Desk(alone), Desk(judged, Splitter())):
        desk.deliver(0, ("Down", "payment"))
        desk.deliver(60, ("Slow", "search"))
        incidents.append(len(desk.filed()))
    assert incidents == [1, 2]


def test_what_people_silenced_opens_no_incident_until_the_silence_ends(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    quiet = Silence(
        id="s1",
        matchers=(Matcher(label="service", value="payment"),),
        starts_at=NOW,
        ends_at=NOW + 600,
    )
    desk.announced.silence([quiet])
    desk.intake.heed()
    desk.deliver(10, ("LatencyHigh", "payment"))
    assert desk.filed() == {}
    desk.deliver(700, ("ErrorsHigh", "payment"))
    assert list(desk.filed().values()) == [["ErrorsHigh payment"]]


def test_a_graph_that_is_learned_later_groups_what_is_open(tmp_path: Path) -> None:
    apart = Topology(
        edges=(Edge(caller="app", callee="payment"), Edge(caller="web", callee="checkout"))
    )
    counts = {}
    for name, graph in (("shop", SHOP), ("apart", apart)):
        (tmp_path / name).mkdir()
        desk = Desk(tmp_path / name)
        desk.intake.learn(Topology())
        desk.deliver(0, ("PodCpuHigh", "payment"))
        desk.intake.learn(graph)
        desk.deliver(200, ("LatencyHigh", "checkout"))
        counts[name] = len(desk.filed())
    assert counts == {"shop": 1, "apart": 2}


def posted(name: str, service: str, after_s: float = 0.0, lease_s: float | None = None) -> Alert:
    return Alert(
        fingerprint=f"{name} {service}",
        name=name,
        service=service,
        starts_at=NOW + after_s,
        lease=None if lease_s is None else NOW + lease_s,
    )


def ended(alert: Alert, after_s: float) -> Alert:
    return alert.model_copy(update={"status": "resolved", "ends_at": NOW + after_s, "lease": None})


def test_an_alert_that_nobody_repeats_before_its_lease_ends_is_resolved(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.post(0, posted("Slow", "ledger", lease_s=60))
    desk.post(50, posted("Slow", "ledger", lease_s=110))
    desk.wait(100)
    assert desk.told == [("Slow on ledger", "investigating")]
    desk.wait(111)
    assert desk.told == [("Slow on ledger", "resolved")]


def test_leases_that_ended_while_nobody_listened_wait_for_their_senders(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.post(0, posted("Slow", "ledger", lease_s=60))
    desk.clock.at = NOW + 4000
    desk.restart()
    desk.wait(4010)
    assert desk.told[0][1] == "investigating"
    desk.post(4060, posted("Slow", "ledger", lease_s=4200))
    desk.wait(4199)
    assert desk.told[0][1] == "investigating"
    desk.wait(4310)
    assert desk.told[0][1] == "resolved"


def beat(after_s: float, lease_s: float | None = None) -> Alert:
    one = posted("Watchdog", "", after_s, lease_s)
    return one.model_copy(update={"heartbeat": True, "labels": {"severity": "none"}})


def test_a_heartbeat_opens_an_incident_only_when_it_stops(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.post(0, beat(0, lease_s=300))
    desk.post(5, posted("Down", "search", 5))
    desk.post(9, ended(posted("Down", "search", 5), 9))
    assert desk.told == [("Down on search", "resolved")]
    desk.wait(301)
    assert desk.told[1:] == [("HeartbeatMissed", "investigating")]
    desk.wait(2000)
    assert len(desk.told) == 2
    desk.post(2100, beat(0, lease_s=2400))
    desk.wait(2101)
    assert desk.told[1:] == [("HeartbeatMissed", "resolved")]


def test_a_heartbeat_without_a_lease_is_missed_after_three_of_its_own_intervals(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    desk.post(0, beat(0))
    desk.wait(90_000)
    assert desk.told == []
    desk.post(90_300, beat(0))
    desk.post(90_600, beat(0))
    desk.wait(91_400)
    assert desk.told == []
    desk.wait(91_600)
    assert desk.told == [("HeartbeatMissed", "investigating")]


def test_a_heartbeat_that_its_sender_resolves_is_missed_too(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.post(0, beat(0))
    desk.post(10, ended(beat(0), 10))
    assert desk.told == [("HeartbeatMissed", "investigating")]
    desk.post(20, beat(20))
    desk.wait(21)
    assert desk.told == [("HeartbeatMissed", "resolved")]


def test_an_alert_that_comes_and_goes_is_one_incident_that_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for start in range(0, 18, 3):
        up = posted("Flaky", "search", start)
        desk.post(start, up)
        desk.post(start + 2, ended(up, start + 2))
    assert desk.told == [("Flaky on search (flapping, 6 times)", "handed_over")]
    desk.wait(3600)
    assert desk.told == [("Flaky on search (flapping, 6 times)", "resolved")]


def test_three_unrelated_alerts_seconds_apart_are_three_incidents(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.post(0, posted("BackupFailed", "nightly-dump"))
    desk.post(1, posted("CertificateExpiresSoon", "www"))
    desk.post(2, posted("DiskFillsUp", "archive-7"))
    assert [title for title, _ in desk.told] == [
        "BackupFailed on nightly-dump",
        "CertificateExpiresSoon on www",
        "DiskFillsUp on archive-7",
    ]


def test_dozens_of_unrelated_alerts_are_one_storm_that_names_them(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.post(0, *[posted(f"Trouble{n}", f"app-{n}") for n in range(40)])
    ((title, _),) = desk.told
    assert title.startswith("Storm of 40 unrelated alerts: app-0, app-1")


def test_an_alert_that_relates_two_incidents_of_one_moment_makes_them_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.post(0, posted("Slow", "api").model_copy(update={"labels": {"node": "n1"}}))
    desk.post(1, posted("Slow", "job").model_copy(update={"labels": {"node": "n2"}}))
    assert len(desk.filed()) == 2
    bridge = posted("Down", "api", 2).model_copy(update={"labels": {"node": "n2"}})
    desk.post(2, bridge)
    ((home, members),) = desk.filed().items()
    assert members == ["Down api", "Slow api", "Slow job"]
    kinds = [e.kind for e in desk.store.journal.events() if e.incident_id != home]
    assert kinds[-1] == "merged"
    (merged,) = {i.id for i in desk.store.incidents.list()} - {home}
    assert [run.status for run in desk.store.runs.of(merged)] == ["superseded"]


def test_a_host_that_the_call_graph_knows_is_the_component_it_is_about(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    known = posted("LoadHigh", "").model_copy(
        update={"subject": Subject(kind="host", name="payment")}
    )
    unknown = known.model_copy(update={"subject": Subject(kind="host", name="db-7")})
    assert [one.service for one in desk.intake.recognised([known, unknown])] == ["payment", ""]


def test_an_incident_of_many_alerts_that_goes_into_another_stops_no_intake(tmp_path: Path) -> None:
    def at(name: str, service: str, node: str, second: float) -> Alert:
        return posted(name, service, second).model_copy(update={"labels": {"node": node}})

    desk = Desk(tmp_path)
    desk.post(0, at("Down", "job", "n2", 0), at("Slow", "job", "n2", 0))
    desk.post(1, at("Down", "api", "n1", 1))
    assert len(desk.filed()) == 2
    desk.post(2, at("Full", "api", "n2", 2))
    assert desk.store.alerts.unassigned() == ()
    ((_, members),) = desk.filed().items()
    assert members == ["Down api", "Down job", "Full api", "Slow job"]


def test_what_was_not_written_is_forgotten_also_where_reading_fails_next(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    at = NOW - 0.5
    desk.store.alerts.accept(
        [Alert(fingerprint="f", name="Slow", service="web", starts_at=at)], NOW
    )
    StoreFaults(desk.store, {"intake"}).each_once()
    opened: list[str] = []

    def decide() -> None:
        for _ in range(100):
            with contextlib.suppress(StoreError):
                opened.extend(desk.intake.decide().opened)

    thread = threading.Thread(target=decide, name="intake")
    thread.start()
    thread.join()
    assert len(opened) == 1
    assert opened == [one.id for one in desk.store.incidents.list()]
