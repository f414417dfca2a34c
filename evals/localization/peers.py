"""The methods ours is held against, each on the same telemetry: scores per component."""

import importlib
import importlib.util
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evals.localization.cases import BundleCase
from tools.types import FloatArray, Owner, Series, Telemetry, Timestamp, Topology

Scores = dict[str, float]
PeerMethod = Callable[[Telemetry, Timestamp], Scores]

DAMPING, ROUNDS = 0.85, 60
ANOMALOUS = 3.0


def names_of(topology: Topology) -> tuple[str, ...]:
    """Every component the graph names."""
    ends = (name for edge in topology.edges for name in (edge.caller, edge.callee))
    return tuple(dict.fromkeys((*topology.nodes, *ends)))


def chance(seen: Telemetry, onset: Timestamp) -> Scores:
    """Everything tied."""
    return dict.fromkeys(names_of(seen.topology), 0.0)


def n_sigma(seen: Telemetry, onset: Timestamp) -> Scores:
    """The largest |x - mean| / sd of any own metric."""
    return _by_component(seen, onset, lambda before: (float(before.mean()), float(before.std())))


def robust(seen: Telemetry, onset: Timestamp) -> Scores:
    """The largest |x - median| / IQR of any own metric."""

    def spread(before: FloatArray) -> tuple[float, float]:
        low, middle, high = np.percentile(before, [25, 50, 75])
        return float(middle), float(high - low)

    return _by_component(seen, onset, spread)


def page_rank(seen: Telemetry, onset: Timestamp) -> Scores:
    """Personalised PageRank from caller to callee, restarting at the robust scores."""
    names = names_of(seen.topology)
    if not names:
        return {}
    at = {name: i for i, name in enumerate(names)}
    strange = robust(seen, onset)
    start = np.array([np.log1p(strange.get(name, 0.0)) + 1e-6 for name in names])
    start /= start.sum()
    moves = np.zeros((len(names), len(names)))
    for edge in seen.topology.edges:
        moves[at[edge.caller], at[edge.callee]] = start[at[edge.callee]]
    out = moves.sum(1, keepdims=True)
    moves = np.where(out > 0, moves / np.where(out > 0, out, 1.0), start[None, :])
    rank = start.copy()
    for _ in range(ROUNDS):
        rank = (1.0 - DAMPING) * start + DAMPING * rank @ moves
    return {name: float(rank[i]) for name, i in at.items()}


def traversal(seen: Telemetry, onset: Timestamp) -> Scores:
    """From the entry to anomalous callees as far as they go; the last anomalous ones win."""
    strange = robust(seen, onset)
    callees: dict[str, list[str]] = {}
    for edge in seen.topology.edges:
        callees.setdefault(edge.caller, []).append(edge.callee)
    entry = seen.topology.entry or next(iter(names_of(seen.topology)), "")
    found = dict.fromkeys(names_of(seen.topology), 0.0)
    reached, queue = {entry}, [entry]
    while queue:
        here = queue.pop(0)
        bad = [c for c in callees.get(here, ()) if strange.get(c, 0.0) > ANOMALOUS]
        if not bad:
            found[here] = 1.0 + np.log1p(strange.get(here, 0.0))
        queue += [name for name in bad if name not in reached]
        reached |= set(bad)
    return found


def last_change(seen: Telemetry, onset: Timestamp) -> Scores:
    """The component changed last before the onset."""
    found = chance(seen, onset)
    for change in seen.changes:
        if change.at <= onset:
            found[change.service] = max(found.get(change.service, 0.0), change.at)
    return found


def loudest_alert(seen: Telemetry, onset: Timestamp) -> Scores:
    """The component with the highest score of any metric alert, else with the most alerts."""
    found = chance(seen, onset)
    for alert in seen.alerts:
        if alert.service and alert.labels.get("kind", "metric") == "metric":
            size = 1e-3 if alert.value is None else abs(alert.value)
            found[alert.service] = max(found.get(alert.service, 0.0), size)
    return found


def baro(seen: Telemetry, onset: Timestamp) -> Scores:
    """BARO (Pham, Ha and Zhang, FSE 2024) by its authors' package, where it is installed.

    What has no metric is tied at the end.
    """
    ranked = _baro(seen, onset)
    last = min(ranked.values(), default=0.0) - 1.0
    return dict.fromkeys(names_of(seen.topology), last) | ranked


