"""diagnose: typed hypotheses that cite evidence; the deterministic arm reads the ranking."""

from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.confidence import in_words
from copilot.deps import Deps, Limits
from copilot.incident import Hypothesis
from copilot.state import IncidentState
from prompts import word
from tools.types import Candidate

CANDIDATES = 3
"""More than three causes are no help to a tired person."""


class Diagnosed(TypedDict):
    hypotheses: list[Hypothesis]


def diagnose(state: IncidentState, runtime: Runtime[Deps]) -> Diagnosed:
    """One hypothesis per leading candidate; each cites the evidence its score rests on."""
    deps, incident_id, ranking = runtime.context, state["incident_id"], state["ranking"]
    hypotheses = [
        _hypothesis(candidate, ranking.abstained) for candidate in ranking.candidates[:CANDIDATES]
    ]
    deps.store.incidents.update(incident_id, deps.clock.now(), hypotheses=tuple(hypotheses))
    leading = hypotheses[0].statement if hypotheses else "no component stands out"
    deps.note(incident_id, "diagnosed", leading)
    return {"hypotheses": hypotheses}


def _hypothesis(candidate: Candidate, abstained: bool) -> Hypothesis:
    cited = tuple(dict.fromkeys(e for term in candidate.terms for e in term.evidence))
    kind = word("fault_kind", candidate.fault_kind or "unknown", "en")
    terms = ", ".join(f"{term.name} {term.weight:+.2f}" for term in candidate.terms[:4])
    return Hypothesis(
        component=candidate.component,
        fault_kind=candidate.fault_kind,
        statement=f"{candidate.component}: {kind} ({terms})",
        evidence=cited,
        confidence=in_words(candidate.probability, abstained),
    )


def wants_more(state: IncidentState, limits: Limits) -> bool:
    """Whether a wider look may decide what this one did not."""
    return state["ranking"].abstained and state["gathered"].rounds < limits.rounds
