"""The lists of one cluster, each read once: namespace by namespace, or all namespaces together."""

from collections.abc import Iterable
from functools import partial
from threading import RLock

from copilot.sources.kubernetes.kinds import KINDS, KubeKind
from copilot.sources.kubernetes.manifests import objects
from copilot.sources.kubernetes.reader import ApiReader, Json, KindListing
from tools.types import ClusterState, Timestamp

SYSTEM = "kube-system"


class ClusterLists:
    """What one inspection has listed; with `everywhere` one list serves all namespaces."""

    def __init__(self, reader: ApiReader, now: Timestamp, *, everywhere: bool) -> None:
        self._reader = reader
        self._now = now
        self._everywhere = everywhere
        self._listings: dict[tuple[str, str], KindListing] = {}
        self._states: dict[tuple[str, str], ClusterState] = {}
        self._turn = RLock()

    def fetch(self, kinds: Iterable[str], namespace: str) -> None:
        """Read the lists of these kinds that were not read yet, side by side."""
        wanted = dict.fromkeys(KINDS[kind] for kind in kinds)
        lacking = [kind for kind in wanted if self._key(kind, namespace) not in self._listings]
        found = self._reader.side_by_side(
            partial(self._reader.listing, kind, self._key(kind, namespace)[1]) for kind in lacking
        )
        for kind, listing in zip(lacking, found, strict=True):
            self._listings[self._key(kind, namespace)] = listing

    def of(self, kind: str, namespace: str) -> ClusterState:
        """The objects of a kind in a namespace, or in the cluster where it has no namespaces.

        Only a list that was read to its end says which objects there are.
        """
        if kind not in KINDS:
            return ClusterState()
        key = (kind, namespace)
        with self._turn:
            if key not in self._states:
                self.fetch([kind], namespace)
                listing = self._listings[self._key(KINDS[kind], namespace)]
                self._states[key] = self._state(KINDS[kind], listing, namespace)
            return self._states[key]

    def system_pods(self, selector: str) -> ClusterState:
        """The pods of the cluster itself that carry these labels."""
        key = (selector, SYSTEM)
        with self._turn:
            if key not in self._states:
                found = self._reader.listing(KINDS["Pod"], SYSTEM, labelSelector=selector)
                self._states[key] = objects([_typed("Pod", item) for item in found.items])
            return self._states[key]

    def _key(self, kind: KubeKind, namespace: str) -> tuple[str, str]:
        """Kind and namespace of the list that holds the objects."""
        return kind.name, "" if self._everywhere or not kind.namespaced else namespace

    def _state(self, kind: KubeKind, listing: KindListing, namespace: str) -> ClusterState:
        items = listing.items
        if kind.namespaced and self._everywhere:
            items = [item for item in items if _meta(item, "namespace") == namespace]
        found = objects([_typed(kind.name, item) for item in items], self._now)
        if listing.gap is not None:
            return found.plus(ClusterState(gaps=(listing.gap,)))
        names = tuple(_meta(item, "name") for item in items)
        return found.model_copy(update={"listed": {kind.name: names}})


def _typed(kind: str, item: Json) -> Json:
    """The items of a list carry no kind of their own; a replica set's template is its owner's."""
    typed = {"kind": kind, **item}
    spec = item.get("spec")
    if kind == "ReplicaSet" and isinstance(spec, dict):
        typed["spec"] = {key: value for key, value in spec.items() if key != "template"}
    return typed


def _meta(item: Json, field: str) -> str:
    meta = item.get("metadata")
    return str(meta.get(field, "")) if isinstance(meta, dict) else ""
