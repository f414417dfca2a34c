"""Which group a burst of alerts belongs to: by what they share, by call path, by whom they accuse.

Why time alone joins nothing: docs/decisions/clusterer.md.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.clusterer.call_paths import CallPaths
from tools.clusterer.companions import Companions
from tools.clusterer.config import ClustererConfig
from tools.clusterer.group import Group
from tools.clusterer.reading import UngroupedAlert, subject_key
from tools.clusterer.tie_break import LimitedTieBreaker, PairDecision, TieBreaker
from tools.types import Alert, Timestamp


@dataclass(frozen=True, slots=True)
class GroupAssignment:
    """Where an alert goes: an open group, or (None) the new group of its burst.

    `root` names the service that the burst revealed as the root of that group.
    """

    group: Group | None
    reason: str
    root: str = ""


class BurstGrouper:
    """Places bursts. A burst is a run of alerts of one scope that start within seconds.

    In the `ml` arm a service is a root when the burst, with what strayed into open groups before,
    accuses it on two counts: two alert names of its own, or one alert about calls to it. A root
    that no open group explains (it is not the group's root, nor calls it) opens a group of its
    own even while another group of its scope burns: that is how overlapping incidents are split.
    Everything else goes where a call path leads, or to what shares a subject, a node, a zone or a
    call graph with it and began near it. That it began near in time is no reason by itself.
    """

    def __init__(
        self,
        reach: CallPaths,
        config: ClustererConfig,
        judge: TieBreaker | None,
        companions: Companions,
    ) -> None:
        self._reach = reach
        self._companions = companions
        self._config = config
        self._doubts = (
            LimitedTieBreaker(judge, config.doubts_per_group) if judge is not None else None
        )
        self._split = config.arm == "ml"

    def place(
        self, burst: Sequence[UngroupedAlert], open_groups: Sequence[Group]
    ) -> list[GroupAssignment]:
        """One place per alert; all that get a new group get the same."""
        groups = sorted(open_groups, key=lambda group: group.last_at, reverse=True)
        homes = self._homes(burst, groups) if self._split else {}
        return [self._one(fresh, groups, homes) for fresh in burst]

    def near(self, group: Group, at: Timestamp, momentary: bool, related: bool) -> bool:
        """Whether the group still takes an alert of this time."""
        config = self._config
        gap = group.gap(at)
        if momentary and group.events >= config.storm_events:
            return gap <= min(config.related_gap, max(config.storm_pause, 30 * group.pace()))
        if related or not self._split:
            return gap <= config.related_gap or (bool(group.firing) and not momentary)
        return gap <= config.unrelated_gap and group.quiet(at) <= config.unrelated_quiet

    def moved(
        self, root: str, at: Timestamp, groups: Sequence[Group]
    ) -> Iterator[tuple[Group, str, str]]:
        """Members of other groups that belong to a root which has just opened its own.

        They accused it before it was known, or are symptoms of it that started with its burst;
        yields the group, the fingerprint and the reason.
        """
        for group in groups:
            for key, member in list(group.members.items()):
                age = at - member.at
                if member.suspect in group.roots and len(group.roots) == 1:
                    continue
                if member.suspect == root and age <= self._config.related_gap:
                    yield group, key, f"it accuses {root}, which has a group of its own now"
                elif age <= self._config.burst and self._reach.explains(root, member.suspect):
                    yield group, key, f"it started with the burst that revealed {root}"

    def accuse(self, group: Group, fresh: UngroupedAlert, place: GroupAssignment) -> None:
        """Record in the group what the alert says about its root."""
        if place.root:
            # A caller of the new root was taken for a root before its cause showed.
            group.roots -= {
                each
                for each in group.roots - group.causes
                if each != place.root and self._reach.explains(place.root, each)
            }
            group.roots.add(place.root)
        elif not group.roots:
            group.roots.add(fresh.suspect)
        if fresh.suspect not in group.roots:
            group.strays.setdefault(fresh.suspect, set()).add(fresh.alert.name)
            return
        group.root_at = max(group.root_at, fresh.at)
        if fresh.cause:
            group.causes.add(fresh.suspect)

    def _homes(
        self, burst: Sequence[UngroupedAlert], groups: Sequence[Group]
    ) -> dict[str, GroupAssignment]:
        """For each root the burst reveals: the group it belongs to."""
        counts: dict[str, set[str]] = defaultdict(set)
        sure: set[str] = set()
        for fresh in burst:
            # A storm of events names every service; only a condition that holds accuses.
            if fresh.suspect in self._reach.linked and not fresh.momentary:
                counts[fresh.suspect].add(fresh.alert.name)
                sure.update([fresh.suspect] if fresh.by_call else ())
        for group in groups:
            for service in counts:
                counts[service] |= group.strays.get(service, set())
        strong = {name for name, kinds in counts.items() if len(kinds) >= 2 or name in sure}
        roots = sorted(name for name in strong if self._is_deepest(name, strong))
        return {root: self._home(root, burst, groups) for root in roots}

    def _is_deepest(self, name: str, strong: set[str]) -> bool:
        """No other explains it, but for those that it explains too (they call each other)."""
        explainers = [each for each in strong if self._reach.explains(each, name)]
        return all(self._reach.explains(name, each) for each in explainers)

    def _home(
        self, root: str, burst: Sequence[UngroupedAlert], groups: Sequence[Group]
    ) -> GroupAssignment:
        first = next(fresh for fresh in burst if fresh.suspect == root)
        for group in groups:
            if not self.near(group, first.at, first.momentary, related=True):
                continue
            since = abs(first.at - group.root_at)
            if since <= self._config.burst:
                return GroupAssignment(
                    group, f"started within {self._config.burst:.0f} s of it", root
                )
            if any(self._reach.explains(known, root) for known in group.roots):
                return GroupAssignment(group, f"{root} calls its root, or is it")
            if since <= self._config.unrelated_quiet and self._deeper(root, group):
                return GroupAssignment(group, f"{root} explains all of its alerts", root)
        return GroupAssignment(None, f"{root} is accused twice and no open group explains it", root)

    def _deeper(self, root: str, group: Group) -> bool:
        """A group of symptoms only, all of them callers of `root`, has found its cause."""
        return not group.causes and all(self._reach.explains(root, each) for each in group.roots)

    def _one(
        self, fresh: UngroupedAlert, groups: Sequence[Group], homes: dict[str, GroupAssignment]
    ) -> GroupAssignment:
        for root, home in homes.items():
            if self._reach.explains(root, fresh.suspect):
                return home
        linked = fresh.suspect in self._reach.linked
        for group in groups if linked else ():
            why = self._relation(fresh, group)
            if why and self.near(group, fresh.at, fresh.momentary, related=True):
                return GroupAssignment(group, why)
        for root, home in homes.items():
            if self._reach.graph(root) == self._reach.graph(fresh.suspect) or fresh.momentary:
                return GroupAssignment(home.group, "started in the same burst")
        return self._by_time(fresh, groups)

    def _by_time(self, fresh: UngroupedAlert, groups: Sequence[Group]) -> GroupAssignment:
        at, momentary = fresh.at, fresh.momentary
        near = [group for group in groups if self.near(group, at, momentary, related=True)]
        # A group that began together with it and knows its subject goes before a newer one.
        near.sort(
            key=lambda group: not (self._together(group, at) and self._relation(fresh, group))
        )
        apart = "no open group is near in time and scope"
        for group in near:
            since = f"{group.gap(at):.0f} s from it"
            why = self._relation(fresh, group)
            if why:
                return GroupAssignment(group, f"{since}, {why}")
            close = self.near(group, at, momentary, related=False)
            verdict = self._uncertain(fresh, group, close)
            if verdict.verdict == "merge":
                return GroupAssignment(group, verdict.reason)
            apart = f"apart from {group.id}: {verdict.reason}"
        return GroupAssignment(None, apart)

    def _uncertain(self, fresh: UngroupedAlert, group: Group, close: bool) -> PairDecision:
        """No call path connects the pair; a held group is not worth a question."""
        gap, shared = group.gap(fresh.at), self._shared(fresh, group)
        reason = f"{gap:.0f} s from it, {shared or 'and nothing in common with it'}"
        held = PairDecision("merge" if close and shared else "split", reason)
        if self._doubts is None or not group.surfaced:
            return held
        return self._doubts.ask(fresh.alert, group, gap, held) or held

    def _shared(self, fresh: UngroupedAlert, group: Group) -> str:
        """What speaks for a pair beside time: one call graph, or both being a sensor's events."""
        if fresh.momentary and "event" in group.ties:
            return "an event as its own are"
        if self._split and self._habitual(fresh, group):
            return f"{fresh.alert.name} and its rules have begun together before"
        graph = self._reach.graph(fresh.suspect)
        return f"in the call graph of {graph}, as it is" if f"graph={graph}" in group.ties else ""

    def bridged(
        self, fresh: UngroupedAlert, home: Group, groups: Sequence[Group]
    ) -> Iterator[tuple[Group, str]]:
        """Groups that began with an alert's home and that the alert shows to be one with it.

        Alerts of one fault come seconds apart, and what relates the first two may come last.
        """
        for group in groups:
            began_together = abs(group.first_at - home.first_at) <= self._config.burst
            young = group.root_at <= fresh.at <= group.first_at + self._config.burst
            if group is home or group.storm or not began_together or not young:
                continue
            why = self._relation(fresh, group) or self._shared(fresh, group)
            if why:
                yield group, f"merged: {why}"

    def _together(self, group: Group, at: Timestamp) -> bool:
        return group.gap(at) <= self._config.burst

    def _habitual(self, fresh: UngroupedAlert, group: Group) -> bool:
        """Whether the stream has shown its kind of alert begin with kinds of the group before."""
        circle = self._companions.circle(fresh.companion)
        return circle != "" and any(
            self._companions.circle(key) == circle for key in group.companions
        )

    def _relation(self, fresh: UngroupedAlert, group: Group) -> str:
        if group.storm:
            return ""
        if self._same_service(fresh.alert, group):
            return f"{fresh.alert.service} is in the group"
        if f"subject={subject_key(fresh.alert)}" in fresh.ties & group.ties:
            return f"{fresh.suspect} is in the group"
        if f"rule={fresh.alert.name}" in fresh.ties & group.ties:
            return "the same rule, which names nobody either time"
        if not fresh.places.isdisjoint(group.places):
            return f"it shares {min(fresh.places & group.places)} with the group"
        for root in sorted(group.roots):
            if self._reach.explains(root, fresh.suspect):
                return f"{fresh.suspect} calls {root}, the root of the group"
        return ""

    def _same_service(self, alert: Alert, group: Group) -> bool:
        """A service of that name; in another namespace it is another service."""
        if not alert.service or alert.service not in group.services:
            return False
        there, here = group.namespaces.get(alert.service, set()), alert.subject.namespace
        return not here or not there or here in there

    def related(self, alerts: Sequence[UngroupedAlert]) -> list[list[UngroupedAlert]]:
        """Split alerts into sets that hang together by ties or by habit, directly or not."""
        parent = list(range(len(alerts)))

        def top(index: int) -> int:
            while parent[index] != index:
                parent[index] = parent[parent[index]]
                index = parent[index]
            return index

        first: dict[str, int] = {}
        for index, fresh in enumerate(alerts):
            habit = self._companions.circle(fresh.companion) if self._split else ""
            for tie in (*fresh.ties, *([f"habit={habit}"] if habit else [])):
                parent[top(index)] = top(first.setdefault(tie, index))
        sets: dict[int, list[UngroupedAlert]] = defaultdict(list)
        for index, fresh in enumerate(alerts):
            sets[top(index)].append(fresh)
        return list(sets.values())
