"""The evidence as the figures are computed from it, and what a figure is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tools.topology_walker.graph import downstream
from tools.types import Evidence, Timestamp, Topology

Feature = Literal[
    "telltale sign",
    "own cpu",
    "own memory",
    "own disk",
    "own saturation",
    "fewer instances",
    "own latency",
    "own time in traces",
    "time on the wire",
    "own errors",
    "missing step",
    "new error path",
    "new log template",
    "more traffic",
    "recent change",
    "canary differs",
    "change below errors",
    "alerts on resources",
    "alerts on calls",
    "alerts on one instance",
    "alerts on own spans",
    "alerts in logs",
    "cluster finding",
]


@dataclass(frozen=True, slots=True)
class Figure:
    """A feature's value for one component and the evidence it rests on."""

    value: float
    evidence: tuple[str, ...]


FeatureRow = dict[Feature, Figure]


def level(z: float) -> float:
    """ln(1 + z) / ln(101), cut to [0, 1]; 0 for what is not above 0."""
    return float(np.clip(np.log1p(max(z, 0.0)) / np.log(101.0), 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Scene:
    """All evidence of an incident, with the topology and the pages, as the figures read it."""

    evidence: Sequence[Evidence]
    topology: Topology
    names: tuple[str, ...]
    callees: Mapping[str, Sequence[str]]
    onset: Timestamp
    traced: bool
    pages: Mapping[str, frozenset[str]]

    def beside_page(self, name: str, family: str) -> float:
        """Return a factor in [0, 1]: how well a rise of `family` at `name` fits the pages.

        A page about latency makes errors elsewhere less telling and the other way round; so does
        a component that the paged one does not depend on.
        """
        if not self.pages:
            return 1.0
        about = frozenset.union(*self.pages.values())
        fits = 1.0 if family in about or not about & {"latency", "errors"} else 0.4
        below = name in self.pages or any(name in self._below(paged) for paged in self.pages)
        return fits * (1.0 if below else 0.5)

    def _below(self, name: str) -> frozenset[str]:
        return frozenset(downstream(self.topology, name))


Figures = dict[tuple[str, Feature], Figure]


def keep(found: Figures, name: str, feature: Feature, value: float, *ids: str) -> None:
    known = found.get((name, feature))
    if known is None or value > known.value:
        found[name, feature] = Figure(min(value, 1.0), tuple(dict.fromkeys(ids)))
