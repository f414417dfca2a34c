"""Silences, maintenance windows and matchers: when they hold and what they refuse."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from tools.clusterer import MaintenanceWindow, Matcher, Silence


def moment(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("operator", "value", "label", "matches"),
    [
        pytest.param("=", "cart", "cart", True, id="equal"),
        pytest.param("=", "", None, True, id="a missing label is empty"),
        pytest.param("!=", "cart", None, True, id="a missing label is not cart"),
        pytest.param("=~", "cart|web", "web", True, id="pattern"),
        pytest.param("=~", "ca", "cart", False, id="a pattern matches in full"),
        pytest.param("!~", "ca.*", "cart", False, id="negated pattern"),
    ],
)
def test_matchers_are_those_of_alertmanager(
    operator: str, value: str, label: str | None, matches: bool
) -> None:
    labels = {} if label is None else {"service": label}
    matcher = Matcher.model_validate({"label": "service", "operator": operator, "value": value})
    assert matcher.matches(labels) is matches


def test_a_bad_pattern_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValidationError, match="not a regular expression.*correct the pattern"):
        Matcher(label="service", operator="=~", value="(")


def test_a_silence_holds_from_its_start_to_before_its_end() -> None:
    silence = Silence(
        id="s", matchers=(Matcher(label="a", value="1"),), starts_at=10.0, ends_at=20.0
    )
    held = [silence.mutes({"a": "1"}, at) for at in (9.9, 10.0, 19.9, 20.0)]
    assert held == [False, True, True, False]
    assert not silence.mutes({"a": "2"}, 15.0)


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        pytest.param("2026-03-07T23:30:00", True, id="Saturday night"),
        pytest.param("2026-03-08T00:30:00", True, id="past midnight into Sunday"),
        pytest.param("2026-03-08T01:00:00", False, id="over"),
        pytest.param("2026-03-08T23:30:00", False, id="Sunday night is not named"),
    ],
)
def test_a_window_runs_past_midnight_by_the_day_it_opened(text: str, is_open: bool) -> None:
    window = MaintenanceWindow(
        id="w", days=("sat",), start="23:00", minutes=120, zone="Asia/Shanghai"
    )
    assert window.is_open(moment(text, "Asia/Shanghai")) is is_open


def test_a_window_follows_daylight_saving_of_its_zone() -> None:
    window = MaintenanceWindow(id="w", start="08:00", minutes=60, zone="Europe/Berlin")
    winter, summer = "2026-01-15T08:30:00", "2026-07-15T08:30:00"
    assert window.is_open(moment(winter, "Europe/Berlin"))
    assert window.is_open(moment(summer, "Europe/Berlin"))
    assert not window.is_open(moment(summer, "Europe/London"))


def test_a_window_of_days_covers_them_all() -> None:
    window = MaintenanceWindow(id="w", days=("mon",), start="00:00", minutes=3 * 24 * 60)
    monday = moment("2026-03-09T00:00:00", "UTC")
    inside = [window.is_open(monday + hour * 3600.0) for hour in (0, 30, 71, 72)]
    assert inside == [True, True, True, False]


def test_an_unknown_zone_is_refused_with_an_example() -> None:
    with pytest.raises(ValidationError, match=r"'Mars/Base'.*Asia/Shanghai"):
        MaintenanceWindow(id="w", start="08:00", minutes=60, zone="Mars/Base")
