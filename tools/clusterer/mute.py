"""What people declare: silences, maintenance windows and inhibition rules."""

import re
from datetime import datetime, time, timedelta
from functools import cached_property
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from tools.types import Alert, FrozenModel, Timestamp

Operator = Literal["=", "!=", "=~", "!~"]
_LONGEST = 4096


class Matcher(FrozenModel):
    """One condition on a label, in Alertmanager's four operators; a missing label is empty.

    >>> Matcher(label="service", operator="=~", value="cart|checkout").matches({"service": "cart"})
    True
    """

    label: str
    operator: Operator = "="
    value: str

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        if self.operator in ("=~", "!~"):
            try:
                re.compile(self.value)
            except re.error as problem:
                raise ValueError(
                    f"matcher on {self.label!r}: {self.value!r} is not a regular expression "
                    f"({problem}); correct the pattern"
                ) from problem
        return self

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.value)

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether the label set satisfies the condition (regular expressions match in full)."""
        found = labels.get(self.label, "")
        if self.operator == "=":
            return found == self.value
        if self.operator == "!=":
            return found != self.value
        # Label values are untrusted: a pattern of an operator must not meet a megabyte.
        hit = self._pattern.fullmatch(found[:_LONGEST]) is not None
        return hit if self.operator == "=~" else not hit


def matching_labels(alert: Alert) -> dict[str, str]:
    """The labels matchers see: the alert's own, with name, service and severity always there."""
    return {
        "alertname": alert.name,
        "service": alert.service,
        "severity": alert.severity,
        **alert.labels,
    }


class Silence(FrozenModel):
    """Matching alerts are kept but not told between `starts_at` and `ends_at`."""

    id: str
    matchers: tuple[Matcher, ...] = Field(min_length=1)
    starts_at: Timestamp
    ends_at: Timestamp
    comment: str = ""

    def mutes(self, labels: dict[str, str], now: Timestamp) -> bool:
        """Whether the silence is in force at `now` and every matcher agrees."""
        return self.starts_at <= now < self.ends_at and _all_match(self.matchers, labels)

    @property
    def reason(self) -> str:
        """Why an alert it mutes is not told."""
        return f"silence {self.id} is in force" + (f": {self.comment}" if self.comment else "")


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _known(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as problem:
        raise ValueError(
            f"unknown time zone {zone!r}; use a name such as 'Asia/Shanghai' or 'UTC'"
        ) from problem
    return zone


Zone = Annotated[str, AfterValidator(_known)]


class MaintenanceWindow(FrozenModel):
    """A silence that repeats by the wall clock of a time zone (it follows daylight saving).

    `start` and `minutes` say when it opens on each of `days` and how long it stays open; it may
    run past midnight.
    """

    id: str
    matchers: tuple[Matcher, ...] = ()
    days: tuple[Weekday, ...] = _DAYS
    start: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    minutes: int = Field(gt=0, le=7 * 24 * 60)
    zone: Zone = "UTC"
    comment: str = ""

    def mutes(self, labels: dict[str, str], now: Timestamp) -> bool:
        """Whether the window is open at `now` and every matcher agrees."""
        return self.is_open(now) and _all_match(self.matchers, labels)

    def is_open(self, now: Timestamp) -> bool:
        """Whether `now` lies in an occurrence that began within the last `minutes`."""
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(now, zone).date()
        opens_at = time.fromisoformat(self.start)
        for back in range(self.minutes // (24 * 60) + 2):
            day = today - timedelta(days=back)
            opened = datetime.combine(day, opens_at, tzinfo=zone).timestamp()
            if _DAYS[day.weekday()] in self.days and opened <= now < opened + self.minutes * 60:
                return True
        return False

    @property
    def reason(self) -> str:
        """Why an alert it mutes is not told."""
        when = f"{self.start} {self.zone} for {self.minutes} min"
        return f"maintenance window {self.id} ({when}) is open" + (
            f": {self.comment}" if self.comment else ""
        )


class Inhibition(FrozenModel):
    """While an alert matching `source` fires, one matching `target` is not told.

    Both must have equal values of every label in `equal`; an alert that matches both sides does
    not inhibit itself, as in Alertmanager.
    """

    source: tuple[Matcher, ...] = Field(min_length=1)
    target: tuple[Matcher, ...] = Field(min_length=1)
    equal: tuple[str, ...] = ()

    def is_source(self, labels: dict[str, str]) -> bool:
        """Whether the label set can inhibit others."""
        return _all_match(self.source, labels)

    def is_target(self, labels: dict[str, str]) -> bool:
        """Whether the label set can be inhibited."""
        return _all_match(self.target, labels)

    def key(self, labels: dict[str, str]) -> tuple[str, ...]:
        """The values both sides must share."""
        return tuple(labels.get(name, "") for name in self.equal)


def _all_match(matchers: tuple[Matcher, ...], labels: dict[str, str]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)
