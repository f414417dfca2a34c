"""Score a clustering of an alert stream: purity, ranking, and what a person gets to read.

Pair and entropy scores (ARI, homogeneity, completeness, V) are over the alerts of incidents, as
noise has no right cluster. They are gamed by isolated incidents in one giant cluster each, so
merged %, noise share and notifications stand beside them.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from tools.types import Timestamp

NOISE = "NOISE"
"""The answer's label of an alert that belongs to no incident."""


@dataclass(frozen=True, slots=True)
class Clustering:
    """What a method made of a stream, beside the answer: a cluster per alert.

    `rank` orders clusters (higher first), `told` is when a cluster was first notified;
    clusters missing from `told` were held back. `starts[i]` is when alert i started.
    """

    truth: Sequence[str]
    clusters: Sequence[str]
    starts: Sequence[Timestamp]
    rank: Mapping[str, float]
    told: Mapping[str, Timestamp]

    @property
    def incidents(self) -> list[str]:
        """The real incidents, in order of their names."""
        return sorted(set(self.truth) - {NOISE})


@dataclass(frozen=True, slots=True)
class StreamScore:
    """The figures of one stream; percentages are in [0, 100], everything else as named."""

    ari: float
    homogeneity: float
    completeness: float
    v: float
    merged_pct: float
    split_pct: float
    noise_share: float
    ap: float
    ap_per_incident: float
    found_in_top: float
    clusters: int
    surfaced: int
    surfaced_per_week: float
    incident_recall: float
    delay_mean: float
    delay_median: float
    delay_max: float


def score(clustering: Clustering) -> StreamScore:
    """All figures of one stream."""
    real = [i for i, label in enumerate(clustering.truth) if label != NOISE]
    truth = [clustering.truth[i] for i in real]
    found = [clustering.clusters[i] for i in real]
    homogeneity, completeness, v = v_measure(truth, found)
    ap, per_incident, top = ranking(clustering)
    delays = added_delays(clustering)
    weeks = max(1.0, max(clustering.starts) - min(clustering.starts)) / (7 * 86400.0)
    return StreamScore(
        ari=adjusted_rand(truth, found),
        homogeneity=homogeneity,
        completeness=completeness,
        v=v,
        merged_pct=merged_pct(truth, found),
        split_pct=100.0 * fmean(len(c) > 1 for c in _clusters_of(truth, found).values()),
        noise_share=noise_share(clustering),
        ap=ap,
        ap_per_incident=per_incident,
        found_in_top=top,
        clusters=len(set(clustering.clusters)),
        surfaced=len(clustering.told),
        surfaced_per_week=len(clustering.told) / weeks,
        incident_recall=incident_recall(clustering),
        delay_mean=fmean(delays) if delays else math.nan,
        delay_median=median(delays) if delays else math.nan,
        delay_max=max(delays, default=math.nan),
    )


def adjusted_rand(truth: Sequence[str], found: Sequence[str]) -> float:
    """Adjusted Rand index: agreement over pairs, 0 by chance, 1 for the same partition.

    >>> adjusted_rand(["a", "a", "b", "b"], ["x", "x", "y", "y"])
    1.0
    """
    both = _pairs(Counter(zip(truth, found, strict=True)))
    rows, columns = _pairs(Counter(truth)), _pairs(Counter(found))
    total = math.comb(len(truth), 2)
    expected = rows * columns / total if total else 0.0
    best = (rows + columns) / 2
    return 1.0 if best == expected else (both - expected) / (best - expected)


def v_measure(truth: Sequence[str], found: Sequence[str]) -> tuple[float, float, float]:
    """Homogeneity, completeness and their harmonic mean (Rosenberg and Hirschberg 2007).

    >>> v_measure(["a", "b"], ["x", "x"])
    (0.0, 1.0, 0.0)
    """
    joint = Counter(zip(truth, found, strict=True))
    homogeneity = _explained(joint, Counter(truth), Counter(found))
    swapped = Counter({(f, t): count for (t, f), count in joint.items()})
    completeness = _explained(swapped, Counter(found), Counter(truth))
    if homogeneity + completeness == 0:
        return homogeneity, completeness, 0.0
    v = 2 * homogeneity * completeness / (homogeneity + completeness)
    return homogeneity, completeness, v


