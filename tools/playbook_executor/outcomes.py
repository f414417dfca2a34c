"""What worked before: the Beta posterior of a playbook's success in the nearest past cases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.playbook_executor.subject import PlaybookSubject
from tools.types import FaultKind, PlaybookOutcome

_GRID = np.linspace(0.0, 1.0, 4003)[1:-1]


@dataclass(frozen=True)
class Posterior:
    """Successes and failures counted, and the Beta(1 + s, 1 + f) that follows from them."""

    successes: int
    failures: int
    neighbourhood: str

    @property
    def cases(self) -> int:
        """How many past cases were counted."""
        return self.successes + self.failures

    @property
    def mean(self) -> float:
        """(1 + s) / (2 + s + f): the expected share of successes."""
        return (1 + self.successes) / (2 + self.cases)

    def quantile(self, share: float) -> float:
        """The success rate that the true one exceeds with probability 1 - `share`.

        >>> round(Posterior(9, 1, "").quantile(0.05), 2)
        0.64
        """
        logs = self.successes * np.log(_GRID) + self.failures * np.log1p(-_GRID)
        mass = np.cumsum(np.exp(logs - logs.max()))
        return float(_GRID[int(np.searchsorted(mass, share * mass[-1]))])


def posterior(
    playbook_id: str,
    kind: FaultKind,
    subject: PlaybookSubject,
    history: Sequence[PlaybookOutcome],
    minimum_cases: int,
) -> Posterior:
    """Count the nearest cases that are enough: this component's, its kind's, then the fault's.

    A Beta(1, 1) prior; see A. Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.1-2.4.
    With fewer than `minimum_cases` of the fault in all, the widest neighbourhood is returned.
    """
    same = [h for h in history if h.playbook_id == playbook_id and h.fault_kind == kind]
    rings = (
        (subject.service, [h for h in same if h.component == subject.service]),
        (f"components of kind {subject.kind}", _alike(same, subject)),
        ("all components", same),
    )
    for neighbourhood, cases in rings:
        if len(cases) >= minimum_cases or cases is same:
            recovered = sum(case.recovered for case in cases)
            return Posterior(recovered, len(cases) - recovered, neighbourhood)
    raise AssertionError("the widest neighbourhood is always taken")


def _alike(cases: Sequence[PlaybookOutcome], subject: PlaybookSubject) -> list[PlaybookOutcome]:
    if subject.kind == "unknown":
        return []
    return [case for case in cases if case.component_kind == subject.kind]
