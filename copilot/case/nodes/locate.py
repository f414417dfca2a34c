"""locate: rank the components and fault kinds by a documented score over the evidence."""

from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.case.commits import commit_answer, without_blame
from copilot.case.learning import as_shipped, memory
from copilot.case.state import GatherProgress, IncidentState
from copilot.deps import Deps
from tools.topology_walker import EvidenceScope, explain_tree, rank
from tools.types import Ranking


class LocateUpdate(TypedDict):
    ranking: Ranking


def locate(state: IncidentState, runtime: Runtime[Deps]) -> LocateUpdate:
    """Rank, and stop the `located` clock the first time the evidence decides."""
    deps, incident_id = runtime.context, state["incident_id"]
    evidence, topology = state["evidence"], deps.sources.topology()
    # Notes were asked for by somebody who may be wrong: they are read, but weigh nothing.
    measured = [one for one in evidence if one.kind != "note"]
    incident = deps.store.incidents.require(incident_id)
    gathered = state.get("gathered", GatherProgress())
    around = EvidenceScope(incident.history_s, gathered.missing)
    given = measured, topology, deps.instruments, around
    ranking, site = rank(*given), memory(deps.store)
    shipped = as_shipped(ranking) if site.lessons else None
    if shipped is not None:
        ranking = rank(*given, site=site)
    commit = commit_answer(deps.sources, measured, ranking, topology, state["onset"].at)
    ranking = without_blame(ranking, commit)
    clocks = incident.clocks
    if not ranking.abstained and clocks.located is None:
        clocks = clocks.model_copy(update={"located": deps.clock.now()})
    # What a former run held for likely is not of this evidence.
    stale = {} if "diagnosis" in state else {"hypotheses": (), "opinion": None, "recalled": ()}
    walk = explain_tree(ranking, evidence, topology)
    with deps.store.transaction(lazily=True):
        deps.store.incidents.update(
            incident_id,
            deps.clock.now(),
            **stale,
            evidence=tuple(evidence),
            ranking=ranking,
            shipped=shipped,
            commit=commit,
            walk=walk,
            clocks=clocks,
        )
        deps.note(
            incident_id,
            "located",
            ranking.reason,
            certainty=ranking.certainty,
            candidates=", ".join(f"{c.component} {c.score:.2f}" for c in ranking.candidates[:3]),
        )
    return {"ranking": ranking}
