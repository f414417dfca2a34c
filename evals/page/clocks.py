"""1-5-10 per incident: when it was detected, located, recovered, and the share in each limit."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import JsonValue

from copilot.types.incident import LIMITS_S
from evals.localization.paired import interval
from evals.page.jobs import JobRun
from evals.page.outcomes import CaseRow, figure, text
from evals.report import EvalArm
from tools.types import FrozenModel

ClockName = Literal["detected", "located", "recovered"]
CLOCKS: tuple[ClockName, ...] = ("detected", "located", "recovered")
TARGETS: Mapping[ClockName, float] = {"detected": 0.95, "located": 0.85, "recovered": 0.80}
"""The share of incidents that has to stay inside the limit."""


class ClockRecord(FrozenModel):
    """One incident: seconds from its onset to each clock.

    A clock that was measured and never (or wrongly) reached is None; one that the suite cannot
    measure is left out. `right`: the located component was the one at fault.
    """

    suite: str
    arm: EvalArm
    id: str
    system: str
    kind: str
    right: float | None = None
    seconds: Mapping[ClockName, float | None]

    def within(self, clock: ClockName) -> bool | None:
        """Inside the limit; None where it was not measured."""
        if clock not in self.seconds:
            return None
        after = self.seconds[clock]
        return after is not None and after <= LIMITS_S[clock]


class Share(FrozenModel):
    """How many of the measured incidents stayed inside a limit."""

    inside: int
    of: int
    low: float
    high: float


def clocked(runs: Sequence[JobRun]) -> tuple[ClockRecord, ...]:
    """Every incident of the suites that have clocks."""
    found = []
    for run in runs:
        if run.result is None:
            continue
        if run.suite in ("demo", "incidents", "reasoning"):
            watched = _watched(run.result.notes)
            found += [_recorded(run, row, watched) for row in run.result.cases]
        elif run.suite == "recovery":
            own = (row for row in run.result.cases if row.get("arm") == run.arm)
            found += [_lived(run, row) for row in own if row.get("sort") == "fault"]
    return tuple(found)


def share(incidents: Sequence[ClockRecord], clock: ClockName) -> Share | None:
    """The share inside the limit, with its 95 % interval; nothing where nothing was measured."""
    judged = [one.within(clock) for one in incidents]
    known = [one for one in judged if one is not None]
    if not known:
        return None
    low, high = interval(sum(known), len(known))
    return Share(inside=sum(known), of=len(known), low=low, high=high)


def grouped(
    incidents: Sequence[ClockRecord], by: Literal["system", "kind"]
) -> dict[str, list[ClockRecord]]:
    """Incidents by system or by kind of fault, in the order of the names."""
    groups: dict[str, list[ClockRecord]] = defaultdict(list)
    for one in incidents:
        groups[getattr(one, by) or "not named"].append(one)
    return dict(sorted(groups.items()))


def _watched(notes: Mapping[str, JsonValue]) -> dict[str, float | None]:
    """Delay of the copilot's own watch by incident, of those it was replayed on."""
    found: dict[str, float | None] = {}
    detection = notes.get("detection")
    for one in detection.values() if isinstance(detection, dict) else ():
        delays = one.get("by_incident") if isinstance(one, dict) else None
        if isinstance(delays, dict):
            found |= {name: figure(delay) for name, delay in delays.items()}
    return found


def _recorded(run: JobRun, row: CaseRow, watched: Mapping[str, float | None]) -> ClockRecord:
    """Detected: the recorded page or the watch, whichever was first; nobody acts on a recording."""
    id_, right = text(row.get("id")), figure(row.get("ac1"))
    paged, seen = figure(row.get("paged_s")), watched.get(id_)
    known = [one for one in (paged, seen) if one is not None]
    detected = min(known, default=None)
    stages = row.get("stage_seconds")
    took = [figure(one) for name, one in stages.items() if name != "brief"] if isinstance(
        stages, dict
    ) else []  # fmt: skip
    located = right == 1.0 and not row.get("abstained")
    after = (detected or 0.0) + sum(one for one in took if one is not None)
    seconds: dict[ClockName, float | None] = {"located": after if located else None}
    if paged is not None or id_ in watched:
        seconds["detected"] = detected
    return ClockRecord(
        suite=run.suite,
        arm=run.arm,
        id=id_,
        system=text(row.get("system")),
        kind=text(row.get("fault_type")),
        right=right,
        seconds=seconds,
    )


def _lived(run: JobRun, row: CaseRow) -> ClockRecord:
    clocks = row.get("clocks")
    given = clocks if isinstance(clocks, dict) else {}
    seconds: dict[ClockName, float | None] = {
        clock: figure(given[clock]) for clock in CLOCKS if clock in given
    }
    return ClockRecord(
        suite=run.suite,
        arm=run.arm,
        id=text(row.get("id")),
        system=text(row.get("system")),
        kind=text(row.get("kind")),
        right=float(seconds.get("located") is not None),
        seconds=seconds,
    )
