"""Pictures of the logs suite."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import matplotlib.pyplot as plt
import numpy as np

from evals.logs.score import LogScore


class LogScoreRow(Protocol):
    """A row of the suite: one method on one system."""

    @property
    def system(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def score(self) -> LogScore: ...


def scores(rows: Sequence[LogScoreRow], path: Path) -> None:
    """Grouping accuracy and template F1 per system, a bar per method, message and raw line."""
    systems = list(dict.fromkeys(row.system for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    figure, axes = plt.subplots(2, 2, figsize=(12, 7), sharey=True, layout="constrained")
    for axis, (source, name) in zip(
        axes.flat,
        (("content", "ga"), ("raw", "ga"), ("content", "fta"), ("raw", "fga")),
        strict=True,
    ):
        found = {(r.system, r.method): getattr(r.score, name) for r in rows if r.source == source}
        width = 0.8 / len(methods)
        for place, method in enumerate(methods):
            heights = [found[system, method] for system in systems]
            axis.bar(np.arange(len(systems)) + place * width, heights, width, label=method)
        axis.set_xticks(np.arange(len(systems)) + 0.4 - width / 2, systems, rotation=30, ha="right")
        axis.set_title(f"{name.upper()}, {'message' if source == 'content' else 'raw line'} given")
        axis.set_ylim(0, 1.02)
        axis.grid(axis="y", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(methods), frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
