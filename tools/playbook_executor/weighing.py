"""Weigh the answers to one cause: what each did here before, and which are hardly worse.

docs/decisions/playbooks.md says what counts and what does not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tools.playbook_executor.offers import Offer
from tools.playbook_executor.parameters import text
from tools.playbook_executor.subject import PlaybookSubject
from tools.types import AnotherWay, FaultKind, PlaybookOutcome, Text

_GRID = np.linspace(0.0, 1.0, 4003)[1:-1]


@dataclass(frozen=True)
class Posterior:
    """Successes and failures counted, and the Beta(1 + s, 1 + f) that follows from them.

    `belief` is what share was expected to recover before any case, and counts as `worth` of them.
    """

    successes: int
    failures: int
    neighbourhood: str
    belief: float = 0.5
    worth: float = 0.0

    @property
    def cases(self) -> int:
        """How many past cases were counted."""
        return self.successes + self.failures

    @property
    def mean(self) -> float:
        """(1 + s) / (2 + s + f): the expected share of successes."""
        counted = self.successes + self.worth * self.belief
        return (1 + counted) / (2 + self.cases + self.worth)

    def quantile(self, share: float) -> float:
        """The success rate that the true one exceeds with probability 1 - `share`.

        >>> round(Posterior(9, 1, "").quantile(0.05), 2)
        0.64
        """
        well = self.successes + self.worth * self.belief
        ill = self.failures + self.worth * (1 - self.belief)
        logs = well * np.log(_GRID) + ill * np.log1p(-_GRID)
        mass = np.cumsum(np.exp(logs - logs.max()))
        return float(_GRID[int(np.searchsorted(mass, share * mass[-1]))])


def posterior(
    playbook_id: str,
    kind: FaultKind,
    subject: PlaybookSubject,
    history: Sequence[PlaybookOutcome],
    minimum_cases: int,
) -> Posterior:
    """Count successes in the nearest past cases that are enough: of this component, of its kind,
    else of the fault kind.

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


CAUTION = 0.05
"""One is surely better than another if this quantile of its success is above what is expected of
the other. source: one-sided 95 %, as the arm `ml` has it."""

_SHOWN = (0.025, 0.975)  # source: the interval of the page of playbooks
_MOST_PREFERRED = 100  # source: the bound of `Applicability.preference`


@dataclass(frozen=True)
class PlaybookWeights:
    """What each answer to one cause did here before, and what the catalogue thinks of it.

    The catalogue's preference is a belief worth `minimum_cases` cases: 80 expects 80 of 100 runs to
    recover. Past cases of the nearest neighbourhood that has enough move it.
    """

    kind: FaultKind
    subject: PlaybookSubject
    history: Sequence[PlaybookOutcome]
    minimum_cases: int

    def past(self, offer: Offer) -> Posterior:
        """The past alone, as the page of playbooks shows it."""
        book = offer.playbook.id
        return posterior(book, self.kind, self.subject, self.history, self.minimum_cases)

    def expected(self, offer: Offer) -> Posterior:
        """The past on top of the catalogue's belief."""
        belief = offer.preference / _MOST_PREFERRED
        return replace(self.past(offer), belief=belief, worth=self.minimum_cases)

    def foremost(self, meant: Sequence[Offer]) -> tuple[Offer, str]:
        """The catalogue's first, unless the past of another is surely better; and why.

        `meant` is in the catalogue's order and not empty.
        """
        first = best = meant[0]
        for offer in meant[1:]:
            if _acts(offer) and self._surely_better(offer, best):
                best = offer
        if best is first:
            return first, f"it is the catalogue's first for {self.kind}"
        past = self.past(best)
        where = past.neighbourhood
        return best, f"{past.successes} of {past.cases} past cases on {where} recovered"

    def another(self, chosen: Offer, ready: Sequence[Offer]) -> AnotherWay | None:
        """The most promising of the others that `chosen` is not surely better than; None: none."""
        close = [
            offer
            for offer in ready
            if offer is not chosen and _acts(offer) and not self._surely_better(chosen, offer)
        ]
        if not _acts(chosen) or not close:
            return None
        way = min(close, key=lambda offer: (-self.expected(offer).mean, *offer.order))
        playbook, values = way.playbook, way.parameters
        title = Text(en=text(playbook.title.en, values), zh=text(playbook.title.zh, values))
        terms = list(self._terms(way, chosen))
        return AnotherWay(
            playbook_id=playbook.id,
            title=title,
            risk=playbook.risk,
            parameters=values,
            why=Text(en="; ".join(en for en, _ in terms), zh="；".join(zh for _, zh in terms)),
        )

    def _surely_better(self, one: Offer, other: Offer) -> bool:
        return self.expected(one).quantile(CAUTION) > self.expected(other).mean

    def _terms(self, way: Offer, first: Offer) -> Iterator[tuple[str, str]]:
        """In what the two differ: preference, past, effect, time of the steps, risk."""
        one, other = way.preference, first.preference
        yield f"the catalogue gives it {one}, the first {other}", f"目录评分 {one}，首选为 {other}"
        done, done_first = self.past(way), self.past(first)
        if done.cases or done_first.cases:
            (en, zh), (en_first, zh_first) = _told(done), _told(done_first)
            yield f"it {en}, the first {en_first}", f"它{zh}，首选{zh_first}"
        if way.effect != first.effect and way.effect in _EFFECTS:
            yield _EFFECTS[way.effect]
        takes, takes_first = (sum(one.timeout_s for one in o.playbook.steps) for o in (way, first))
        if takes != takes_first:
            en = f"its steps take {takes:.0f} s at most, the first's {takes_first:.0f} s"
            yield en, f"步骤最长 {takes:.0f} 秒，首选为 {takes_first:.0f} 秒"
        risk, risk_first = way.playbook.risk, first.playbook.risk
        if risk != risk_first:
            yield f"risk {risk}, not {risk_first}", f"风险 {risk}，首选为 {risk_first}"


_EFFECTS = {
    "buys_time": (
        "it buys time while the cause is looked for",
        "它可在查找根因期间争取时间",
    ),
    "mends": ("it mends, the first buys time", "它可根治，首选只是争取时间"),
}


def _acts(offer: Offer) -> bool:
    """Whether it answers the fault, rather than looks, or takes back what answered it."""
    return offer.preference > 0 and offer.effect in _EFFECTS


def _told(past: Posterior) -> tuple[str, str]:
    if not past.cases:
        return "was not tried here", "在此未执行过"
    low, high = (f"{past.quantile(share):.0%}"[:-1] for share in _SHOWN)
    said = f"in {past.successes} of {past.cases} cases ({low}–{high} %)"
    return f"recovered {said}", f"恢复 {past.successes}/{past.cases} 次（{low}–{high} %）"
