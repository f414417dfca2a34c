"""All groups: the open ones by scope, the ended ones as long as there is room."""

from collections import OrderedDict
from collections.abc import Iterator

from tools.clusterer.group import Group, GroupScope
from tools.types import Timestamp


class GroupStore:
    """Bounded storage of groups; ended groups leave first, oldest first."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._all: OrderedDict[str, Group] = OrderedDict()
        self._open: dict[GroupScope, list[Group]] = {}

    def put(self, group: Group) -> None:
        """Store a new open group."""
        self._all[group.id] = group
        self._open.setdefault(group.scope, []).append(group)
        while len(self._all) > self._keep:
            oldest = next((g for g in self._all.values() if g.closed), None)
            if oldest is None:
                break
            del self._all[oldest.id]

    def get(self, group_id: str) -> Group | None:
        """A group by id, None if it is unknown or was dropped."""
        return self._all.get(group_id)

    def open_in(self, scope: GroupScope) -> list[Group]:
        """Open groups whose scope does not contradict: equal, or empty on one side, per label."""
        if not any(scope):
            return [group for groups in self._open.values() for group in groups]
        return [
            group
            for other, groups in self._open.items()
            if all(a == b or not a or not b for a, b in zip(scope, other, strict=True))
            for group in groups
        ]

    def end(self, group: Group) -> None:
        """No alert joins the group any more."""
        group.closed = True
        rest = [each for each in self._open.get(group.scope, []) if each is not group]
        if rest:
            self._open[group.scope] = rest
        else:
            self._open.pop(group.scope, None)

    def reopen(self, group: Group) -> None:
        """Alerts join an ended group again."""
        if group.closed:
            group.closed = False
            self._all[group.id] = group
            self._open.setdefault(group.scope, []).append(group)

    def open(self) -> Iterator[Group]:
        """All open groups."""
        for groups in list(self._open.values()):
            yield from groups

    def idle(self, now: Timestamp, gap: float, firing_for: float) -> list[Group]:
        """Open groups that time has ended: nothing fires and nothing came for `gap` seconds."""
        ended = []
        for group in self.open():
            group.expire(now)
            limit = 24 * firing_for if group.background else gap
            if not group.firing and now - max(group.last_at, group.quiet_since) > limit:
                ended.append(group)
        return ended
