"""Alertmanager's API, version 2: the alerts it holds, and the silences people declared.

Source: prometheus/alertmanager `api/v2/openapi.yaml`. A silenced or inhibited alert is told as what
it is, firing; that nobody is to be woken for it is what `silences` and the annotation say.
"""

from collections.abc import Sequence
from typing import Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from copilot.alerts.formats.alertmanager import OUR_LABEL, PostedAlert
from copilot.alerts.formats.fields import CleanName, CleanText, Moment, Payload
from copilot.alerts.formats.normal import normalised
from copilot.ports import Clock, SourceError
from copilot.sources.json_api import JsonApi
from tools.clusterer import Matcher, Silence
from tools.types import Alert, Window

MOST_ALERTS = 10_000
SUPPRESSED_BY = "suppressed_by"
"""Annotation of an alert that Alertmanager tells nobody of: the ids of silences and inhibitors."""


class _Status(Payload):
    state: Literal["active", "suppressed", "unprocessed"] = "active"
    silenced_by: tuple[CleanName, ...] = Field(default=(), alias="silencedBy")
    inhibited_by: tuple[CleanName, ...] = Field(default=(), alias="inhibitedBy")


class _Held(PostedAlert):
    fingerprint: CleanName = ""
    status: _Status = _Status()


class _Matcher(Payload):
    name: CleanName
    value: CleanText
    is_regex: bool = Field(default=False, alias="isRegex")
    is_equal: bool = Field(default=True, alias="isEqual")


class _SilenceStatus(Payload):
    state: Literal["expired", "active", "pending"] = "active"


class _Declared(Payload):
    id: CleanName
    status: _SilenceStatus = _SilenceStatus()
    matchers: tuple[_Matcher, ...]
    starts_at: Moment = Field(default=None, alias="startsAt")
    ends_at: Moment = Field(default=None, alias="endsAt")
    comment: CleanText = ""
    created_by: CleanName = Field(default="", alias="createdBy")


_Item = TypeVar("_Item")
_HELD = TypeAdapter(list[_Held])
_DECLARED = TypeAdapter(list[_Declared])


class AlertmanagerSource:
    """The alerts of one Alertmanager; it forgets what is resolved, so only open ones are told."""

    def __init__(self, api: JsonApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._problems: tuple[str, ...] = ()

    def alerts(self, window: Window) -> Sequence[Alert]:
        """Alerts that began inside the window and are still open, suppressed ones too."""
        everything = {"active": True, "silenced": True, "inhibited": True, "unprocessed": True}
        asked = {name: str(wanted).lower() for name, wanted in everything.items()}
        held = self._valid(_HELD, self._api.get("/api/v2/alerts", asked))
        now = self._clock.now()
        self._problems = (
            (f"holds {len(held)} alerts, of which {MOST_ALERTS} are read",)
            if len(held) > MOST_ALERTS
            else ()
        )
        theirs = (one for one in held[:MOST_ALERTS] if OUR_LABEL not in one.labels)
        found = (_alert(one, now) for one in theirs)
        return tuple(
            alert for alert in found if alert.starts_at in window and alert.starts_at <= now
        )

    def silences(self) -> Sequence[Silence]:
        """The silences in force or to come; one of no matcher that we can hold is left out."""
        declared = self._valid(_DECLARED, self._api.get("/api/v2/silences"))
        made = (_silence(one) for one in declared if one.status.state != "expired")
        return tuple(silence for silence in made if silence is not None)

    def describe(self) -> str:
        """Where it is, and how many alerts and silences it holds."""
        held = self.alerts(Window(start=0, end=self._clock.now()))
        return f"{self._api.source}: {len(held)} open alerts, {len(self.silences())} silences"

    def problems(self) -> Sequence[str]:
        """What the last answer lacked."""
        return self._problems

    def _valid(self, kind: TypeAdapter[list[_Item]], found: object) -> list[_Item]:
        try:
            return kind.validate_python(found)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            problem = f"answered what API v2 does not document: {where}: {first['msg']}"
            raise SourceError(self._api.source, problem, recoverable=False) from error


def _alert(held: _Held, now: float) -> Alert:
    by = (*held.status.silenced_by, *held.status.inhibited_by)
    told = {SUPPRESSED_BY: ", ".join(by)} if by else {}
    return normalised(
        held.labels,
        {**held.annotations, **told},
        status="firing",
        starts_at=now if held.starts_at is None else held.starts_at,
        ends_at=None,
        source="alertmanager",
        fingerprint=held.fingerprint,
        generator_url=held.generator_url,
    )


def _silence(declared: _Declared) -> Silence | None:
    if declared.starts_at is None or declared.ends_at is None:
        return None
    try:
        return Silence(
            id=declared.id,
            matchers=tuple(
                Matcher.flagged(m.name, m.value, regex=m.is_regex, equal=m.is_equal)
                for m in declared.matchers
            ),
            starts_at=declared.starts_at,
            ends_at=declared.ends_at,
            created_by=declared.created_by,
            comment=declared.comment,
        )
    except ValidationError:
        return None  # what a later version may allow: muting by half would be wrong
