"""Ask the model about the doubts the intake had over an incident, and write down what it says."""

from copilot.case.reasoning.consult import consult
from copilot.deps import Deps
from copilot.model.fence import Fence
from copilot.model.replies import PairReply
from copilot.model.tie_break import pair_summary, problems, question


def suggest(deps: Deps, incident_id: str) -> None:
    """A row in the journal per doubt, for people to act on; the grouping stays the rules'."""
    if deps.model is None or deps.doubts is None:
        return
    for doubt in deps.doubts.take(incident_id):
        request, prompt = question(doubt, deps.language, Fence(deps.nonce()))
        asked = consult(
            deps,
            deps.model,
            incident_id,
            request,
            PairReply,
            lambda reply: problems(reply, deps.language),
            (prompt,),
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
