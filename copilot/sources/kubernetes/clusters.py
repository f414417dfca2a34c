"""The clusters and namespaces that the settings name, opened anew for every inspection.

Importing this module needs the optional extra `kubernetes`.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from kubernetes import client

from copilot.ports import Clock, ClusterReading, RemoteSource, SourceError
from copilot.settings import Settings, SettingsError
from copilot.sources.kubernetes.credentials import api_client
from copilot.sources.kubernetes.kinds import KINDS, KubeKind
from copilot.sources.kubernetes.lists import ClusterLists
from copilot.sources.kubernetes.live import KubernetesNamespace
from copilot.sources.kubernetes.reader import ApiAnswer, ApiReader, Json, ReadingLimits
from copilot.sources.kubernetes.rollouts import rollouts
from tools.types import Change, Timestamp, Window

EVERYWHERE = "*"
"""Stands for all namespaces of a cluster."""

KEPT_S = 30.0
"""One run asks for changes some five times; rollouts of half a minute ago are new enough."""

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_REVISIONS = KubeKind("ControllerRevision", "apps", "v1", "controllerrevisions")
_ROLE = "bind the role of clusterrole.yaml"


class OpenedNamespaces(NamedTuple):
    """The namespaces of a cluster that can be read, and the names of those that do not exist."""

    there: tuple[KubernetesNamespace, ...]
    absent: tuple[str, ...]


class ReadableCluster:
    """One cluster; `api` carries address and credentials, `name` is how a person calls it.

    `namespaces` are names, or `*` for all of them. Owners carry the name where it is `one_of_many`.
    """

    def __init__(
        self,
        api: client.ApiClient,
        namespaces: Sequence[str],
        clock: Clock,
        name: str = "",
        limits: ReadingLimits | None = None,
        *,
        one_of_many: bool = True,
    ) -> None:
        self.name = name
        self._qualifier = name if one_of_many else ""
        self._api = api
        self._namespaces = tuple(dict.fromkeys(namespaces))
        self._clock = clock
        self._limits = limits or ReadingLimits()
        self._problems: tuple[str, ...] = ()
        self._rollouts: tuple[Timestamp, Window, Sequence[Change]] | None = None

    @property
    def _everywhere(self) -> bool:
        return EVERYWHERE in self._namespaces

    @property
    def several(self) -> bool:
        """Whether more than one namespace is configured."""
        return self._everywhere or len(self._namespaces) > 1

    def opened(self) -> OpenedNamespaces:
        """The namespaces, each to be read within this inspection; raises SourceError."""
        reader, now = self._reader(), self._clock.now()
        lists = ClusterLists(reader, now, everywhere=self._everywhere)
        names, absent = self._found(reader)
        there = (KubernetesNamespace(reader, lists, one, now, self._qualifier) for one in names)
        return OpenedNamespaces(tuple(there), absent)

    def rollouts(self, window: Window) -> Sequence[Change]:
        """Rollouts of deployments, stateful and daemon sets; raises SourceError."""
        now, kept = self._clock.now(), self._rollouts
        if kept is None or now - kept[0] >= KEPT_S or not _covers(kept[1], window):
            kept = self._rollouts = (now, window, self._rolled_out(window))
        return [one for one in kept[2] if one.at in window]

    def _rolled_out(self, window: Window) -> Sequence[Change]:
        """Who may not list the revisions of stateful sets still learns of the deployments'."""
        reader = self._reader()
        places = ("",) if self._everywhere else self._found(reader)[0]
        kinds = (KINDS["ReplicaSet"], _REVISIONS, KINDS["Deployment"])
        told: list[list[Json]] = []
        for kind in kinds:
            listings = reader.side_by_side(
                [partial(reader.listing, kind, place) for place in places]
            )
            gap = next((one.gap for one in listings if one.gap is not None), None)
            if gap is not None and kind is kinds[0]:
                raise self._error(f"replica sets: {gap.detail}")
            told.append([item for one in listings for item in one.items])
        replica_sets, revisions, deployments = told
        return rollouts(replica_sets, revisions, deployments, window)

    def describe(self) -> str:
        """Version and pods of each namespace, in one line; raises SourceError.

        A namespace that cannot be read is an error, whatever the others tell. One that is not
        there is, too, unless another cluster may have it.
        """
        reader = self._reader()
        names, absent = self._found(reader)
        if absent and not (names and self._qualifier):
            raise self._error(f"there is no namespace {', '.join(absent)}")
        version = reader.object("/version").get("gitVersion") or "of unknown version"
        places = [""] if self._everywhere else list(names)
        asked = [partial(_count, reader, KINDS["Pod"], place) for place in places]
        told = []
        for place, answer in zip(places, reader.side_by_side(asked), strict=True):
            if answer.status == 403:
                raise self._error(f"pods of {place or EVERYWHERE} may not be listed: {_ROLE}")
            reader.require(answer)
            told.append(f"{place or f'all {len(names)} namespaces'} {_counted(answer)}")
        told += [f"{name} is not there" for name in absent]
        self._problems = _unreadable(reader, places[0])
        return f"{self._shown}: Kubernetes {version}; pods: {', '.join(told)}"

    def _error(self, problem: str) -> SourceError:
        return SourceError(self._shown, problem, recoverable=False)

    def problems(self) -> Sequence[str]:
        """The kinds that may not be read, as the last description found."""
        return self._problems

    @property
    def _shown(self) -> str:
        return self.name or "kubernetes"

    def _reader(self) -> ApiReader:
        return ApiReader(self._api, self._clock, self._limits, self._shown)

    def _found(self, reader: ApiReader) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the namespaces that exist, and of those that do not.

        A list of a namespace that does not exist is empty, and not refused: so it is asked for. Who
        may not ask for it may still read it.
        """
        if self._everywhere:
            return self._all(reader), ()
        path = KINDS["Namespace"].path()
        asked = [partial(reader.get, f"{path}/{name}") for name in self._namespaces]
        answers = dict(zip(self._namespaces, reader.side_by_side(asked), strict=True))
        for answer in answers.values():
            if answer.status not in (403, 404):
                reader.require(answer)
        absent = tuple(name for name, answer in answers.items() if answer.status == 404)
        return tuple(name for name in answers if name not in absent), absent

    def _all(self, reader: ApiReader) -> tuple[str, ...]:
        listing = reader.listing(KINDS["Namespace"])
        if listing.gap is not None:
            advice = f"; {_ROLE} to the whole cluster, or name the namespaces"
            raise self._error(f"namespaces cannot be listed ({listing.gap.detail}){advice}")
        metas = (item.get("metadata") for item in listing.items)
        return tuple(
            str(meta["name"]) for meta in metas if isinstance(meta, dict) and "name" in meta
        )


class KubernetesSource:
    """All clusters that are configured, as one source."""

    def __init__(self, clusters: Sequence[ReadableCluster]) -> None:
        self._clusters = tuple(clusters)

    def reading(self) -> ClusterReading:
        """The namespaces that can be read now, and which cannot; raises SourceError if none can."""
        with ThreadPoolExecutor(len(self._clusters)) as threads:
            opened = list(threads.map(_opened, self._clusters))
        there = [one for one in opened if isinstance(one, OpenedNamespaces)]
        failed = [one for one in opened if isinstance(one, SourceError)]
        if not there:
            again = any(one.recoverable for one in failed)
            raise SourceError("kubernetes", "; ".join(map(str, failed)), recoverable=again)
        names = {one.namespace for reading in there for one in reading.there}
        absent = dict.fromkeys(name for reading in there for name in reading.absent)
        return ClusterReading(
            namespaces=tuple(one for reading in there for one in reading.there),
            missing=(
                *map(str, failed),
                *(f"there is no namespace {name}" for name in absent if name not in names),
            ),
            several=len(self._clusters) > 1 or self._clusters[0].several,
        )

    def changes(self, window: Window) -> Sequence[Change]:
        """Rollouts of every cluster that answers."""
        with ThreadPoolExecutor(len(self._clusters)) as threads:
            told = threads.map(lambda one: _rolled_out(one, window), self._clusters)
            return [change for changes in told for change in changes]

    def remotes(self) -> Sequence[RemoteSource]:
        """Each cluster, for whoever asks whether it answers."""
        return self._clusters


def _rolled_out(cluster: ReadableCluster, window: Window) -> Sequence[Change]:
    """What a cluster tells; that it does not answer is said by its inspection."""
    try:
        return cluster.rollouts(window)
    except SourceError:
        return ()


def connected(settings: Settings, clock: Clock) -> KubernetesSource:
    """The clusters that the settings name.

    Raises `SettingsError` for a name that cannot be one and a context that is not there,
    `SourceError` where no credentials are found.
    """
    wanted = _names(settings.kubernetes_namespace)
    for name in wanted:
        if name != EVERYWHERE and not _LABEL.fullmatch(name):
            raise SettingsError(
                f"kubernetes_namespace {name!r} is no name of a namespace: lower-case letters, "
                "digits and dashes; several with commas between, or * for all"
            )
    contexts = _names(settings.kubernetes_context) or [""]
    limits = ReadingLimits(settings.telemetry_timeout_s, settings.kubernetes_inspection_s)
    several = len(contexts) > 1
    return KubernetesSource(
        [
            ReadableCluster(api_client(one), wanted, clock, one, limits, one_of_many=several)
            for one in contexts
        ]
    )


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _covers(wide: Window, window: Window) -> bool:
    return wide.start <= window.start and window.end <= wide.end


def _opened(cluster: ReadableCluster) -> OpenedNamespaces | SourceError:
    try:
        return cluster.opened()
    except SourceError as error:
        return error


def _count(reader: ApiReader, kind: KubeKind, namespace: str) -> ApiAnswer:
    return reader.get(kind.path(namespace), limit="1")


def _counted(answer: ApiAnswer) -> int:
    """How many objects a list has of which one was asked for."""
    document = answer.document()
    items, meta = document.get("items"), document.get("metadata")
    rest = meta.get("remainingItemCount") if isinstance(meta, dict) else 0
    return (len(items) if isinstance(items, list) else 0) + (rest if isinstance(rest, int) else 0)


def _unreadable(reader: ApiReader, namespace: str) -> tuple[str, ...]:
    """The kinds that the role does not allow."""
    kinds = list(KINDS.values())
    answers = reader.side_by_side(partial(_count, reader, kind, namespace) for kind in kinds)
    refused = [kind.name for kind, one in zip(kinds, answers, strict=True) if one.status == 403]
    return (f"may not be listed: {', '.join(refused)}; {_ROLE}",) if refused else ()
