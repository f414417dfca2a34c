"""Spans as instrumented services export them, for the servers of tests that store traces."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tools.types import Span, Timestamp


@dataclass(frozen=True, slots=True)
class ExportedSpan:
    """A span with what `Span` does not keep: its kind, and the peer an outgoing call names."""

    span: Span
    kind: str = "server"
    peer: str = ""


def by_trace(exported: Iterable[ExportedSpan]) -> dict[str, list[ExportedSpan]]:
    """The spans of each trace, those that began first before the others."""
    found: dict[str, list[ExportedSpan]] = {}
    for one in sorted(exported, key=lambda one: one.span.at):
        found.setdefault(one.span.trace, []).append(one)
    return found


def checkout(
    number: int,
    at: Timestamp,
    services: Sequence[str] = ("web", "cart", "pay"),
    *,
    own_s: float = 0.01,
    slow: str = "",
    slow_s: float = 0.0,
    failed: str = "",
) -> list[ExportedSpan]:
    """One request that goes through the services in a row, each calling the next and waiting.

    Every service spends `own_s` itself, the `slow` one `slow_s` more; where one `failed`, those
    before it have failed, too.
    """
    found: list[ExportedSpan] = []
    took = 0.0
    for depth in reversed(range(len(services))):
        name = services[depth]
        took += own_s + (slow_s if name == slow else 0.0)
        parent = f"{number * 64 + depth:016x}" if depth else ""
        broken = failed in services and depth <= services.index(failed)
        span = Span(
            at=at + depth * own_s / 4,
            trace=f"{number:032x}",
            span=f"{number * 64 + depth + 1:016x}",
            parent=parent,
            service=name,
            operation=f"POST /{name}",
            seconds=round(took, 6),
            error=broken,
        )
        found.insert(0, ExportedSpan(span))
    return found
