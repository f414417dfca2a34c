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


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        pytest.param("[[:alpha:]]+", "cart", True, id="a POSIX class"),
        pytest.param("[[:alpha:]]+", "a:]", False, id="and not its letters"),
        pytest.param(r"\pL+", "磁盘", True, id="letters of any script"),
        pytest.param(r"cart\z", "cart", True, id="the end of the text"),
        pytest.param("(?i)CART", "cart", True, id="a flag at the start"),
        pytest.param("ca(?i)RT", "cart", True, id="a flag in the middle"),
        pytest.param("a|ab", "ab", True, id="the whole value, whichever branch"),
        pytest.param(".*", "two\nlines", False, id="a dot is no line feed"),
        pytest.param("(a+)+$", "a" * 5000 + "!", False, id="nested repetition"),
    ],
)
def test_expressions_are_re2_and_match_in_full(pattern: str, value: str, matches: bool) -> None:
    assert Matcher(label="x", operator="=~", value=pattern).matches({"x": value}) is matches


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("a(b", r"missing \): a\(b"),
        ("a**", r"bad repetition operator: \*\*"),
        ("[b-a]", "invalid character class range: b-a"),
        ("(?=x)", r"invalid perl operator: \(\?="),
        ("a\ud800", "surrogates not allowed"),
    ],
)
def test_a_bad_expression_is_refused_with_the_place(pattern: str, place: str) -> None:
    with pytest.raises(ValidationError, match=place):
        Matcher(label="service", operator="!~", value=pattern)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a=b", ("a", "=", "b")),
        ("a=", ("a", "=", "")),
        (' a =~ "b|c" ', ("a", "=~", "b|c")),
        ('a!="say \\"hi\\", \\\\ and \\n"', ("a", "!=", 'say "hi", \\ and \n')),
        (r"a=~\d+", ("a", "=~", r"\d+")),
        ("a!~x=y", ("a", "!~", "x=y")),
        ("a=b\\", ("a", "=", "b\\")),
        ('"with space"="b"', ("with space", "=", "b")),
        ("größe=1", ("größe", "=", "1")),
    ],
)
def test_text_is_read_as_amtool_writes_it(text: str, read: tuple[str, str, str]) -> None:
    matcher = Matcher.parse(text)
    assert (matcher.label, matcher.operator, matcher.value) == read


@pytest.mark.parametrize("text", ["", "a", "=b", 'a="b', 'a=b"', 'a="b"c"', "a b=c"])
def test_text_that_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="bad matcher format|unescaped double quote"):
        Matcher.parse(text)


EVERYTHING = [
    pytest.param([Matcher(label="a", value="")], id="an empty value"),
    pytest.param([Matcher(label="a", operator="=~", value=".*")], id="any value"),
    pytest.param([Matcher(label="a", operator="=~", value="x|")], id="a branch that is empty"),
    pytest.param(
        [Matcher(label="a", value=""), Matcher(label="b", operator="=~", value="x?")],
        id="two of them",
    ),
]


@pytest.mark.parametrize("matchers", EVERYTHING)
def test_a_silence_of_everything_is_refused(matchers: list[Matcher]) -> None:
    with pytest.raises(ValidationError, match="at least one matcher must not match the empty"):
        Silence(id="s", matchers=tuple(matchers), starts_at=0, ends_at=1)


def test_a_silence_that_ends_before_it_starts_or_has_no_matcher_is_refused() -> None:
    with pytest.raises(ValidationError, match="end time must not be before start time"):
        Silence(id="s", matchers=(Matcher(label="a", value="1"),), starts_at=2, ends_at=1)
    with pytest.raises(ValidationError, match="matchers"):
        Silence(id="s", matchers=(), starts_at=0, ends_at=1)


def test_the_reason_of_a_silence_names_who_and_why() -> None:
    matchers = (Matcher(label="a", operator="!=", value="1"),)
    silence = Silence(id="s", matchers=matchers, starts_at=0, ends_at=1)
    assert silence.reason == "silence s is in force"
    signed = silence.model_copy(update={"created_by": "anna", "comment": "new disks"})
    assert signed.reason == "silence s is in force: anna: new disks"


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
