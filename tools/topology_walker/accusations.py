"""What log lines say of causes, and whom they accuse: the writer, its peer, or its client.

The signatures stand in `tools/log_retriever/causes.yaml`; here their peers are looked up in the
service graph, and who is accused only for what its own callee does to it is let go.

Why these numbers: docs/decisions/fault-signatures.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tools.log_retriever.causes import LogSignature, component_of, hosts, named, signature_of
from tools.topology_walker.graph import callers_of
from tools.topology_walker.readings import EdgeMoved, LineNew, TypedReading
from tools.topology_walker.scene import Scene
from tools.types import FaultKind

_ONLY_CALLEE, _UNNAMED = 0.75, 0.5
"""A line that names nobody means the only callee, if there is but one; else something that nobody
sees from here. Source: docs/decisions/fault-signatures.md.
"""

_TIMES = 3.0
"""A line that is written this many times as often as before has surely come with the fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accusation(TypedReading):
    """A writer's line accuses the component of a kind of fault, this surely, in [0, 1].

    `told` is how surely the line tells of that kind, whoever has it. `peer` is the host that is
    accused where nothing here watches it: then the component is the writer, who can act.
    """

    writer: str
    kind: FaultKind
    sure: float
    told: float
    peer: str
    signature: LogSignature


class _Accused(NamedTuple):
    component: str
    peer: str = ""
    sure: float = 1.0


def accusations(scene: Scene) -> tuple[Accusation, ...]:
    """Every accusation by a line that came with the fault, less what the accused only hand on."""
    scope, found = _Scope(scene), []
    for line in scene.of(LineNew):
        rise = _rise(line)
        row = signature_of(line.text) if rise > 0 else None
        if row is None:
            continue
        accused = scope.accused(line.service, row, line.excerpt)
        kind = row.kind_at(row.accused == "peer" and accused.component == line.service)
        told = row.sure * rise
        found.append(
            Accusation(
                ids=line.ids,
                writer=line.service,
                service=accused.component,
                kind=kind,
                sure=accused.sure * told,
                told=told,
                peer=accused.peer,
                signature=row,
            )
        )
    return tuple(_passed_on(scope.without_servers(found)))


def _rise(line: LineNew) -> float:
    """How surely a line came with the fault: from as often as before (0) to three times (1)."""
    if not line.up or line.topic == "information":
        return 0.0
    return min(max((line.value - line.usual) / ((_TIMES - 1.0) * line.usual + 1e-9), 0.0), 1.0)


class _Scope:
    """Who is known, and who calls whom."""

    def __init__(self, scene: Scene) -> None:
        self._known, self._callees = scene.names, scene.callees
        self._callers = callers_of(scene.topology)
        self._failing = sorted(scene.failing.items(), key=lambda call: -call[1])
        self._outside = {one.service for one in scene.of(EdgeMoved) if one.outside}

    def accused(self, writer: str, row: LogSignature, text: str) -> _Accused:
        """Whom the line accuses: a watched peer that it names, or the writer for another one."""
        if row.accused != "peer":
            return _Accused(writer)
        one = self._peer(writer, text)
        return _Accused(writer, peer=one.component) if one.component in self._outside else one

    def _peer(self, writer: str, text: str) -> _Accused:
        mentioned = {host: component_of(host, self._known) for host in hosts(text)}
        peers = [*mentioned.values(), *named(text, self._known)]
        peers = [name for name in peers if name and name != writer]
        callees = self._callees.get(writer, ())
        for name in (*(peer for peer in peers if peer in callees), *peers):
            return _Accused(name)
        for host, name in mentioned.items():
            if not name:
                return _Accused(writer, peer=host)
        for (caller, callee), share in self._failing:
            if caller == writer and share > 0:
                return _Accused(callee)
        if len(callees) == 1:
            return _Accused(callees[0], sure=_ONLY_CALLEE)
        return _Accused(writer, sure=_UNNAMED)

    def without_servers(self, found: Sequence[Accusation]) -> list[Accusation]:
        """Leave out servers that log a mistake of a client which the client itself logs, too."""
        own = {(one.writer, one.signature.name) for one in found}
        return [
            one
            for one in found
            if one.signature.accused != "client"
            or not any(
                (caller, one.signature.name) in own for caller in self._callers.get(one.writer, ())
            )
        ]


def handing_on(found: Iterable[Accusation]) -> dict[str, float]:
    """Map writers to how surely, in [0, 1], they accuse somebody else."""
    blames: dict[str, float] = {}
    for one in found:
        if one.signature.accused == "peer":
            blames[one.writer] = max(blames.get(one.writer, 0.0), one.sure)
    return blames


def _passed_on(found: Sequence[Accusation]) -> Iterable[Accusation]:
    """Whoever accuses a peer is accused the less by others: it hands on what it suffers."""
    blames = handing_on(found)
    for one in found:
        told = one.service == one.writer
        left = 1.0 if told else 1.0 - blames.get(one.service, 0.0)
        yield replace(one, sure=left * one.sure, told=left * one.told)
