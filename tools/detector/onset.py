"""When did this incident begin? Searched across many series around the alert."""

from collections.abc import Sequence

import numpy as np

from tools.detector.model import DEFAULT, DetectorConfig, Onset
from tools.detector.scan import detect
from tools.types import Series, Timestamp


def onset(
    series: Sequence[Series],
    baseline: Sequence[Series],
    alerted_at: Timestamp,
    config: DetectorConfig = DEFAULT,
) -> Onset:
    """The moment most series leave their normal band, near the alert."""
    known = {one.name: one for one in baseline}
    found = [a for one in series for a in detect(one, config, known.get(one.name))]
    near = [a for a in found if a.end is None or a.end >= alerted_at]
    if not near:
        return Onset(
            at=alerted_at, confidence=0.1, reason="no series left its band; the alert's time"
        )
    strongest = tuple(sorted(near, key=lambda a: a.score)[:10])
    at = float(np.median([a.onset for a in strongest]))
    return Onset(
        at=min(at, alerted_at),
        confidence=0.5,
        anomalies=strongest,
        reason=f"{len(near)} series left their band around {at:.0f}",
    )
