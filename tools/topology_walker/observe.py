"""Look at components around a known onset and measure what is not as it was."""

import numpy as np

from tools.topology_walker.config import WalkerConfig
from tools.types import Finding, Series, Telemetry, Timestamp, Window

DEFAULT = WalkerConfig()


def observe(
    telemetry: Telemetry, onset: Timestamp, config: WalkerConfig = DEFAULT
) -> list[Finding]:
    """Facts about components since the onset, strongest first; see the package docstring."""
    past = {one.name: one for one in telemetry.baseline}
    found = []
    for one in telemetry.series:
        finding = _deviation(one, past.get(one.name), onset, telemetry.window)
        if finding is not None and finding.strength >= config.min_strength:
            found.append(finding)
    found.sort(key=lambda finding: -finding.strength)
    return found[: config.max_findings]


def _deviation(
    one: Series, past: Series | None, onset: Timestamp, window: Window
) -> Finding | None:
    after = one.values[one.times >= onset]
    before = past.values if past is not None else one.values[one.times < onset]
    after, before = after[np.isfinite(after)], before[np.isfinite(before)]
    if after.size == 0 or before.size < 3:
        return None
    middle = float(np.median(before))
    low, high = np.percentile(before, [25, 75])
    scale = max(float(high - low) / 1.349, 0.01 * abs(middle), 1e-9)
    value = float(after[np.argmax(np.abs(after - middle))])
    strength = min(abs(value - middle) / scale, 1000.0)
    return Finding(
        kind="edge" if "->" in one.owner else "metric",
        subject=one.owner,
        name=one.metric,
        source="metrics",
        query=one.name,
        window=Window(start=onset, end=max(window.end, onset)),
        value=value,
        baseline=middle,
        unit=one.unit,
        onset=onset,
        direction="up" if value > middle else "down",
        strength=float(np.log1p(strength)),
        statement=f"{one.name} is {value:.4g}, normally {middle:.4g}",
    )
