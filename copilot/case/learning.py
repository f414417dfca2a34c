"""What the site learns of an incident whose cause a person confirmed, and what it knows by now.

How, and how much it may weigh: docs/learning.md.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from copilot.store import Store
from copilot.types.incident import Incident, ShippedAnswer
from tools.topology_walker.site import LEAST, Lesson, SiteCalibration, SiteMemory, lesson
from tools.types import FaultKind, Ranking, Timestamp


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """What was learned, for people: how many incidents, until when, and of which kinds."""

    incidents: int
    until: Timestamp | None
    kinds: Mapping[str, Sequence[str]]
    calibration: SiteCalibration | None

    @property
    def sure(self) -> str:
        """How the chances are calibrated here, in a line."""
        if self.calibration is None:
            return f"chances as shipped: {self.incidents} of {LEAST} confirmed incidents"
        fit = self.calibration
        return (
            f"chances fitted here on {fit.incidents} incidents: log-odds x {fit.slope:.2f} "
            f"{fit.shift:+.2f}"
        )


def summary(store: Store) -> SiteSummary:
    """What the site has learned by now."""
    rows, known = store.causes.taught(), memory(store)
    kinds: dict[str, list[str]] = defaultdict(list)
    for one in known.lessons:
        kinds[one.fault_kind].append(one.incident)
    return SiteSummary(
        incidents=len(known.lessons),
        until=max((row.at for row in rows), default=None),
        kinds=dict(sorted(kinds.items())),
        calibration=known.calibration,
    )


def memory(store: Store) -> SiteMemory:
    """The lessons of this site; one that another version wrote and this cannot read is left out."""
    found = []
    for row in store.causes.taught():
        try:
            found.append(Lesson.model_validate_json(row.lesson))
        except ValidationError:
            continue
    return SiteMemory(found)


def lesson_of(incident: Incident, component: str, kind: FaultKind) -> str:
    """What the incident teaches of its cause, as it is stored."""
    answer = incident.shipped or as_shipped(incident.ranking)
    taught = lesson(
        incident.id, (component, kind), answer.candidates, incident.evidence, answer.chance
    )
    return taught.model_dump_json()


def as_shipped(ranking: Ranking) -> ShippedAnswer:
    """The part of a ranking that the shipped rules are judged by; nothing learned is in it."""
    chances = [one.probability for one in ranking.candidates[:1] if ranking.calibrated]
    return ShippedAnswer(candidates=ranking.candidates[:KEPT], chance=next(iter(chances), None))


KEPT = 12
"""Candidates kept: the cause, where it is among them, and those that were innocent."""
