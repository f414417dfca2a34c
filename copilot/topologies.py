"""The service graph: as an operator declared it, and what several sources of it know together."""

import json
from collections.abc import Sequence
from pathlib import Path

from copilot.ports import SourceError, TopologySource
from copilot.settings import SettingsError
from tools.types import Edge, Frozen, Topology


class DeclaredTopology:
    """The service graph as an operator wrote it down: JSON with `nodes` and `edges`."""

    def __init__(self, path: Path) -> None:
        self._topology = _read_topology(path)

    def topology(self) -> Topology:
        """The graph as it stands in the file."""
        return self._topology


class _Declared(Frozen):
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


class Joined:
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
