"""The same incidents under every perturbation, one row each, with the loss against none."""

from collections.abc import Mapping
from statistics import fmean

from evals.report import Table, number

Means = Mapping[str, float]
"""AC@1 per system."""


def robustness_table(found: Mapping[str, Means], cases: int) -> Table:
    """Mean AC@1 over the systems under each perturbation; `found` begins with `none`."""
    systems = tuple(next(iter(found.values())))
    whole = mean(found["none"])
    rows = []
    for kind, means in found.items():
        cells = (number(means[system]) for system in systems)
        loss = f"{100.0 * (1.0 - mean(means) / whole):.1f} %" if whole else "–"
        rows.append((kind, number(mean(means), 3), loss, *cells))
    return Table(
        title=f"AC@1 under perturbation, {cases} incidents",
        columns=("perturbation", "mean AC@1", "loss", *systems),
        rows=tuple(rows),
    )


def mean(means: Means) -> float:
    """Every system counts alike."""
    return fmean(means.values())
