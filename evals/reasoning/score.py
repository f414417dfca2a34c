"""Scores of one way to reason over all incidents, beside the rules on the same ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from statistics import fmean

import numpy as np

from copilot.deps import Limits
from copilot.sources.recorded import RecordedBundle
from evals.localization.cases import BundleCase
from evals.localization.look import HANDED_OVER, LocalizationResult
from evals.localization.peers import label_prior
from evals.localization.score import place
from evals.localization.suite import kind_right
from evals.localization.tables import CaseScore
from evals.reasoning.investigate import Investigation, Page
from evals.reasoning.measure import grounding, outcomes, over_budget, total, worse
from evals.report import Table, number
from tools.types import Telemetry


@dataclass(frozen=True, slots=True)
class IncidentComparison:
    """One incident: how the rules fared, and every run with the model."""

    case: BundleCase
    page: Page
    rules: Investigation
    runs: tuple[Investigation, ...]

    @property
    def ran(self) -> Investigation:
        """The first run, which the other figures are of."""
        return self.runs[0]

    @property
    def opinion(self) -> list[str]:
        """The components most runs put first, most votes first."""
        opinions = (one.incident.opinion for one in self.runs)
        votes = Counter(
            one.hypotheses[0].component for one in opinions if one is not None and one.hypotheses
        )
        return [name for name, _ in votes.most_common()]


@dataclass(frozen=True, slots=True)
class ModelScore:
    """A model, or a scripted policy, over all incidents."""

    name: str
    compared: tuple[IncidentComparison, ...]
    limits: Limits = Limits()

    @property
    def violations(self) -> list[str]:
        """What must not be: worse than the rules, over budget, without a report."""
        return [
            f"{self.name} on {one.case.answer.id}: {said}"
            for one in self.compared
            for ran in one.runs
            for said in (*worse(one.rules, ran), *over_budget(ran, self.limits))
        ]

    def figures(self) -> dict[str, float]:
        """The published figures of reasoning, and ours."""
        rans = [ran for one in self.compared for ran in one.runs]
        grounds = [grounding(ran) for ran in rans]
        claims = sum(one.claims for one in grounds)
        seconds = [ran.seconds for ran in rans]
        right = [_is_right(one) for one in self.compared]
        given = sum(bool(one.opinion) for one in self.compared)
        return {
            "grounded": sum(one.held for one in grounds) / claims if claims and given else nan,
            "repairs": float(sum(outcomes(ran, "repaired") for ran in rans)),
            "fallbacks": float(sum(outcomes(ran, "fell back") for ran in rans)),
            "repeated_calls": float(sum(ran.repeated for ran in rans)),
            "tokens.mean": fmean(total(ran, "tokens") for ran in rans),
            "seconds.p50": float(np.percentile(seconds, 50)),
            "seconds.p95": float(np.percentile(seconds, 95)),
            "opinion.ac1": fmean(right),
            "opinion.given": given / len(self.compared),
            "worse": float(len(self.violations)),
        }


def _is_right(one: IncidentComparison) -> float:
    return float(bool(one.opinion) and one.opinion[0] in one.case.answer.right)


def scored(one: IncidentComparison, cases: Sequence[BundleCase]) -> CaseScore:
    """The case as the suite `incidents` scores it."""
    ran, answer = one.ran, one.case.answer
    ranking = ran.incident.ranking
    changes = RecordedBundle(one.case.folder)
    window = changes.window
    located = LocalizationResult(
        evidence=ran.incident.evidence,
        ranking=ranking,
        onset=ran.onset.at,
        paged_at=one.page.first.starts_at,
        seconds=ran.brief_s,
        telemetry=Telemetry(window=window, changes=tuple(changes.changes(window))),
        stages={"brief": ran.brief_s, "whole": ran.seconds},
        brief=ran.incident.brief,
        commit=ran.incident.commit,
        page_recorded=one.page.first.source != HANDED_OVER,
    )
    names = [(candidate.component, candidate.score) for candidate in ranking.candidates]
    kind = kind_right(one.case, located, answer.right)
    prior = label_prior(cases, one.case, [candidate.component for candidate in ranking.candidates])
    peers = {"label prior": place([*prior.items()], *answer.right)}
    return CaseScore(one.case, located, place(names, *answer.right), kind, peers)


def ways_table(ways: Sequence[ModelScore], label: str) -> Table:
    """One row per way; what must be zero is in the second column."""
    rows = []
    for way in ways:
        found = way.figures()
        rows.append(
            (
                way.name,
                number(found["worse"], 0),
                number(found["grounded"]),
                f"{sum(bool(one.opinion) for one in way.compared)} of {len(way.compared)}",
                *(number(found[name], 0) for name in ("repairs", "fallbacks", "tokens.mean")),
                number(found["seconds.p50"], 1),
                number(found["opinion.ac1"]),
            )
        )
    columns = (
        *("way", "worse", "grounded", "of which with an opinion", "repairs", "rules"),
        *("tokens", "s p50", "opinion"),
    )
    title = (
        "Reasoning: times it was worse than the rules, claims that the cited items bear out (none "
        "counted where no reply gave a usable opinion), of which with an opinion, repairs, "
        "answers by the rules after all, tokens, seconds, AC@1 of its own opinion"
    )
    title += f"\n({label})" if label else ""
    return Table(title=title, columns=columns, rows=tuple(rows))
