"""Which of our fault kinds count as right for the fault names of public data sets.

A recorded fault has the name its injector gave it; the copilot names what an operator could see.
Where the injector changed a parameter or a release, the release or parameter is the right kind,
and so is the symptom the recording shows of it. Lost, corrupted and doubled packets are seen as
retransmission, that is as delay, where no counter of the network itself was recorded.
"""

from typing import get_args

from tools.types import FaultKind

_WORDS: tuple[tuple[str, frozenset[FaultKind]], ...] = (
    ("cpu", frozenset({"cpu_saturation", "noisy_neighbour"})),
    ("memoryleak", frozenset({"memory_pressure", "bad_deploy"})),
    ("mem", frozenset({"memory_pressure"})),
    ("disk", frozenset({"disk_io", "disk_full"})),
    ("network_delay", frozenset({"network_delay"})),
    ("net_latency", frozenset({"network_delay"})),
    ("network", frozenset({"network_loss", "network_delay"})),
    ("kill", frozenset({"process_down"})),
    ("latency/misconfig", frozenset({"bad_config", "slow_dependency"})),
    ("latency/slow_code", frozenset({"bad_deploy", "slow_dependency"})),
    ("latency/overload", frozenset({"traffic_surge", "slow_dependency"})),
    ("availability/misconfig", frozenset({"bad_config", "errors"})),
    ("availability/exception", frozenset({"bad_deploy", "errors"})),
)


_OURS: dict[str, FaultKind] = {kind: kind for kind in get_args(FaultKind)}


def accepted(fault_type: str, *, released: bool) -> frozenset[FaultKind]:
    """The kinds that name this fault; empty where it cannot be named by an observer.

    `released` says that the fault came with a recorded release: then `bad_deploy` is right.

    >>> sorted(accepted("cpu_load", released=False))
    ['cpu_saturation', 'noisy_neighbour']
    """
    name = fault_type.lower()
    if name in _OURS:
        return frozenset({_OURS[name]})
    found = next((kinds for word, kinds in _WORDS if word in name), frozenset())
    if name in ("exception", "return"):
        found = frozenset({"errors"})
    return found | {"bad_deploy"} if released else found