def merged_pct(truth: Sequence[str], found: Sequence[str]) -> float:
    """Share of incidents that have an alert in a cluster with an alert of another incident."""
    inside = _clusters_of(found, truth)
    merged = {label for labels in inside.values() if len(labels) > 1 for label in labels}
    return 100.0 * len(merged) / len(set(truth))


def noise_share(clustering: Clustering) -> float:
    """Share of noise among the alerts of clusters that hold an incident."""
    labels = _labels(clustering)
    holding = [each for each in labels.values() if any(label != NOISE for label in each)]
    alerts = [label for each in holding for label in each]
    return fmean(label == NOISE for label in alerts) if alerts else math.nan


def ranking(clustering: Clustering) -> tuple[float, float, float]:
    """Average precision over clusters, the same over incidents, and incidents in the top N.

    A cluster is right if at least half of its alerts are of incidents. Over incidents, a cluster
    counts when it shows one that no cluster before it showed, and incidents without a right
    cluster count 0. Ties are broken against us: wrong clusters first. N is the number of
    incidents.
    """
    labels = _labels(clustering)
    right = {name: _mostly_real(each) for name, each in labels.items()}
    order = sorted(labels, key=lambda name: (-clustering.rank.get(name, 0.0), right[name]))
    hits, shown, total, per_incident = 0, set[str](), 0.0, 0.0
    for position, name in enumerate(order, 1):
        if not right[name]:
            continue
        hits += 1
        total += hits / position
        news = set(labels[name]) - {NOISE} - shown
        shown |= news
        per_incident += len(news) * min(1.0, len(shown) / position)
    incidents = len(clustering.incidents)
    top = {label for name in order[:incidents] for label in labels[name]} - {NOISE}
    return (total / hits if hits else 0.0), per_incident / incidents, len(top) / incidents


def incident_recall(clustering: Clustering) -> float:
    """Share of incidents whose main cluster (the one with most of its alerts) was told."""
    held = []
    for incident in clustering.incidents:
        counts = Counter(
            cluster
            for cluster, label in zip(clustering.clusters, clustering.truth, strict=True)
            if label == incident
        )
        held.append(counts.most_common(1)[0][0] in clustering.told)
    return fmean(held)


def added_delays(clustering: Clustering) -> list[float]:
    """Per told incident: seconds from its first alert to the first word of a cluster of it."""
    starts: dict[str, Timestamp] = {}
    words: dict[str, Timestamp] = {}
    rows = zip(clustering.truth, clustering.clusters, clustering.starts, strict=True)
    for label, cluster, start in rows:
        starts[label] = min(start, starts.get(label, start))
        if cluster in clustering.told:
            words[label] = min(clustering.told[cluster], words.get(label, math.inf))
    # A cluster told before the incident began tells of its alerts as they come: no delay added.
    return [max(0.0, words[each] - starts[each]) for each in clustering.incidents if each in words]


def _labels(clustering: Clustering) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = defaultdict(list)
    for cluster, label in zip(clustering.clusters, clustering.truth, strict=True):
        labels[cluster].append(label)
    return labels


def _mostly_real(labels: Sequence[str]) -> bool:
    return 2 * sum(label != NOISE for label in labels) >= len(labels)


def _clusters_of(keys: Sequence[str], values: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for key, value in zip(keys, values, strict=True):
        found[key].add(value)
    return found


def _pairs(counts: Counter[str] | Counter[tuple[str, str]]) -> int:
    return sum(math.comb(count, 2) for count in counts.values())


def _explained(joint: Counter[tuple[str, str]], wanted: Counter[str], given: Counter[str]) -> float:
    """1 - H(wanted | given) / H(wanted), 1 if there is nothing to explain."""
    total = sum(joint.values())
    entropy = -sum(n / total * math.log(n / total) for n in wanted.values())
    if entropy == 0:
        return 1.0
    left = -sum(n / total * math.log(n / given[g]) for (_, g), n in joint.items())
    return max(0.0, 1.0 - left / entropy)
