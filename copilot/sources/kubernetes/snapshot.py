"""A recorded snapshot of a namespace: a folder of objects and logs.

- `*.yaml`, `*.json`: objects, as of `kubectl get KIND -o yaml`
- `logs-APPLICATION.txt`, `logs-APPLICATION.previous.txt`: as of `kubectl logs`
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from copilot.ports import SourceError
from copilot.sources.kubernetes.kinds import KINDS
from copilot.sources.kubernetes.logs import excerpts
from copilot.sources.kubernetes.manifests import manifest
from tools.types import ClusterQuery, ClusterState, LogExcerpt, Timestamp


class RecordedSnapshot:
    """One folder of recorded objects and logs, read when it is asked for.

    `at` is when it was recorded, Unix seconds: from it follow the ages that YAML does not carry.

    >>> RecordedSnapshot(Path("/nowhere"), "shop")
    Traceback (most recent call last):
    ...
    copilot.ports.SourceError: kubernetes snapshot: '/nowhere' is not a folder
    """

    def __init__(self, folder: Path, namespace: str, at: Timestamp | None = None) -> None:
        if not folder.is_dir():
            problem = f"{str(folder)!r} is not a folder"
            raise SourceError("kubernetes snapshot", problem, recoverable=False)
        self._folder = folder
        self._namespace = namespace
        self._at = at

    def look(self, looks: Sequence[ClusterQuery]) -> ClusterState:
        """What the files say of these questions."""
        answers: dict[str, Callable[[ClusterQuery], ClusterState]] = {
            "list": self._list,
            "describe": self._describe,
            "manifest": self._manifest,
            "configuration": lambda _: self._list(ClusterQuery(verb="list", kind="Node")),
            "errors": self._logs,
            "logs": self._logs,
        }
        state = ClusterState(namespace=self._namespace)
        for look in looks:
            if look.verb in answers:
                state = state.plus(answers[look.verb](look))
        return state

    def _objects(self) -> ClusterState:
        state = ClusterState()
        for path in sorted((*self._folder.glob("*.yaml"), *self._folder.glob("*.json"))):
            state = state.plus(manifest(_read(path), self._at))
        return state.model_copy(update={"declared": ()})

    def _list(self, look: ClusterQuery) -> ClusterState:
        """The objects of that kind."""
        field = KINDS[look.kind].field if look.kind in KINDS else ""
        if not field:
            return ClusterState()
        found = getattr(self._objects(), field)
        kept = tuple(item for item in found if getattr(item, "kind", look.kind) == look.kind)
        if field in ("events", "routes", "settings"):
            kept = found
        names = tuple(getattr(item, "name", "") for item in kept)
        return ClusterState.model_validate({field: kept, "listed": {look.kind: names}})

    def _describe(self, look: ClusterQuery) -> ClusterState:
        """The objects of that kind and the events about this one."""
        events = tuple(event for event in self._objects().events if event.object == look.name)
        return self._list(look).plus(ClusterState(events=events))

    def _manifest(self, look: ClusterQuery) -> ClusterState:
        """What the objects say of one application: its workload and service, and all settings."""
        everything = self._objects()
        return ClusterState(
            workloads=tuple(item for item in everything.workloads if item.name == look.name),
            services=tuple(item for item in everything.services if item.name == look.name),
            settings=everything.settings,
            routes=everything.routes,
        )

    def _logs(self, look: ClusterQuery) -> ClusterState:
        found: tuple[LogExcerpt, ...] = ()
        for suffix, previous in (("", False), (".previous", True)):
            path = self._folder / f"logs-{look.name}{suffix}.txt"
            if path.is_file():
                found += excerpts(
                    look.name, _read(path), previous=previous, all_=look.verb == "logs"
                )
        return ClusterState(logs=found)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SourceError("kubernetes snapshot", str(error), recoverable=False) from error
