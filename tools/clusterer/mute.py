"""What people declare: silences, maintenance windows and inhibition rules."""

from datetime import datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from tools.clusterer.matcher import Matcher, all_match
from tools.types import Alert, FrozenModel, Timestamp

LABELLED = frozenset({"alertmanager", "prometheus"})
"""`Alert.source` of senders whose labels say everything: there an absent label is empty."""


def matching_labels(alert: Alert) -> dict[str, str]:
    """The labels matchers see: the alert's own, with the service it was found to be about.

    Senders without Prometheus's labels name an alert and its severity elsewhere; these are added.
    """
    if alert.source in LABELLED:
        return {"service": alert.service, **alert.labels} if alert.service else alert.labels
    return {
        "alertname": alert.name,
        "service": alert.service,
        "severity": alert.severity,
        **alert.labels,
    }


class Silence(FrozenModel):
    """Matching alerts are kept but not told between `starts_at` and `ends_at`.

    Refused as Alertmanager refuses it: without a matcher that an alert without labels fails (it
    would mute everything), and with an end before its start.
    """

    id: str
    matchers: tuple[Matcher, ...] = Field(min_length=1)
    starts_at: Timestamp
    ends_at: Timestamp
    created_by: str = ""
    comment: str = ""

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        if all(matcher.holds_without for matcher in self.matchers):
            raise ValueError("at least one matcher must not match the empty string")
        if self.ends_at < self.starts_at:
            raise ValueError("end time must not be before start time")
        return self

    def mutes(self, labels: dict[str, str], now: Timestamp) -> bool:
        """Whether the silence is in force at `now` and every matcher agrees."""
        return self.starts_at <= now < self.ends_at and all_match(self.matchers, labels)

    @property
    def reason(self) -> str:
        """Why an alert it mutes is not told."""
        said = (f"silence {self.id} is in force", self.created_by, self.comment)
        return ": ".join(part for part in said if part)


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
        return self.is_open(now) and all_match(self.matchers, labels)

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

    Both must have equal values of every label in `equal`, an absent label being empty. No alert
    inhibits itself, and two that match both sides do not inhibit each other (`inhibit/inhibit.go`
    of prometheus/alertmanager).
    """

    source: tuple[Matcher, ...] = Field(min_length=1)
    target: tuple[Matcher, ...] = Field(min_length=1)
    equal: tuple[str, ...] = ()

    def is_source(self, labels: dict[str, str]) -> bool:
        """Whether the label set can inhibit others."""
        return all_match(self.source, labels)

    def is_target(self, labels: dict[str, str]) -> bool:
        """Whether the label set can be inhibited."""
        return all_match(self.target, labels)

    def key(self, labels: dict[str, str]) -> tuple[str, ...]:
        """The values both sides must share."""
        return tuple(labels.get(name, "") for name in self.equal)
