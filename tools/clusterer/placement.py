"""Which group a burst of alerts belongs to: by time, by call path, by whom the alerts accuse."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tools.clusterer.config import ClustererConfig
from tools.clusterer.group import Group
from tools.clusterer.reach import Reach
from tools.clusterer.wording import accused, names_cause
from tools.types import Alert, AlertGroup, Timestamp


class PairJudge(Protocol):
    """Decides the uncertain pairs only; the seam a language model may stand behind."""

    def same_incident(self, alert: Alert, group: AlertGroup) -> bool | None:
        """True to merge, False to split, None to leave it to the rules."""
        ...


@dataclass(frozen=True, slots=True)
class Fresh:
    """An alert that needs a place, with the time it is placed by and whom it accuses."""

    alert: Alert
    at: Timestamp
    suspect: str
    by_call: bool
    momentary: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where an alert goes: an open group, or (None) the new group of its burst."""

    group: Group | None
    reason: str
    root: str = ""


class Placement:
    """Places bursts. A burst is a run of alerts of one scope that start within seconds.

    In the `ml` arm a service is a root when the burst, with what strayed into open groups before,
    accuses it on two counts: two alert names of its own, or one alert about calls to it. A root
    that no open group explains (it is not the group's root, nor calls it) opens a group of its
    own even while another group of its scope burns: that is how overlapping incidents are split.
    Everything else goes where a call path leads, then where time leads.
    """

    def __init__(self, reach: Reach, config: ClustererConfig, judge: PairJudge | None) -> None:
        self._reach = reach
        self._config = config
        self._judge = judge
        self._split = config.arm == "ml"

    def fresh(self, alert: Alert, at: Timestamp, momentary: bool) -> Fresh:
        """Read an alert's accusation."""
        suspect, by_call = accused(alert, self._config.callee_labels, self._reach.known)
        return Fresh(alert, at, suspect, by_call, momentary)

    def place(self, burst: Sequence[Fresh], open_groups: Sequence[Group]) -> list[Place]:
        """One place per alert; all that get a new group get the same."""
        groups = sorted(open_groups, key=lambda group: group.last_at, reverse=True)
        homes = self._homes(burst, groups) if self._split else {}
        return [self._one(fresh, groups, homes) for fresh in burst]

    def near(self, group: Group, fresh: Fresh, related: bool) -> bool:
        """Whether the group still takes an alert of this time."""
        config = self._config
        gap, quiet = group.gap(fresh.at), group.quiet(fresh.at)
        if fresh.momentary and group.events >= config.storm_events:
            return gap <= min(config.related_gap, max(config.storm_pause, 30 * group.pace()))
        if related:
            return gap <= config.related_gap or (quiet == 0 and not fresh.momentary)
        if not self._split:
            return gap <= config.related_gap
        return gap <= config.unrelated_gap and quiet <= config.unrelated_quiet

    def _homes(self, burst: Sequence[Fresh], groups: Sequence[Group]) -> dict[str, Place]:
        """For each root the burst reveals: the group it belongs to."""
        counts: dict[str, set[str]] = defaultdict(set)
        sure: set[str] = set()
        for fresh in burst:
            if fresh.suspect in self._reach.linked:
                counts[fresh.suspect].add(fresh.alert.name)
                sure.update([fresh.suspect] if fresh.by_call else ())
        for group in groups:
            for service in counts:
                counts[service] |= group.strays.get(service, set())
        strong = {name for name, kinds in counts.items() if len(kinds) >= 2 or name in sure}
        roots = [
            name
            for name in strong
            if not any(other != name and self._reach.explains(other, name) for other in strong)
            or self._in_cycle(name, strong)
        ]
        return {root: self._home(root, burst, groups) for root in sorted(roots)}

    def _in_cycle(self, name: str, strong: set[str]) -> bool:
        # Two services that call each other explain each other; neither may vanish.
        explainers = [other for other in strong if self._reach.explains(other, name)]
        return all(self._reach.explains(name, other) for other in explainers)

    def _home(self, root: str, burst: Sequence[Fresh], groups: Sequence[Group]) -> Place:
        first = next(fresh for fresh in burst if fresh.suspect == root)
        for group in groups:
            if not self.near(group, first, related=True):
                continue
            if group.gap(first.at) <= self._config.burst:
                return Place(group, f"started within {self._config.burst:.0f} s of it", root)
            if any(self._reach.explains(known, root) for known in group.roots):
                return Place(group, f"{root} calls its root, or is it")
            if self._is_deeper(root, group):
                return Place(group, f"{root} explains all of its alerts", root)
        return Place(None, f"{root} is accused twice and no open group explains it", root)

    def _is_deeper(self, root: str, group: Group) -> bool:
        """A group of symptoms only, all of them callers of `root`, has found its cause."""
        return not group.causes and all(self._reach.explains(root, each) for each in group.roots)

    def _one(self, fresh: Fresh, groups: Sequence[Group], homes: dict[str, Place]) -> Place:
        for root, home in homes.items():
            if self._reach.explains(root, fresh.suspect):
                return home
        for group in groups:
            why = self._relation(fresh, group)
            if why and self.near(group, fresh, related=True):
                return Place(group, why)
        if homes:
            return Place(next(iter(homes.values())).group, "started in the same burst")
        return self._by_time(fresh, groups)

    def _by_time(self, fresh: Fresh, groups: Sequence[Group]) -> Place:
        for group in groups:
            if self.near(group, fresh, related=False) and self._judged(fresh.alert, group):
                since = group.gap(fresh.at)
                return Place(group, f"{since:.0f} s from it in the same scope, no path known")
        return Place(None, "no open group is near in time and scope")

    def _judged(self, alert: Alert, group: Group) -> bool:
        if self._judge is None:
            return True
        return self._judge.same_incident(alert, group.summary(())) is not False

    def _relation(self, fresh: Fresh, group: Group) -> str:
        if fresh.alert.service and fresh.alert.service in group.services:
            return f"{fresh.alert.service} is in the group"
        for root in group.roots:
            if root in self._reach.linked and self._reach.explains(root, fresh.suspect):
                return f"{fresh.suspect} calls {root}, the root of the group"
        return ""


def accuse(group: Group, fresh: Fresh, place: Place) -> None:
    """Record in the group what the alert says about its root."""
    if place.root:
        if place.root not in group.roots and not group.causes:
            group.roots.clear()
        group.roots.add(place.root)
    elif not group.roots:
        group.roots.add(fresh.suspect)
    if fresh.suspect not in group.roots:
        group.strays.setdefault(fresh.suspect, set()).add(fresh.alert.name)
    elif names_cause(fresh.alert):
        group.causes.add(fresh.suspect)
