"""What was foretold, told as alerts of its own kind, and what became of it.

A resource that two looks in a row say will be full becomes an alert, days or hours ahead. It ends
when it came true (the resource is full, or an incident of that component and resource began, which
is then told of the forecast), or when it did not come: the line ended or the interval passed.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from pydantic import TypeAdapter, ValidationError

from copilot.case.counters import Counters
from copilot.deps import Deps
from copilot.sources.resources import ComingLimit, ResourceKind, kind_of, spell
from copilot.store import AcceptedAlerts
from copilot.types.incident import Incident
from tools.topology_walker import is_forecast
from tools.topology_walker.signals import stated
from tools.types import Alert, Evidence, FaultKind, FrozenModel, Owner, Timestamp

log = logging.getLogger(__name__)

FORECASTS = "forecasts.json"
"""File of the data folder in which forecasts are kept over a restart."""

LEASE_LOOKS, GONE_LOOKS = 3, 4
"""Looks after which an alert lapses that is not repeated, and a line that is not seen has ended."""

KEPT_S = 90 * 86_400.0
MOST_KEPT = 2000

Outcome = Literal["seen once", "standing", "came true", "not come"]

FAULTS: dict[ResourceKind, FaultKind] = {
    "disk": "disk_full",
    "inodes": "disk_full",
    "memory": "memory_pressure",
    "connections": "pool_exhaustion",
    "certificate": "certificate_expired",
    "queue": "queue_backlog",
    "capacity": "cpu_saturation",
}
"""The kind of fault that a resource at its limit is."""


class ToldForecast(FrozenModel):
    """A forecast as it was first told, when it was last seen to hold, and what became of it."""

    told: ComingLimit
    began: Timestamp
    seen: Timestamp
    outcome: Outcome = "seen once"
    incident: str = ""


_KEPT = TypeAdapter(tuple[ToldForecast, ...])


class Outlook(Protocol):
    """Who says what is coming."""

    full: frozenset[str]

    def coming(self, now: Timestamp) -> Sequence[ComingLimit]:
        """What will reach its limit; raises SourceError where nothing answers."""
        ...


class ForecastAudience(Protocol):
    """Who takes the alerts, and knows the incidents."""

    deps: Deps
    counters: Counters

    @property
    def leading(self) -> bool:
        """Whether this process decides on alerts."""
        ...

    def now(self) -> Timestamp:
        """The time."""
        ...

    def accept(self, alerts: Sequence[Alert], now: Timestamp) -> AcceptedAlerts:
        """Take alerts in."""
        ...


class ForecastTeller:
    """Looks, tells, and settles; kept in a file, so that a restart tells nothing twice."""

    def __init__(
        self, engine: ForecastAudience, outlook: Outlook, path: Path, every_s: float
    ) -> None:
        self._engine, self._outlook, self._path, self._every_s = engine, outlook, path, every_s
        self._kept = {one.told.key: one for one in _read(path)}

    @property
    def forecasts(self) -> tuple[ToldForecast, ...]:
        """What was told, and what became of it."""
        return tuple(self._kept.values())

    def look(self) -> None:
        """One look, by the process that decides on alerts; raises what the source raises."""
        if not self._engine.leading:
            return
        now = self._engine.now()
        found = {one.key: one for one in self._outlook.coming(now)}
        alerts = [one for key in found if (one := self._told(found[key], now)) is not None]
        alerts += [end for one in self.forecasts if (end := self._settled(one, found, now))]
        if alerts:
            self._engine.accept(alerts, now)
        self._write(now)

    def _told(self, one: ComingLimit, now: Timestamp) -> Alert | None:
        """The alert of what is foretold by two looks in a row; repeated while it is."""
        known = self._kept.get(one.key)
        again = known is not None and known.outcome in ("seen once", "standing")
        if known is None or not again or now - known.seen > GONE_LOOKS * self._every_s:
            self._kept[one.key] = ToldForecast(told=one, began=now, seen=now)
            return None
        if known.outcome == "seen once":
            self._engine.counters.add(forecasts_told=1)
            known = ToldForecast(told=one, began=now, seen=now, outcome="standing")
        self._kept[one.key] = known.model_copy(update={"seen": now})
        return one.alert(known.began, now + LEASE_LOOKS * self._every_s)

    def _settled(
        self, one: ToldForecast, found: dict[str, ComingLimit], now: Timestamp
    ) -> Alert | None:
        """The end of the alert where it came true or will not."""
        if one.outcome != "standing":
            return None
        incident = self._incident(one)
        if one.told.key in self._outlook.full or incident is not None:
            outcome: Outcome = "came true"
            self._engine.counters.add(forecasts_came_true=1)
        elif one.told.key not in found and now - one.seen >= GONE_LOOKS * self._every_s:
            outcome = "not come"
            self._engine.counters.add(forecasts_not_come=1)
        else:
            return None
        name = incident.id if incident else ""
        self._kept[one.told.key] = one.model_copy(update={"outcome": outcome, "incident": name})
        if incident is not None:
            ahead = incident.opened_at - one.began
            self._engine.deps.note(
                incident.id, "foretold", f"foretold {spell(ahead)} before: {one.told.said().en}",
                ahead_s=ahead,
            )  # fmt: skip
        ended = one.told.alert(one.began, now)
        return ended.model_copy(update={"status": "resolved", "ends_at": now, "lease": None})

    def _incident(self, one: ToldForecast) -> Incident | None:
        """The incident that it came true as: of that component and resource, and no forecast."""
        active = self._engine.deps.store.incidents.active()
        return next((each for each in active if came_true_as(one, each)), None)

    def _write(self, now: Timestamp) -> None:
        kept = sorted(
            (one for one in self.forecasts if now - one.seen < KEPT_S), key=lambda one: one.seen
        )[-MOST_KEPT:]
        self._kept = {one.told.key: one for one in kept}
        beside = self._path.with_suffix(".new")
        beside.write_bytes(_KEPT.dump_json(tuple(kept)))
        beside.replace(self._path)


def came_true_as(one: ToldForecast, incident: Incident) -> bool:
    """Whether an incident is what was foretold: the same component and resource, and a fault."""
    if incident.opened_at < one.began:
        return False
    owner = Owner.parse(one.told.owner).service
    return any(
        Owner.parse(item.subject).service == owner and _of_kind(one.told.kind, item)
        for item in incident.evidence
    )


def _of_kind(kind: ResourceKind, item: Evidence) -> bool:
    if item.kind == "alert":
        return not is_forecast(item.name) and stated(item.name) == FAULTS.get(kind)
    return item.kind == "metric" and kind_of(item.query.rpartition("|")[2]) == kind


def _read(path: Path) -> tuple[ToldForecast, ...]:
    """What an earlier process told; a file that cannot be read is begun anew, and said."""
    try:
        return _KEPT.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError, json.JSONDecodeError) as error:
        log.warning("%s cannot be read and is begun anew: %s", path, str(error).splitlines()[0])
        return ()
