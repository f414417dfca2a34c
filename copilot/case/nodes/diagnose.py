"""diagnose: hypotheses that cite evidence. The instruments decide, a model explains or dissents."""

from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.case.briefing import publish
from copilot.case.commits import pointed_commit
from copilot.case.nodes.gather import pending, young
from copilot.case.reasoning.consult import consult
from copilot.case.reasoning.opinion import Advice, advise, agreed, recollect, remembered
from copilot.case.state import Diagnosis, IncidentState
from copilot.deps import Deps, Limits
from copilot.model import all_or_nothing
from copilot.model.fence import Fence
from copilot.model.replies import PairReply
from copilot.model.tie_break import open_question, pair_summary, problems, question
from copilot.types.incident import (
    Hypothesis,
    Opinion,
)
from prompts import word
from tools.types import Candidate, Certainty, Ranking

CANDIDATES = 3
"""More than three causes are no help to a tired person."""


class DiagnoseUpdate(TypedDict):
    diagnosis: Diagnosis


def diagnose(state: IncidentState, runtime: Runtime[Deps]) -> DiagnoseUpdate:
    """One hypothesis per leading candidate, held against what is remembered and what a model says.

    The brief is out already; it is updated, not repeated.
    """
    deps, incident_id, ranking = runtime.context, state["incident_id"], state["ranking"]
    recalled = recollect(deps, state)
    shown = remembered(recalled)
    # Another look comes first where the rules want one: what it finds may answer the question.
    again = young(state) or _undecided(state, deps.limits)
    advice = None if again else advise(deps, state, recalled)
    diagnosis = _diagnosis(state, advice)
    deps.store.incidents.update(
        incident_id,
        deps.clock.now(),
        hypotheses=diagnosis.hypotheses,
        opinion=diagnosis.opinion,
        recalled=shown,
    )
    if shown or diagnosis.opinion is not None:
        publish(deps, state)
    if not again and not (advice and advice.wanted):
        _point(deps, state)
        suggest(deps, incident_id)  # last: it is worth least, and costs as many calls
    deps.note(
        incident_id, "diagnosed", _diagnosis_summary(diagnosis, ranking), recalled=float(len(shown))
    )
    return {"diagnosis": diagnosis}


def _point(deps: Deps, state: IncidentState) -> None:
    """Add the commit that a model points at to the brief, where the rules agree with it."""
    answer = deps.store.incidents.require(state["incident_id"]).commit
    pointed = pointed_commit(deps, state) if answer is not None and not answer.sha else None
    if answer is None or pointed is None:
        return
    deps.store.incidents.update(
        state["incident_id"],
        deps.clock.now(),
        commit=answer.model_copy(update={"pointed": pointed}),
    )
    publish(deps, state)


def wants_more(state: IncidentState, limits: Limits) -> bool:
    """Return whether the graph should look again: too early, undecided, or a look was asked for."""
    if young(state) or _undecided(state, limits):
        return True
    return bool(pending(state)) and state["gathered"].follow_ups < limits.follow_ups


def _undecided(state: IncidentState, limits: Limits) -> bool:
    return state["ranking"].abstained and state["gathered"].rounds < limits.rounds


def _diagnosis(state: IncidentState, advice: Advice | None) -> Diagnosis:
    before, ranking = state.get("diagnosis", Diagnosis()), state["ranking"]
    opinion = advice.opinion if advice else None
    if opinion is not None and opinion.failed and before.opinion and not before.opinion.failed:
        opinion = before.opinion
    return Diagnosis(
        hypotheses=_hypotheses(ranking, opinion),
        opinion=opinion,
        wanted=(*before.wanted, *(advice.wanted if advice else ())),
        repeated=before.repeated + (advice.repeated if advice else 0),
    )


def _hypotheses(ranking: Ranking, opinion: Opinion | None) -> tuple[Hypothesis, ...]:
    """The candidates in their order, the model's words under ours; then the model's own."""
    rival: Certainty = "ambiguous" if ranking.certainty == "ambiguous" else "insufficient"
    said = {one.component: one for one in opinion.hypotheses} if opinion else {}
    found = []
    for place, candidate in enumerate(ranking.candidates[:CANDIDATES]):
        held = (agreed(ranking, opinion), rival, "insufficient")[place]
        own = _hypothesis(candidate, held)
        found.append(_explained(own, said.get(candidate.component)))
    listed = {one.component for one in found}
    return (*found, *(one for name, one in said.items() if name not in listed))


def _hypothesis(candidate: Candidate, certainty: Certainty) -> Hypothesis:
    cited = tuple(dict.fromkeys(e for term in candidate.terms for e in term.evidence))
    kind = word("fault_kind", candidate.fault_kind or "unknown", "en")
    terms = ", ".join(f"{term.name} {term.weight:+.2f}" for term in candidate.terms[:4])
    return Hypothesis(
        component=candidate.component,
        fault_kind=candidate.fault_kind,
        statement=f"{candidate.component}: {kind} ({terms})",
        evidence=cited,
        certainty=certainty,
    )


def _explained(own: Hypothesis, said: Hypothesis | None) -> Hypothesis:
    """The candidate with what the model says of it; our statement stays."""
    if said is None:
        return own
    return own.model_copy(
        update={
            "explanation": said.statement,
            "evidence": tuple(dict.fromkeys((*own.evidence, *said.evidence))),
            "contradicts": tuple(one for one in said.contradicts if one not in own.evidence),
            "falsified_by": said.falsified_by,
            "missing": said.missing,
        }
    )


def _diagnosis_summary(diagnosis: Diagnosis, ranking: Ranking) -> str:
    if not ranking.candidates:
        return "no component stands out"
    first = ranking.candidates[0]
    kind = word("fault_kind", first.fault_kind or "unknown", "en")
    located = f"{first.component}: {kind}"
    opinion = diagnosis.opinion
    if opinion is None:
        return f"{located}, by the instruments"
    if opinion.failed:
        return f"{located}, by the instruments ({opinion.model}: {opinion.failed})"
    if opinion.agrees:
        return f"{located}; {opinion.model} agrees"
    return f"{located}; {opinion.model} holds {opinion.hypotheses[0].component} for likelier"


def suggest(deps: Deps, incident_id: str) -> None:
    """Ask the model about uncertain pairs of this incident and journal its answers; groups stay."""
    if deps.model is None or deps.doubts is None:
        return
    topology = deps.sources.topology()
    for doubt in deps.doubts.take(incident_id):
        if not open_question(doubt, topology):
            continue
        request, prompts = question(doubt, deps.language, Fence(deps.nonce()))
        asked = consult(
            deps,
            deps.model,
            incident_id,
            request,
            PairReply,
            all_or_nothing(lambda reply: problems(reply, deps.language)),
            prompts,
        )
        if asked.value is not None:
            deps.note(
                incident_id,
                "suggested",
                pair_summary(doubt, asked.value, deps.model),
                verdict=asked.value.verdict,
                noise=asked.value.noise,
                because=asked.value.reason,
            )
