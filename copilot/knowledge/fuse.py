"""One ranking from several, by the places and not by the scores, which do not compare."""

from collections import defaultdict
from collections.abc import Sequence

K = 60
"""Of Cormack, Clarke & Buettcher 2009: how little the first places differ from those below."""


def reciprocal_ranks(rankings: Sequence[tuple[float, Sequence[str]]]) -> list[tuple[str, float]]:
    """Ids with the sum of `weight / (K + place)` over the rankings, best first; ties by id.

    >>> [id_ for id_, _ in reciprocal_ranks([(1.0, ["a", "b"]), (1.0, ["b", "c"])])]
    ['b', 'a', 'c']
    """
    scores: dict[str, float] = defaultdict(float)
    for weight, ranking in rankings:
        for place, id_ in enumerate(ranking, 1):
            scores[id_] += weight / (K + place)
    return sorted(scores.items(), key=lambda one: (-one[1], one[0]))
