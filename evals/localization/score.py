"""Score rankings of components against the one that was at fault; ties are shared, never won.

A candidate that ties with others takes each of their places with equal chance, so every figure is
the expectation over a random order of the tied: no method gains by the order of names.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import get_args

from tools.types import FaultKind, FrozenModel


class AnswerRank(FrozenModel):
    """Where the answer stands: `better` candidates strictly above, `tied` with it (itself too).

    `tied` is 0 when the answer is not among the candidates.
    """

    better: int
    tied: int

    def within(self, k: int) -> float:
        """Chance that the answer is among the first k (AC@k of one case).

        >>> AnswerRank(better=0, tied=2).within(1)
        0.5
        """
        if self.tied == 0:
            return 0.0
        return min(max((k - self.better) / self.tied, 0.0), 1.0)

    def reciprocal(self) -> float:
        """Expected 1 / rank; 0 when absent."""
        if self.tied == 0:
            return 0.0
        return fmean(1.0 / (self.better + i) for i in range(1, self.tied + 1))


class RankingScore(FrozenModel):
    """Means over cases: AC@1, AC@3, AC@5, Avg@5 (mean of AC@1…AC@5), MRR."""

    cases: int
    ac1: float
    ac3: float
    ac5: float
    avg5: float
    mrr: float


def place(scored: Sequence[tuple[str, float]], *answers: str) -> AnswerRank:
    """Find the answer among `(component, score)`, highest score first; order does not matter.

    Of several right answers the best counts, and the others stand in nobody's way.

    >>> place([("shipping", 2.0), ("web", 1.0), ("carrier", 0.5)], "carrier", "shipping")
    Place(better=0, tied=1)
    """
    own = [score for name, score in scored if name in answers]
    if not own:
        return AnswerRank(better=0, tied=0)
    best = max(own)
    others = [score for name, score in scored if name not in answers]
    return AnswerRank(
        better=sum(score > best for score in others),
        tied=1 + sum(score == best for score in others),
    )


def score(places: Sequence[AnswerRank]) -> RankingScore:
    """Means over the cases; zeros where there are none."""
    if not places:
        return RankingScore(cases=0, ac1=0.0, ac3=0.0, ac5=0.0, avg5=0.0, mrr=0.0)
    ac = {k: fmean(one.within(k) for one in places) for k in range(1, 6)}
    return RankingScore(
        cases=len(places),
        ac1=ac[1],
        ac3=ac[3],
        ac5=ac[5],
        avg5=fmean(ac.values()),
        mrr=fmean(one.reciprocal() for one in places),
    )


# A recorded fault has the name its injector gave it; the copilot names what an operator could see.
# Where the injector changed a parameter or a release, that is the right kind, and so is the symptom
# the recording shows of it. Lost, corrupted and doubled packets are seen as retransmission, that is
# as delay, where no counter of the network itself was recorded.
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
