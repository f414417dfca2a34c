"""Performance: everything runs, and something is slow; where the slowness starts."""

from collections import defaultdict
from collections.abc import Iterator

from tools.cluster_inspector.findings import ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.signals import Signal, signals
from tools.cluster_inspector.view import View

CPU_RISE = 2.0
"""A container that takes this many times its usual CPU while throttled is the busy one."""
EXPLAINS = 0.3
"""A callee explains its caller's slowness when it slowed down by this share of it."""


def _subject(owner: str) -> tuple[str, str]:
    node = owner.removeprefix("node:")
    return (
        (f"node/{node}", f"Node/{node}")
        if node != owner
        else (f"app/{owner}", f"Deployment/{owner}")
    )


def saturation(view: View) -> Iterator[ClusterFinding]:
    """Services throttled at their CPU limit, or close to their memory limit; lossy nodes."""
    found = signals(view)
    cpu = {signal.owner: signal for signal in found if signal.kind == "cpu"}
    for signal in found:
        subject, on = _subject(signal.owner)
        if signal.kind == "throttled":
            risen = cpu.get(signal.owner)
            sure = risen is not None and risen.ratio >= CPU_RISE
            yield broken(
                "cpu-saturated", subject, on=on, field="spec.containers[*].resources.limits.cpu",
                observed=f"throttled {signal.current:g}", expected="CPU below its limit",
                score=0.93 if sure else 0.4, evidence=signal.text,
            )  # fmt: skip
        elif signal.kind == "cpu" and signal.ratio >= CPU_RISE and subject.startswith("app/"):
            yield broken(
                "cpu-saturated", subject, on=on, field="cpu", observed=f"{signal.current:g}",
                expected=f"{signal.normal or 0:g}", score=0.35, evidence=signal.text,
            )  # fmt: skip
    yield from _loss(found)


def _loss(found: tuple[Signal, ...]) -> Iterator[ClusterFinding]:
    lossy = [signal for signal in found if signal.kind == "loss"]
    worst = max((signal.current for signal in lossy), default=0.0)
    for signal in lossy:
        subject, on = _subject(signal.owner)
        node = subject.startswith("node/")
        yield broken(
            "node-network-loss" if node else "pod-network-loss", subject, on=on,
            field="tcp retransmissions", observed=f"{signal.current:g}",
            expected=f"{signal.normal or 0:g}", score=0.94 if signal.current == worst else 0.6,
            evidence=signal.text,
        )  # fmt: skip


def slowness(view: View) -> Iterator[ClusterFinding]:
    """The slow services that no slow callee explains.

    A service is as slow as what it calls, and what a delayed service calls looks a little slow
    too, since its requests arrive late. So a callee explains its caller only when it slowed down
    by a good share of the caller's slowdown.
    """
    found = signals(view)
    slow: dict[str, Signal] = {}
    for signal in found:
        if signal.kind == "latency" and signal.rise > _rise(slow, signal.owner):
            slow[signal.owner] = signal
    callees: dict[str, set[str]] = defaultdict(set)
    for edge in view.state.edges:
        callees[edge.caller].add(edge.callee)
    origins = [owner for owner in slow if not _explained(owner, slow, callees)]
    busy = {signal.owner for signal in found if signal.kind == "throttled"}
    certain = len(origins) == 1 and (bool(view.state.edges) or len(slow) == 1)
    for owner in origins:
        subject, on = _subject(owner)
        reach = sum(_reaches(other, owner, callees) for other in slow)
        base = 0.9 if certain else 0.6 + 0.2 * reach / len(slow)
        yield broken(
            "pod-network-delay", subject, on=on, field="latency",
            observed=slow[owner].text, expected="its usual latency",
            score=base - (0.1 if owner in busy else 0.0), evidence=slow[owner].text,
        )  # fmt: skip


def _rise(slow: dict[str, Signal], owner: str) -> float:
    return slow[owner].rise if owner in slow else 0.0


def _explained(owner: str, slow: dict[str, Signal], callees: dict[str, set[str]]) -> bool:
    bound = EXPLAINS * slow[owner].rise
    return any(_rise(slow, callee) >= bound for callee in callees[owner] if callee != owner)


def _reaches(start: str, goal: str, callees: dict[str, set[str]]) -> bool:
    """`start` is `goal`, or calls it over any number of others."""
    seen, waiting = {start}, [start]
    while waiting:
        owner = waiting.pop()
        if owner == goal:
            return True
        waiting += callees[owner] - seen
        seen |= callees[owner]
    return False
