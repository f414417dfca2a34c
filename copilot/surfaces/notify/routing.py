"""Who is told: one strict file of targets and routes, and the decision it comes to for an incident.

Routes are read from the top, as Alertmanager reads its own: the first whose conditions all hold for
one alert of the incident decides, unless it says `continue`. Conditions are written as there, and
hold of the labels of an alert and of what is known of the incident (`facets`).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from copilot.alerts.maintenance import WeeklyHours
from copilot.surfaces.notify.channels import AnyChannel, Condition
from copilot.types import strict_toml
from copilot.types.incident import Incident, certainty_of
from copilot.types.notice import Moment
from copilot.types.on_call import OnCallNow
from copilot.types.time_format import duration
from tools.clusterer import Matcher
from tools.clusterer.mute import all_match
from tools.types import Alert, FrozenModel, Timestamp

MOST_ALERTS = 500
"""Alerts of one incident whose labels are looked at; the rest of a storm is more of the same."""

ON_CALL = "oncall"
"""The name by which routes tell who is on call."""

TEAM_LABELS = ("team", "owner", "squad")


class NotifyFileError(strict_toml.FileError):
    """The file about channels is wrong; the message says in which file, at which key, and what."""

    setting = "notify_file"
    page = "docs/notify.md"


class Escalation(FrozenModel):
    """Who is told where nobody has taken an incident so long after its route was told."""

    to: tuple[str, ...] = Field(min_length=1)
    after_s: float = Field(ge=30, le=7 * 86_400)


class NotifyRoute(FrozenModel):
    """Targets, and for whom and when they are told; `escalate`: who next, if nobody takes it."""

    to: tuple[str, ...] = Field(min_length=1)
    match: tuple[Condition, ...] = ()
    moments: tuple[Moment, ...] = ()  # none: all
    within: WeeklyHours | None = None
    escalate: tuple[Escalation, ...] = ()
    go_on: bool = Field(default=False, alias="continue")

    @property
    def reaches(self) -> tuple[str, ...]:
        """Every target that it may tell, sooner or later."""
        return (*self.to, *(name for one in self.escalate for name in one.to))

    def __str__(self) -> str:
        """Its conditions, as a person would say which route it is."""
        return ", ".join(map(str, self.match)) or "everything"

    def refusal(self, facets: Sequence[Mapping[str, str]], moment: Moment, now: Timestamp) -> str:
        """Why it does not hold; empty where it does."""
        if self.moments and moment not in self.moments:
            return f"it tells {', '.join(self.moments)} only, and this is {moment}"
        if self.within is not None and self.within.closes_at(now) is None:
            hours = f"{', '.join(self.within.hours)} {self.within.zone}"
            return f"it holds {hours} on {', '.join(self.within.days)} only"
        if any(all_match(self.match, {**one}) for one in facets):
            return ""
        return _missed(self.match, facets)


def _missed(match: Sequence[Matcher], facets: Sequence[Mapping[str, str]]) -> str:
    """Which condition no alert meets; where each is met by some, that no one meets all."""
    for condition in match:
        if not any(condition.matches({**one}) for one in facets):
            values = sorted({one.get(condition.label, "") for one in facets})[:3]
            return f"{condition} does not hold: it is {', '.join(map(repr, values))}"
    return "no single alert of it meets all conditions"


class StormLimit(FrozenModel):
    """From `incidents` of one target within `within_s`, further ones share a message with counts.

    It is brought up to date every `every_s` at most.
    """

    incidents: int = Field(default=10, ge=2)
    within_s: float = Field(default=300, gt=0)
    every_s: float = Field(default=120, ge=1)


class OnCallTargets(FrozenModel):
    """What `oncall` comes to: targets of the first person of the schedule who has any; those of
    `otherwise` where nobody on call has one, or nobody knows who is.
    """

    otherwise: tuple[str, ...] = Field(min_length=1)
    schedule: str = ""


class NotifyFile(FrozenModel):
    """The file, read. `hosts` are the only ones that anything is sent to."""

    hosts: tuple[str, ...] = ()
    oncall: OnCallTargets | None = None
    targets: tuple[AnyChannel, ...] = Field(min_length=1)
    routes: tuple[NotifyRoute, ...] = Field(min_length=1)
    storm: StormLimit = StormLimit()
    wait_s: float = Field(default=10, ge=0, le=300)
    give_up_s: float = Field(default=6 * 3600, gt=0)

    @model_validator(mode="after")
    def _knows_otherwise(self) -> Self:
        if self.target(ON_CALL) is not None:
            raise ValueError(f"a target is named {ON_CALL!r}, which means who is on call")
        for name in self.oncall.otherwise if self.oncall else ():
            if self.target(name) is None:
                raise ValueError(f"oncall.otherwise: no target {name!r}")
        return self

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [one.name for one in self.targets]
        names += [ON_CALL] if self.oncall else []
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two targets are named {name!r}")
        for number, route in enumerate(self.routes):
            for name in route.reaches:
                if name not in names:
                    known = ", ".join(names)
                    if name == ON_CALL:
                        known += "; to tell who is on call, write oncall: {otherwise: [TARGET]}"
                    raise ValueError(f"routes[{number}]: no target {name!r}; there are: {known}")
            always = not (route.match or route.moments or route.within or route.go_on)
            if always and number + 1 < len(self.routes):
                raise ValueError(
                    f"routes[{number}] takes everything, so those after it are never reached; "
                    "move it to the end, or let it say continue: true"
                )
        return self

    def target(self, name: str) -> AnyChannel | None:
        """The target of that name."""
        return next((one for one in self.targets if one.name == name), None)

    def on_call(self, told: OnCallNow | None) -> tuple[str, ...]:
        """The targets that `oncall` comes to now."""
        for person in told.people if told else ():
            known = {person.name, person.handle} - {""}
            if theirs := tuple(one.name for one in self.targets if one.person in known):
                return theirs
        return self.oncall.otherwise if self.oncall else ()

    def may_reach(self, route: NotifyRoute, name: str) -> bool:
        """Whether a route may tell a target, sooner or later."""
        channel, named = self.target(name), self.oncall
        if ON_CALL in route.reaches and named is not None and channel is not None:
            return bool(channel.person) or name in (*named.otherwise, *route.reaches)
        return name in route.reaches

    def decide(
        self,
        facets: Sequence[Mapping[str, str]],
        moment: Moment,
        now: Timestamp,
        told_now: OnCallNow | None = None,
    ) -> "RoutingDecision":
        """Which targets are told, each with the route, and what became of every route; `told_now`
        is who is on call.
        """
        on_call = self.on_call(told_now)

        def meant(names: Sequence[str]) -> tuple[str, ...]:
            found = [one for name in names for one in (on_call if name == ON_CALL else (name,))]
            return tuple(dict.fromkeys(found))

        told: dict[str, str] = {}
        next_told: list[NextTold] = []
        lines = []
        over = ""
        for number, route in enumerate(self.routes, 1):
            why = over or route.refusal(facets, moment, now)
            name = f"route {number} ({route})"
            first = meant(route.to)
            later = [
                f"after {duration(one.after_s)} without a taker {', '.join(meant(one.to))}"
                for one in route.escalate
            ]
            lines.append(f"{name}: {why or 'holds: ' + ', '.join((*first, *later))}")
            if why:
                continue
            next_told += [
                NextTold(target=target, after_s=one.after_s, first=first, route=name)
                for one in route.escalate
                for target in meant(one.to)
            ]
            told |= {target: name for target in first if target not in told}
            over = "" if route.go_on else f"not reached: {name} decided"
        return RoutingDecision(told=told, next_told=tuple(next_told), lines=tuple(lines))


class NextTold(FrozenModel):
    """A target that an escalation tells, so long after the `first` ones of its route."""

    target: str
    after_s: float
    first: tuple[str, ...]
    route: str


class RoutingDecision(FrozenModel):
    """Target to the route that named it, who comes after them, and a line for each route."""

    told: dict[str, str]
    next_told: tuple[NextTold, ...] = ()
    lines: tuple[str, ...]


def read(path: Path) -> NotifyFile:
    """The file, or `NotifyFileError` with the key that is wrong."""
    return strict_toml.read(path, NotifyFile, NotifyFileError)


def facets(incident: Incident, alerts: Iterable[Alert]) -> tuple[dict[str, str], ...]:
    """The label sets that conditions are held against: one for each alert, or one for none.

    Of the incident: severity, status, certainty, and of a located cause kind (of fault) and
    component.
    """
    ranking, located = incident.ranking, incident.ranking.located
    known = {
        "severity": incident.severity,
        "status": incident.status,
        "certainty": certainty_of(incident, ranking) if ranking.candidates else "",
        "kind": "" if located is None else located.fault_kind or "unknown",
        "component": "" if located is None else located.component,
    }
    found = [{**_labels(one), **known} for one in list(alerts)[:MOST_ALERTS]]
    services = [{"service": name, **known} for name in incident.services]
    unique = {tuple(sorted(one.items())): one for one in (*found, *services)}
    return tuple(unique.values()) or (known,)


def _labels(alert: Alert) -> dict[str, str]:
    team = next((alert.labels[name] for name in TEAM_LABELS if name in alert.labels), "")
    return {
        **alert.labels,
        "alertname": alert.name,
        "service": alert.service or alert.labels.get("service", "") or alert.subject.name,
        "namespace": alert.subject.namespace or alert.labels.get("namespace", ""),
        "team": team,
        "source": alert.source,
    }