PEERS: Mapping[str, PeerMethod] = {
    "chance": chance,
    "N-sigma": n_sigma,
    "robust": robust,
    "PageRank": page_rank,
    "traversal": traversal,
    "last change": last_change,
    "loudest alert": loudest_alert,
    **({"BARO, its package": baro} if importlib.util.find_spec("baro") is not None else {}),
}


def label_prior(cases: Sequence[BundleCase], case: BundleCase, names: Sequence[str]) -> Scores:
    """How often each component was the answer in the other incidents of the system."""
    counts = Counter(
        one.answer.root_cause
        for one in cases
        if one.answer.system == case.answer.system and one.answer.id != case.answer.id
    )
    return {name: float(counts[name]) for name in dict.fromkeys((*names, *counts))}


def _by_component(
    seen: Telemetry, onset: Timestamp, spread: Callable[[FloatArray], tuple[float, float]]
) -> Scores:
    past = {one.name: one for one in seen.baseline}
    found = chance(seen, onset)
    for one in seen.series:
        owner = Owner.parse(one.owner)
        if owner.kind in ("service", "version"):
            size = _strangeness(one, past.get(one.name), onset, spread)
            found[owner.service] = max(found.get(owner.service, 0.0), size)
    return found


def _strangeness(
    one: Series,
    past: Series | None,
    onset: Timestamp,
    spread: Callable[[FloatArray], tuple[float, float]],
) -> float:
    after = one.values[(one.times >= onset) & np.isfinite(one.values)]
    before = past.values if past is not None else one.values[one.times < onset]
    before = before[np.isfinite(before)]
    if before.size < 3 or after.size == 0:
        return 0.0
    middle, width = spread(before)
    # A constant past has no scale to measure in; the methods leave such series out.
    return float(np.abs(after - middle).max() / width) if width > 1e-9 else 0.0


BaroMask = NDArray[np.bool_]
BaroColumn = tuple[str, FloatArray, FloatArray]
LEAST_BEFORE = 3


def _baro(seen: Telemetry, onset: Timestamp) -> dict[str, float]:
    """Minus the place of a component's first metric in the ranking of the robust scorer.

    The onset takes the place of its change point detection, as the authors do where it is known.
    """
    columns = _columns(seen, onset)
    found: dict[str, float] = {}
    for rank, name in enumerate(_ranked(columns) if columns else ()):
        owner = Owner.parse(name.partition("|")[0])
        found.setdefault(owner.service, -float(rank))
    return found


def _columns(seen: Telemetry, onset: Timestamp) -> list[BaroColumn]:
    """Own metrics of services: name, values before the onset (or the baseline's), values after."""
    past = {one.name: one for one in seen.baseline}
    columns = []
    for one in seen.series:
        if Owner.parse(one.owner).kind not in ("service", "version"):
            continue
        before = past.get(one.name)
        earlier = _finite(one, one.times < onset) if before is None else _finite(before)
        later = _finite(one, one.times >= onset)
        if len(earlier) >= LEAST_BEFORE and len(later):
            columns.append((one.name, earlier, later))
    return columns


def _finite(one: Series, where: BaroMask | None = None) -> FloatArray:
    known = np.isfinite(one.values)
    return one.values[known if where is None else known & where]


def _ranked(columns: Sequence[BaroColumn]) -> list[str]:
    """Names of the columns, worst first.

    Shorter ones repeat themselves before the onset and their last value after it: quartiles and
    the largest departure, all that the scorer looks at, stay as they were.
    """
    frames = importlib.import_module("pandas")
    scorer = importlib.import_module("baro.root_cause_analysis").robust_scorer
    before = max(len(earlier) for _, earlier, _ in columns)
    after = max(len(later) for _, _, later in columns)
    table = {"time": np.arange(float(before + after))}
    for name, earlier, later in columns:
        tail = np.pad(later, (0, after - len(later)), mode="edge")
        table[name] = np.concatenate((np.resize(earlier, before), tail))
    ranks: list[str] = scorer(frames.DataFrame(table), inject_time=float(before))["ranks"]
    return ranks
