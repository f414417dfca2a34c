"""What people declare: silences, maintenance windows and inhibition rules, by conditions on labels
as Alertmanager has them (four operators, RE2 expressions, in text too).
"""

import re
from datetime import datetime, time, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import re2
from pydantic import AfterValidator, Field, model_validator

from tools.types import Alert, FrozenModel, Timestamp

Operator = Literal["=", "!=", "=~", "!~"]

_QUIET = re2.Options()
_QUIET.log_errors = False  # a bad expression is the answer to who wrote it, no line on our terminal

_BY_FLAGS: dict[tuple[bool, bool], Operator] = {
    (False, True): "=",
    (False, False): "!=",
    (True, True): "=~",
    (True, False): "!~",
}
_FLAGS = {operator: flags for flags, operator in _BY_FLAGS.items()}

# The name is Prometheus's, or any other word of UTF-8, or quoted; `=~` stands before `=`.
_TEXT = re.compile(
    r"""\s*(?P<name>"(?:[^"\\]|\\.)+"|[^\s{}!=~,\\'"`]+)\s*(?P<operator>=~|=|!=|!~)\s*(?P<value>.*?)\s*""",
    re.DOTALL,
)
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


class Matcher(FrozenModel):
    """One condition on a label, in Alertmanager's four operators; a missing label is empty.

    Expressions are RE2 and match in full. Matching takes time linear in the length of the value.

    >>> Matcher(label="service", operator="=~", value="cart|checkout").matches({"service": "cart"})
    True
    """

    label: str
    operator: Operator = "="
    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name="value"` as amtool and Alertmanager's API do; quotes may be left out.

        >>> str(Matcher.parse('severity =~ "critical|page"'))
        'severity=~"critical|page"'
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"bad matcher format: {text}")
        name = found["name"]
        label = _unquoted(name, name) if name.startswith('"') else name
        value = _unquoted(found["value"], found["value"])
        return cls.model_validate({"label": label, "operator": found["operator"], "value": value})

    @classmethod
    def flagged(cls, label: str, value: str, *, regex: bool, equal: bool) -> Self:
        """From the two flags by which Alertmanager's API says the operator."""
        return cls(label=label, operator=_BY_FLAGS[regex, equal], value=value)

    @property
    def flags(self) -> tuple[bool, bool]:
        """Whether it is an expression, and whether it asks for equality: `isRegex`, `isEqual`."""
        return _FLAGS[self.operator]

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        if self.operator in ("=~", "!~"):
            try:
                re2.compile(self.value, _QUIET)
            except (re2.error, UnicodeEncodeError) as problem:
                raise ValueError(
                    f"matcher on {self.label!r}: {self.value!r} is not a regular expression "
                    f"({_reason(problem)}); correct the pattern"
                ) from problem
        return self

    @cached_property
    def _pattern(self) -> Any:
        return re2.compile(self.value, _QUIET)

    @property
    def holds_without(self) -> bool:
        """Whether it asks for a value that an absent label has; negations ask for none.

        As `matchesEmpty` in prometheus/alertmanager `silence/silence.go`.
        """
        return self.operator in ("=", "=~") and self.matches({})

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether the label set satisfies the condition."""
        found = labels.get(self.label, "")
        if self.operator == "=":
            return found == self.value
        if self.operator == "!=":
            return found != self.value
        hit = self._pattern.fullmatch(found) is not None
        return hit if self.operator == "=~" else not hit

    def __str__(self) -> str:
        """As `parse` reads it."""
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.operator}"{escaped}"'


def all_match(matchers: tuple[Matcher, ...], labels: dict[str, str]) -> bool:
    """Whether every condition holds."""
    return all(matcher.matches(labels) for matcher in matchers)


def expression_fault(expression: str) -> str:
    """What is wrong with an RE2 expression, with the place; empty where it can be used."""
    try:
        re2.compile(expression, _QUIET)
    except (re2.error, UnicodeEncodeError) as problem:
        return _reason(problem)
    return ""


def _reason(problem: Exception) -> str:
    """RE2 names what it did not expect and where, in bytes."""
    said = problem.args[0] if problem.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(problem)


def _unquoted(raw: str, shown: str) -> str:
    """The text of a value, by OpenMetrics' rules: a lone backslash stands for itself."""
    quoted = raw.startswith('"')
    rest, out = raw[quoted:], []
    closed = not quoted
    position = 0
    while position < len(rest):
        letter = rest[position]
        following = rest[position + 1 : position + 2]
        if letter == "\\" and following:
            out.append(_ESCAPED.get(following, letter + following))
            position += 2
            continue
        if letter == '"':
            if closed or following:
                raise ValueError(f"matcher value contains unescaped double quote: {shown}")
            closed = True
        else:
            out.append(letter)
        position += 1
    if not closed:
        raise ValueError(f"matcher value contains unescaped double quote: {shown}")
    return "".join(out)


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
DAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


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
    days: tuple[Weekday, ...] = DAYS
    start: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    minutes: int = Field(gt=0, le=7 * 24 * 60)
    zone: Zone = "UTC"
    comment: str = ""

    def mutes(self, labels: dict[str, str], now: Timestamp) -> bool:
        """Whether the window is open at `now` and every matcher agrees."""
        return self.is_open(now) and all_match(self.matchers, labels)

    def is_open(self, now: Timestamp) -> bool:
        """Whether `now` lies in an occurrence that began within the last `minutes`."""
        return self.closes_at(now) is not None

    def closes_at(self, now: Timestamp) -> Timestamp | None:
        """When the occurrence that holds `now` ends; None where none does."""
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(now, zone).date()
        opens_at = time.fromisoformat(self.start)
        for back in range(self.minutes // (24 * 60) + 2):
            day = today - timedelta(days=back)
            opened = datetime.combine(day, opens_at, tzinfo=zone).timestamp()
            if DAYS[day.weekday()] in self.days and opened <= now < opened + self.minutes * 60:
                return opened + self.minutes * 60
        return None

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
