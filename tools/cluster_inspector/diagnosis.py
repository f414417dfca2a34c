"""Run every analyzer over a state, and rank what they found."""

from collections.abc import Callable

from tools.cluster_inspector.config import Config
from tools.cluster_inspector.findings import ClusterFinding, Diagnosis
from tools.types import ClusterState

Analyzer = Callable[[ClusterState, Config], list[ClusterFinding]]

ANALYZERS: tuple[Analyzer, ...] = ()


def inspect(state: ClusterState, config: Config | None = None) -> tuple[ClusterFinding, ...]:
    """Every rule that an object of the state breaks, in the order of the analyzers.

    Pure: the same state gives the same findings.

    >>> inspect(ClusterState(namespace="shop"))
    ()
    """
    config = config or Config()
    return tuple(found for analyze in ANALYZERS for found in analyze(state, config))


def diagnose(state: ClusterState, config: Config | None = None) -> Diagnosis:
    """The likeliest causes first, each with object, rule, stage and evidence.

    >>> diagnose(ClusterState(namespace="shop")).reason
    'no rule is broken'
    """
    config = config or Config()
    best: dict[tuple[str, str], ClusterFinding] = {}
    for found in inspect(state, config):
        key = (found.object, found.rule.id)
        if key not in best or found.score > best[key].score:
            best[key] = found
    ranked = sorted(best.values(), key=lambda found: -found.score)
    return Diagnosis(
        predictions=tuple(ranked[: config.predictions]),
        reason="" if ranked else "no rule is broken",
    )
