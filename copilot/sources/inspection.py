"""One inspection of all namespaces that can be read: what is wrong, and what was not read."""

import gc
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from copilot.ports import ClusterReading, NamespaceSource
from copilot.sources.kubernetes.kinds import KINDS
from tools.cluster_inspector import ClusterFinding, inspect, survey
from tools.cluster_inspector.config import InspectorConfig
from tools.types import ClusterState, Finding, ListingGap, Subject, Window

_WORDS = {"forbidden": "may not be read", "truncated": "not all", "failed": "no answer"}
_OF_CLUSTER = frozenset(kind.name for kind in KINDS.values() if not kind.namespaced)
SHOWN = 6
"""Kinds of a gap named one by one; the rest is counted."""


class CollectorPause:
    """Python's search for cycles, put off while listings are read; safe between threads.

    Their objects hold none, and are freed without it. Searching them again and again as they grow
    takes a third of an inspection of 2,000 pods (`python -m evals.kubernetes.fleet`).
    """

    def __init__(self) -> None:
        self._holders, self._was_on = 0, True
        self._turn = threading.Lock()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the search off until the last holder is done; one that was off stays off."""
        with self._turn:
            self._was_on = self._was_on if self._holders else gc.isenabled()
            self._holders += 1
            gc.disable()
        try:
            yield
        finally:
            with self._turn:
                self._holders -= 1
                if not self._holders and self._was_on:
                    gc.enable()


_COLLECTOR = CollectorPause()


@dataclass(frozen=True, slots=True)
class ClusterInspection:
    """What was found in all namespaces, and a line for each place of which not all was read."""

    findings: tuple[Finding, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InspectedPlace:
    """What a survey of one namespace found; `at` is where, empty parts where there is one only."""

    source: NamespaceSource
    state: ClusterState
    found: tuple[ClusterFinding, ...]


def inspection(
    reading: ClusterReading,
    window: Window,
    first: Sequence[Subject] = (),
    named: Collection[str] = frozenset(),
) -> ClusterInspection:
    """Survey the namespaces one after the other, those of the subjects in `first` before all.

    `named` are the names that other telemetry uses: a finding about `cart` keeps that name where
    it can only be this one, so that it meets the metrics of `cart`. Else, of several namespaces
    the owner is `NAMESPACE/NAME`, of several clusters `CLUSTER/NAMESPACE/NAME`.
    """
    config = InspectorConfig(first=tuple(first))
    places = []
    with _COLLECTOR.paused():
        for source in sorted(reading.namespaces, key=lambda one: not _is_named(one, first)):
            state = survey(source.look, ClusterState(namespace=source.namespace), config)
            found = tuple(one for one in inspect(state) if not one.is_note)
            places.append(InspectedPlace(source, state, found))
    alone = set(_alone(places, first, named))
    findings: dict[tuple[str, str, str], Finding] = {}
    for place in places:
        for one in place.found:
            finding = _placed(one, place.source, window, reading.several, alone)
            findings.setdefault((finding.subject, finding.name, finding.query), finding)
    unread = [line for place in places for line in _unread(place)]
    return ClusterInspection(
        tuple(sorted(findings.values(), key=lambda one: -one.strength)),
        (*reading.missing, *unread),
    )


def _is_named(source: NamespaceSource, first: Sequence[Subject]) -> bool:
    return any(
        source.namespace in (one.namespace, one.name if one.kind == "namespace" else "")
        for one in first
    )


def _alone(
    places: Sequence[InspectedPlace], first: Sequence[Subject], named: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Cluster, namespace and name of what can only be meant by one of the names.

    Where an alert about that name says a namespace, it is the one of there or none.
    """
    homes: dict[str, list[tuple[str, str]]] = {}
    for place in places:
        state = place.state
        for name in {item.name for held in (state.workloads, state.services) for item in held}:
            homes.setdefault(name, []).append((place.source.cluster, place.source.namespace))
    for name in named:
        said = {one.namespace for one in first if one.name == name and one.namespace}
        meant = [home for home in homes.get(name, ()) if len(said) != 1 or home[1] in said]
        if len(meant) == 1:
            yield (*meant[0], name)


def _placed(
    found: ClusterFinding,
    source: NamespaceSource,
    window: Window,
    several: bool,
    alone: Collection[tuple[str, str, str]],
) -> Finding:
    """The finding under the name that tells it apart from those of other places."""
    finding = found.as_finding(window)
    scope, _, name = found.object.partition("/")
    of_namespace = scope == "app" and found.kind not in _OF_CLUSTER
    parts = [source.cluster, source.namespace if several and of_namespace else ""]
    before = "".join(f"{part}/" for part in parts if part)
    if not before:
        return finding
    update = {"query": f"{before}{finding.query}"}
    if scope != "app" or (source.cluster, source.namespace, name) not in alone:
        told = finding.statement.removeprefix(name)
        mark = "node:" if scope == "node" else ""
        update |= {"subject": f"{mark}{before}{name}", "statement": f"{before}{name}{told}"}
    return finding.model_copy(update=update)


def _unread(place: InspectedPlace) -> Iterator[str]:
    """What of a namespace was not read, in a line."""
    source = place.source
    at = "/".join(part for part in (source.cluster, source.namespace) if part)
    gaps = {gap.kind: gap for gap in place.state.gaps if not _is_expected(gap)}
    pods = gaps.get("Pod")
    if pods is not None and pods.reason != "truncated":
        yield f"namespace {at} was not read: {_WORDS[pods.reason]}: {pods.detail}"
        return
    if gaps:
        yield f"namespace {at} was not read whole: {_grouped(tuple(gaps.values()))}"


def _is_expected(gap: ListingGap) -> bool:
    """A kind that the cluster does not have; of logs, those are read first that matter."""
    return gap.reason == "not-served" or (gap.kind, gap.reason) == ("logs", "truncated")


def _grouped(gaps: Sequence[ListingGap]) -> str:
    """Kinds by why they were not read, and the words of the first of each."""
    told = []
    for reason, words in _WORDS.items():
        of_it = [gap for gap in gaps if gap.reason == reason]
        if of_it:
            kinds = ", ".join(gap.kind for gap in of_it[:SHOWN])
            more = f" and {len(of_it) - SHOWN} more" if len(of_it) > SHOWN else ""
            told.append(f"{words}: {kinds}{more} ({of_it[0].detail})")
    return "; ".join(told)
