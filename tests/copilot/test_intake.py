"""The intake as timetables: which incident an alert is filed under, also after a restart."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path

from copilot.alerts.admission import Intake
from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.store import Store
from tools.clusterer import Matcher, PairDecision, Silence, TieBreaker, UncertainPair
from tools.types import Alert, Edge, Topology

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
        desk.deliver(0, ("Down", "mail"))
        desk.deliver(60, ("Slow", "billing"))
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
