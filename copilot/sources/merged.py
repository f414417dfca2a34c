"""Metrics, topologies or changes of several sources, as one source of them."""

import json
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from copilot.ports import (
    ChangeSource,
    CommitSource,
    ExaminedSource,
    MetricSource,
    RemoteSource,
    SourceError,
    TopologySource,
)
from copilot.settings import SettingsError
from copilot.sources.received import REQUEST_RATE
from copilot.types.checks import Check
from tools.types import Change, Commit, Edge, FrozenModel, Series, Timestamp, Topology, Window


class MergedMetrics:
    """Series of both; of two with one name the first source's.

    The second may have nothing to say. Where the first does not answer its error is raised, or,
    if the second has series, named among the problems.
    """

    def __init__(self, first: MetricSource, second: MetricSource) -> None:
        self._first = first
        self._second = second
        self._silent: tuple[str, ...] = ()

    def series(self, window: Window) -> Sequence[Series]:
        """Series inside the window."""
        return self._union(lambda source: source.series(window))

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        """Normal operation, as far as each source knows it."""
        return self._union(lambda source: source.baseline(before))

    def describe(self) -> str:
        """What each of them says of itself."""
        both = (self._first, self._second)
        return "; ".join(one.describe() for one in both if isinstance(one, RemoteSource))

    def checks(self, elsewhere: Collection[str] = ()) -> Sequence[Check]:
        """What the first one knows of itself, beside what the second one measures."""
        if not isinstance(self._first, ExaminedSource):
            return (Check("metrics", "ok", self.describe(), "; ".join(self.problems())),)
        told = self._more(lambda source: source.baseline(math.inf))
        served = {one.owner for one in told if one.metric == REQUEST_RATE}
        return self._first.checks(served.union(elsewhere))

    def problems(self) -> Sequence[str]:
        """What the first one's last answer lacked, or why there was none."""
        known = self._first.problems() if isinstance(self._first, RemoteSource) else ()
        return self._silent or known

    def _union(self, ask: Callable[[MetricSource], Sequence[Series]]) -> Sequence[Series]:
        told = {one.name: one for one in self._more(ask)}
        try:
            first = ask(self._first)
        except SourceError as error:
            if not told:
                raise
            self._silent = (str(error),)
            return tuple(told.values())
        self._silent = ()
        return tuple((told | {one.name: one for one in first}).values())

    def _more(self, ask: Callable[[MetricSource], Sequence[Series]]) -> Sequence[Series]:
        try:
            return ask(self._second)
        except SourceError:
            return ()


class DeclaredTopology:
    """The service graph as an operator wrote it down: JSON with `nodes` and `edges`."""

    def __init__(self, path: Path) -> None:
        self._topology = _read_topology(path)

    def topology(self) -> Topology:
        """The graph as it stands in the file."""
        return self._topology


class _Declared(FrozenModel):
    nodes: tuple[str, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    entry: str = ""
    source: str = ""


def _read_topology(path: Path) -> Topology:
    try:
        declared = _Declared.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"topology_file {str(path)!r} cannot be read: {error}; it is JSON with `nodes` and "
            "`edges`, a list of [caller, callee]"
        ) from error
    edges = tuple(Edge(caller=caller, callee=callee) for caller, callee in declared.edges)
    named = dict.fromkeys([*declared.nodes, *(end for edge in declared.edges for end in edge)])
    return Topology(nodes=tuple(named), edges=edges, entry=declared.entry)


class MergedTopology:
    """Nodes and edges of all; of one edge the first that tells it, of the entry the first named."""

    def __init__(self, sources: Sequence[TopologySource]) -> None:
        self._sources = tuple(sources)

    def topology(self) -> Topology:
        """The union of those that answer; raises only where none does."""
        told: list[Topology] = []
        silent: list[SourceError] = []
        for source in self._sources:
            try:
                told.append(source.topology())
            except SourceError as error:
                silent.append(error)
        if silent and not told:
            raise silent[0]
        edges: dict[tuple[str, str], Edge] = {}
        for one in told:
            for edge in one.edges:
                edges.setdefault((edge.caller, edge.callee), edge)
        return Topology(
            nodes=tuple(dict.fromkeys(node for one in told for node in one.nodes)),
            edges=tuple(edges.values()),
            entry=next((one.entry for one in told if one.entry), ""),
        )


ONE_ROLLOUT_S = 600.0
"""A rollout is of the release that was told so shortly before: the `progressDeadlineSeconds` that
Kubernetes gives one."""


class MergedChanges:
    """Changes and commits that were told, and rollouts as the cluster shows them.

    A rollout of what was told as released is no second change: its lines join that one's.
    """

    def __init__(self, told: ChangeSource, repository: CommitSource, cluster: ChangeSource) -> None:
        self._told = told
        self._repository = repository
        self._cluster = cluster

    def changes(self, window: Window) -> Sequence[Change]:
        """All changes inside the window, oldest first."""
        found = list(self._told.changes(window))
        for rollout in self._rollouts(window):
            place = next((n for n, one in enumerate(found) if _is_of(rollout, one)), None)
            if place is None:
                found.append(rollout)
            else:
                joined = (*found[place].commits, *rollout.commits)
                found[place] = found[place].model_copy(update={"commits": joined})
        return tuple(sorted(found, key=lambda one: one.at))

    def commits(self, window: Window) -> Sequence[Commit]:
        """The commits of the repositories, and what each rollout changed as one more."""
        shown = [one for change in self._rollouts(window) for one in change.commits]
        return tuple(sorted([*self._repository.commits(window), *shown], key=lambda one: one.at))

    def describe(self) -> str:
        """That changes are taken, and who is asked for their commits; raises SourceError."""
        asked = self._repository.describe() if isinstance(self._repository, RemoteSource) else ""
        return "posted to /changes" + (f"; commits asked of {asked}" if asked else "")

    def problems(self) -> Sequence[str]:
        """What of the commits nobody can tell."""
        here = self._repository
        return here.problems() if isinstance(here, RemoteSource) else ()

    def _rollouts(self, window: Window) -> Sequence[Change]:
        try:
            return self._cluster.changes(window)
        except SourceError:
            return ()  # its inspection says so; what was told is not lost for that


def _is_of(rollout: Change, told: Change) -> bool:
    released = told.service == rollout.service and told.kind in ("deploy", "canary", "config")
    return released and -60.0 <= rollout.at - told.at <= ONE_ROLLOUT_S
