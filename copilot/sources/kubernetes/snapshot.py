"""A recorded snapshot of a namespace: a folder of objects and logs.

- `*.yaml`, `*.json`: objects, as of `kubectl get KIND -o yaml` or of the API; a kind is recorded
  whole where an object or a list of it is there, and an empty `List` where the file is named after
  the kind's plural (`pods.yaml`)
- `logs-APPLICATION.txt`, `logs-APPLICATION.previous.txt`: as of `kubectl logs`
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import yaml

from copilot.ports import SourceError
from copilot.sources.kubernetes.kinds import KINDS, WORKLOADS
from copilot.sources.kubernetes.logs import excerpts, last_words, termination_messages
from copilot.sources.kubernetes.manifests import objects
from tools.cluster_inspector.ownership import PodIndex
from tools.types import (
    ClusterQuery,
    ClusterState,
    ListingGap,
    LogExcerpt,
    Pod,
    Timestamp,
)

Documents = Mapping[str, Sequence[Mapping[str, object]]]  # objects by kind
_KIND_OF_PLURAL = {kind.plural: kind.name for kind in KINDS.values()}


class RecordedSnapshot:
    """One folder of recorded objects and logs, read when it is asked for, and once.

    `at` is when it was recorded, Unix seconds: from it follow the ages that YAML does not carry.

    >>> RecordedSnapshot(Path("/nowhere"), "shop")
    Traceback (most recent call last):
    ...
    copilot.ports.SourceError: kubernetes snapshot: '/nowhere' is not a folder
    """

    cluster = ""

    def __init__(self, folder: Path, namespace: str, at: Timestamp | None = None) -> None:
        if not folder.is_dir():
            problem = f"{str(folder)!r} is not a folder"
            raise SourceError("kubernetes snapshot", problem, recoverable=False)
        self.namespace = namespace
        self._folder = folder
        self._at = at

    def look(self, looks: Sequence[ClusterQuery]) -> ClusterState:
        """What the files say of these questions."""
        answers: dict[str, Callable[[ClusterQuery], ClusterState]] = {
            "list": lambda look: self._list(look.kind),
            "describe": self._describe,
            "manifest": self._manifest,
            "configuration": lambda _: self._list("Node"),
            "errors": self._logs,
            "logs": self._logs,
        }
        state = ClusterState(namespace=self.namespace)
        for look in looks:
            if look.verb in answers:
                state = state.plus(answers[look.verb](look))
        return state

    @cached_property
    def _documents(self) -> Documents:
        found: dict[str, list[Mapping[str, object]]] = {}
        for path in sorted((*self._folder.glob("*.yaml"), *self._folder.glob("*.json"))):
            if path.stem in _KIND_OF_PLURAL:
                found.setdefault(_KIND_OF_PLURAL[path.stem], [])
            for parsed in _parsed(path):
                for kind, document in _flat(parsed):
                    found.setdefault(kind, []).extend([document] if document else [])
        return found

    def _of(self, kind: str) -> ClusterState:
        return objects(self._documents.get(kind, ()), self._at, self.namespace)

    def _list(self, kind: str) -> ClusterState:
        """The objects of that kind; a kind that was not recorded is not known to be empty."""
        if kind not in self._documents:
            gap = ListingGap(kind=kind, reason="failed", detail="not recorded")
            return ClusterState(gaps=(gap,))
        names = tuple(_name(document) for document in self._documents[kind])
        return self._of(kind).plus(ClusterState(listed={kind: names}))

    def _describe(self, look: ClusterQuery) -> ClusterState:
        """The objects of that kind and the events about this one."""
        events = tuple(one for one in self._of("Event").events if one.object == look.name)
        return self._of(look.kind).plus(ClusterState(events=events))

    def _manifest(self, look: ClusterQuery) -> ClusterState:
        """What the objects say of one application: its workload and service, and all settings."""
        named = [
            document
            for kind in (*WORKLOADS, "Service")
            for document in self._documents.get(kind, ())
            if _name(document) == look.name
        ]
        state = objects(named, self._at, self.namespace)
        for kind in ("ConfigMap", "Secret", "Ingress", "HTTPRoute", "VirtualService"):
            state = state.plus(self._of(kind))
        return state

    def _logs(self, look: ClusterQuery) -> ClusterState:
        """What complains; of the run before, and where no container runs, also what came last."""
        pods = PodIndex(self._of("Pod").pods).of(look.name)
        found: tuple[LogExcerpt, ...] = tuple(
            one
            for pod in pods
            for container in pod.spec.containers
            for one in termination_messages(look.name, container)
        )
        for suffix, previous in (("", False), (".previous", True)):
            path = self._folder / f"logs-{look.name}{suffix}.txt"
            if not path.is_file():
                continue
            text = _read(path)
            found += excerpts(look.name, text, previous=previous, all_=look.verb == "logs")
            if previous or (pods and not any(map(_runs, pods))):
                found += last_words(look.name, text, previous=previous)
        return ClusterState(logs=found)


def _runs(pod: Pod) -> bool:
    return any(container.state.status == "running" for container in pod.spec.containers)


def _flat(document: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Kind and object of all that a document holds; a list of a kind without objects names it."""
    if not isinstance(document, Mapping):
        return
    kind = str(document.get("kind", ""))
    inside = document.get("items")
    if not isinstance(inside, list):
        yield kind, document
        return
    listed = kind.removesuffix("List")
    if listed:
        yield listed, {}
    for item in inside:
        if isinstance(item, Mapping):
            yield from _flat({"kind": listed, **item})


def _name(document: Mapping[str, object]) -> str:
    meta = document.get("metadata")
    return str(meta.get("name", "")) if isinstance(meta, Mapping) else ""


def _parsed(path: Path) -> Iterator[object]:
    try:
        yield from yaml.safe_load_all(_read(path))
    except (yaml.YAMLError, RecursionError) as error:
        problem = f"{path.name} is not YAML: {error}"
        raise SourceError("kubernetes snapshot", problem, recoverable=False) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SourceError("kubernetes snapshot", str(error), recoverable=False) from error
