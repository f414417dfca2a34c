"""What a model's way cost and was worth on one incident, and whether it made anything worse."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue, ValidationError

from copilot.case.reasoning.case import components_of
from copilot.deps import Limits
from copilot.model.claims import ClaimScope, problems_of
from copilot.model.replies import DiagnosisReply, NarrativeReply, PlanReply
from evals.reasoning.investigate import Investigation
from tools.evidence import cited

SLACK_S = 120.0
"""Seconds a whole run may take beside the model's budget: the instruments, on a busy machine."""

CUT_S = 5.0
"""Seconds a model may overrun: it is cut between two pieces of its reply (measured: 0.9 to 1 s)."""

_CONFIDENCE = re.compile(r"^(\*\*Cause\*\*: )(proven|likely): ", re.MULTILINE)
_TOLD = re.compile(r"^.* tells it so \(.*\):\n\n((?:- .*\n)+)", re.MULTILINE)
_CITES = re.compile(r"^- |\[E\d+\]")
_ITS_OWN = ("**Model**", "**Seen before**")


@dataclass(frozen=True, slots=True)
class Grounding:
    """Claims of a model's replies as they came, and how many of them their citations support."""

    claims: int
    held: int


def grounding(ran: Investigation) -> Grounding:
    """Over every reply, repaired or not; one that cannot be read is a claim that does not hold."""
    known = _known(ran)
    claims = [claim for reply in ran.replies for claim in _claims(reply)]
    held = [one for one in claims if one is not None and not problems_of(*one, known)]
    return Grounding(len(claims), len(held))


def _claims(reply: str) -> list[tuple[str, Sequence[str]] | None]:
    try:
        if '"playbook"' in reply:
            picked = PlanReply.model_validate_json(reply)
            return [(picked.reason, picked.cites)] if picked.playbook else []
        if '"sentences"' in reply:
            told = NarrativeReply.model_validate_json(reply)
            return [(one.text, one.cites) for one in told.sentences]
        said = DiagnosisReply.model_validate_json(reply)
    except ValidationError:
        return [None]
    return [(one.because, (*one.supports, *one.contradicts)) for one in said.hypotheses]


def _known(ran: Investigation) -> ClaimScope:
    evidence = ran.incident.evidence
    return ClaimScope(evidence, frozenset(components_of(evidence, ran.incident.ranking)), "en")


def unsupported(ran: Investigation) -> list[str]:
    """What a reader sees of a model that the cited items do not bear out: there must be none."""
    incident, scope = ran.incident, _known(ran)
    known = {one.id for one in incident.evidence}
    found = [
        f"{language} brief cites {number}"
        for language, text in ran.incident.brief.items()
        for number in cited(text)
        if number not in known
    ]
    held = [one for one in incident.hypotheses if one.by == "llm" or one.explanation]
    for one in (*held, *(incident.opinion.hypotheses if incident.opinion else ())):
        said = one.explanation or one.statement
        if problems_of(said, (*one.evidence, *one.contradicts), scope):
            found.append(f"hypothesis on {one.component}: {said[:80]}")
    for line in _TOLD.findall(incident.report.get("en", "")):
        found += [
            f"report: {said[:80]}"
            for said in line.splitlines()
            if said and problems_of(_CITES.sub("", said), cited(said), scope)
        ]
    return found


def worse(rules: Investigation, ran: Investigation) -> Iterator[str]:
    """What is not as good as without a model."""
    if ran.located != rules.located:
        yield f"located {ran.located}, the rules {rules.located}"
    if rules.plan is not None and ran.plan != rules.plan:
        yield f"plan {ran.plan}, the rules {rules.plan}"
    if _said(ran) != _said(rules):
        yield "the brief says something else"
    yield from unsupported(ran)


def _said(ran: Investigation) -> list[str]:
    """The brief above its evidence, without the lines on the model and on how sure to sound."""
    above = ran.incident.brief["en"].partition("\n## ")[0]
    above = _CONFIDENCE.sub(r"\1", above)
    return [line for line in above.splitlines() if line and not line.startswith(_ITS_OWN)]


def over_budget(ran: Investigation, limits: Limits) -> Iterator[str]:
    """Why a run did not end as it must: within its budget, with a report."""
    if not all(ran.incident.report.get(language) for language in ("en", "zh")):
        yield "no report"
    calls, seconds = total(ran, "calls"), total(ran, "seconds")
    if calls > limits.model_calls:
        yield f"{calls:.0f} calls of {limits.model_calls}"
    if seconds > limits.model_s + CUT_S or ran.seconds > limits.model_s + SLACK_S:
        yield f"{seconds:.0f} s of the model, {ran.seconds:.0f} s in all"


def total(ran: Investigation, figure: str) -> float:
    """The sum of a figure over what was asked."""
    return sum(float(str(one.get(figure, 0.0))) for one in ran.asked)


def outcomes(ran: Investigation, outcome: str) -> int:
    """How often asking ended so."""
    return sum(one.get("outcome") == outcome for one in ran.asked)


def document(ran: Investigation) -> dict[str, JsonValue]:
    """The run in the JSON."""
    opinion = ran.incident.opinion
    return {
        "asked": [json.loads(json.dumps(one)) for one in ran.asked],
        "opinion": [one.component for one in opinion.hypotheses] if opinion else [],
        "plan": None if ran.plan is None else {"playbook": ran.plan[0], "component": ran.plan[1]},
        "status": ran.incident.status,
        "seconds": ran.seconds,
        "brief_seconds": ran.brief_s,
    }
