"""Declared inhibition, case by case as in Alertmanager's own inhibit_test.go."""

from typing import Any

import pytest

from tools.clusterer import Clusterer, Inhibition, Matcher
from tools.clusterer.inhibition import Inhibitor
from tools.types import Alert

NODE_DOWN = Inhibition(
    source=(Matcher(label="alertname", value="NodeDown"),),
    target=(Matcher(label="severity", operator="!=", value="critical"),),
    equal=("node",),
)
BY_SEVERITY = Inhibition(
    source=(Matcher(label="severity", operator="=~", value="critical|warning"),),
    target=(Matcher(label="severity", operator="=~", value="warning|info"),),
)


def alert(name: str, severity: str, starts_at: float = 0.0, **fields: Any) -> Alert:
    labels = {"alertname": name, "severity": severity, **fields.pop("labels", {})}
    return Alert(
        fingerprint=name, name=name, service=name, starts_at=starts_at, labels=labels, **fields
    )


def inhibited(rule: Inhibition, target: Alert, *sources: Alert) -> list[str]:
    inhibitor = Inhibitor([rule])
    for source in sources:
        inhibitor.fire(source, until=100.0)
    return [one.name for one in inhibitor.sources_of(target, now=50.0)]


CRITICAL, WARNING, INFO = alert("C", "critical"), alert("W", "warning"), alert("I", "info")


@pytest.mark.parametrize(
    ("target", "sources", "by"),
    [
        pytest.param(INFO, [CRITICAL, WARNING], ["C", "W"], id="one side each"),
        pytest.param(CRITICAL, [WARNING], [], id="a source that is no target"),
        pytest.param(WARNING, [WARNING], [], id="itself"),
        pytest.param(WARNING, [CRITICAL], ["C"], id="both sides, by a source alone"),
        pytest.param(WARNING, [alert("W2", "warning")], [], id="both sides, by both sides"),
        pytest.param(INFO, [WARNING], ["W"], id="a target alone, by both sides"),
    ],
)
def test_who_inhibits_whom(target: Alert, sources: list[Alert], by: list[str]) -> None:
    assert inhibited(BY_SEVERITY, target, *sources) == by


@pytest.mark.parametrize(
    ("source", "target", "holds"),
    [
        pytest.param({"node": "n1"}, {"node": "n1"}, True, id="equal"),
        pytest.param({"node": "n1"}, {"node": "n2"}, False, id="different"),
        pytest.param({}, {}, True, id="absent on both sides"),
        pytest.param({"node": ""}, {}, True, id="empty and absent"),
        pytest.param({"node": "n1"}, {}, False, id="absent on one side"),
    ],
)
def test_an_absent_label_equals_the_empty_one(
    source: dict[str, str], target: dict[str, str], holds: bool
) -> None:
    found = inhibited(
        NODE_DOWN,
        alert("Slow", "info", labels=target),
        alert("NodeDown", "critical", labels=source),
    )
    assert bool(found) is holds


def test_the_order_within_a_delivery_says_nothing() -> None:
    slow, down = alert("Slow", "warning", 0.0), alert("NodeDown", "critical", 1.0)
    first, second = (
        Clusterer(inhibitions=[NODE_DOWN]).update(batch, now=2.0)
        for batch in ([slow, down], [down, slow])
    )
    assert [each.action for each in first] == ["inhibited", "opened"]
    assert [each.action for each in second] == ["opened", "inhibited"]


def test_a_target_told_before_its_source_is_muted_once_it_fires_and_told_when_it_ends() -> None:
    clusterer = Clusterer(inhibitions=[NODE_DOWN])
    slow, down = alert("Slow", "warning", 0.0), alert("NodeDown", "critical", 60.0)
    actions = [clusterer.update([slow], now=0.0)[0].action]
    clusterer.update([down], now=60.0)
    actions.append(clusterer.update([slow], now=90.0)[0].action)
    over = down.model_copy(update={"status": "resolved", "ends_at": 120.0})
    clusterer.update([over], now=120.0)
    actions.append(clusterer.update([slow], now=150.0)[0].action)
    assert actions == ["opened", "inhibited", "deduplicated"]


def test_a_source_that_ends_in_the_same_delivery_inhibits_nothing() -> None:
    clusterer = Clusterer(inhibitions=[NODE_DOWN])
    slow, down = alert("Slow", "warning", 0.0), alert("NodeDown", "critical", 1.0)
    over = down.model_copy(update={"status": "resolved", "ends_at": 2.0})
    assert "inhibited" not in [d.action for d in clusterer.update([slow, down, over], now=3.0)]


def test_a_source_whose_lease_ran_out_inhibits_no_more_unless_it_is_renewed() -> None:
    def actions(*renewed: Alert) -> list[str]:
        clusterer = Clusterer(inhibitions=[NODE_DOWN])
        down = alert("NodeDown", "critical", 0.0, lease=300.0)
        clusterer.update([down], now=0.0)
        clusterer.announce(renewed, now=240.0)
        early, late = alert("Slow", "warning", 200.0), alert("Full", "warning", 301.0)
        return [clusterer.update([one], now=one.starts_at)[0].action for one in (early, late)]

    assert actions()[0] == "inhibited"
    assert actions()[1] != "inhibited"
    assert actions(alert("NodeDown", "critical", 0.0, lease=540.0))[1] == "inhibited"
