"""gather: ask every source for the incident, run the instruments, number what they find."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.case.reasoning.follow_ups import answers
from copilot.case.state import Diagnosis, GatherProgress, IncidentState
from copilot.case.subjects import subject_of
from copilot.case.waiting import DueLaterError
from copilot.deps import Deps, Limits
from copilot.hands.recovery import WIDER
from copilot.store import Store
from copilot.types.incident import FollowUp
from tools.database_inspector import database_findings
from tools.detector import Onset
from tools.evidence import renumber
from tools.log_retriever import novelty
from tools.topology_walker import observe
from tools.topology_walker.graph import components, within
from tools.types import Change, Evidence, Owner, Telemetry, Timestamp, Window


class GatherUpdate(TypedDict):
    evidence: list[Evidence]
    gathered: GatherProgress


def gather(state: IncidentState, runtime: Runtime[Deps]) -> GatherUpdate:
    """Measure around the onset, or take the further looks that were asked for.

    A second look waits until there is enough to see. What a source could not tell is kept for the
    brief. A number never changes its meaning.
    """
    wanted = pending(state)
    return (
        _follow_up(state, runtime.context, wanted)
        if wanted
        else _gather_evidence(state, runtime.context)
    )


def young(state: IncidentState) -> bool:
    """Return whether the last look came before `settle_s` had passed: too soon to plan on."""
    seen = state.get("gathered", GatherProgress())
    return seen.until > 0 and seen.rounds == 0


def _settles_at(state: IncidentState, limits: Limits, now: Timestamp) -> Timestamp:
    """When there is enough to see, `now` at the earliest; without alerts the onset counts.

    A clock that was set back puts nothing off: nobody waits for longer than alerts may ask for.
    """
    group = state.get("group")
    began: Timestamp = group.started_at if group else state["onset"].at
    due = began + limits.settle_s
    return due if now < due <= now + 2 * limits.settle_s else now


def pending(state: IncidentState) -> tuple[FollowUp, ...]:
    """Looks that were asked for and not taken yet."""
    answered = state.get("gathered", GatherProgress()).answered
    wanted = state.get("diagnosis", Diagnosis()).wanted
    return tuple(one for one in wanted if one not in answered)


def _gather_evidence(state: IncidentState, deps: Deps) -> GatherUpdate:
    incident_id, onset = state["incident_id"], state["onset"].at
    rounds, limits = state.get("gathered", GatherProgress()).rounds, deps.limits
    settles_at = _settles_at(state, limits, deps.clock.now())
    if young(state) and deps.clock.now() < settles_at:
        raise DueLaterError(settles_at, behind=True)
    lookback = limits.lookback_s * WIDER ** min(rounds, limits.rounds - 1)
    now = max(deps.clock.now(), onset)
    window = Window(start=onset - lookback, end=now)
    alerts = deps.store.alerts.of(incident_id)
    about = [subject_of(one) for one in alerts]
    look = deps.sources.in_common().look(window, onset, about)
    changes = without_own_changes(look.telemetry.changes, deps.store, window)
    about_names = {one.name for one in about} | _accused(state["onset"])
    whole = replace(look.telemetry, alerts=alerts, changes=changes)
    telemetry = in_reach(whole, about_names)
    findings = [
        *observe(telemetry, onset),
        *novelty(telemetry.split_log(onset)),
        *database_findings(telemetry, onset),
        *look.findings,
    ]
    findings = deps.store.redactor.models(findings)
    # Also what an earlier run numbered: people and reports have cited it.
    known = state.get("evidence") or deps.store.incidents.require(incident_id).evidence
    evidence = list(renumber(findings, known)[: deps.limits.evidence])
    deps.note(
        incident_id,
        "gathered",
        f"{len(findings)} findings from {len(telemetry.series)} series, "
        f"{len(telemetry.recent_logs)} log lines, {len(telemetry.spans)} spans, "
        f"{len(changes)} changes",
        kept=float(len(evidence)),
    )
    return {
        "evidence": evidence,
        "gathered": GatherProgress(
            rounds=rounds + (now >= settles_at),
            lookback_s=lookback,
            until=now,
            missing=look.missing if telemetry is whole else (*look.missing, FAR),
        ),
    }


MOST_RECORDS, REACH = 50_000, 1
"""Log lines and spans that are all read, and the calls from what is accused up to which they are
read of a larger system. source: `python -m evals bench brief`, docs/decisions/brief-at-scale.md."""

FAR = "far services: of so large a system their logs and traces were not read"
"""What the brief then says among what no source told."""


def in_reach(telemetry: Telemetry, accused: Collection[str]) -> Telemetry:
    """Leave out logs and spans of what the incident can hardly touch, where there are too many.

    Kept is what is accused and whom it calls or is called by; metrics are all kept, for they say
    who is accused. A service the graph does not know is kept too.
    """
    if len(telemetry.logs) + len(telemetry.spans) <= MOST_RECORDS:
        return telemetry
    known = frozenset(components(telemetry.topology))
    if known.isdisjoint(accused):
        return telemetry
    far = known - within(telemetry.topology, accused, REACH)
    if not far:
        return telemetry
    return replace(
        telemetry,
        logs=tuple(one for one in telemetry.logs if one.service not in far),
        spans=tuple(one for one in telemetry.spans if one.service not in far),
    )


def _accused(onset: Onset) -> set[str]:
    owners = (Owner.parse(one.owner) for one in onset.anomalies)
    return {name for one in owners for name in (one.service, one.caller) if name}


def _follow_up(state: IncidentState, deps: Deps, wanted: tuple[FollowUp, ...]) -> GatherUpdate:
    gathered, onset = state["gathered"], state["onset"].at
    window = Window(start=onset - gathered.lookback_s, end=max(deps.clock.now(), onset))
    known = state["evidence"]
    numbered = renumber(
        [*known, *deps.store.redactor.models(answers(deps, state, wanted, window))], known
    )
    new = [one for one in numbered if one.id not in {old.id for old in known}]
    looks = ", ".join(f"{one.kind} {one.component}".strip() for one in wanted)
    deps.note(state["incident_id"], "gathered", f"looked further: {looks}", notes=float(len(new)))
    return {
        "evidence": [*known, *new],
        "gathered": gathered.model_copy(
            update={
                "answered": (*gathered.answered, *wanted),
                "follow_ups": gathered.follow_ups + 1,
            }
        ),
    }


OWN_CHANGE_SLACK_S = 5.0
"""Two clocks differ, and a platform tells of a change when it is done."""


def without_own_changes(
    changes: Sequence[Change], store: Store, window: Window
) -> tuple[Change, ...]:
    """Return the changes without those that a step of ours made to its component while it ran."""
    ours = _own_steps(store, window)
    return tuple(
        change
        for change in changes
        if not any(
            change.service == service and during.start <= change.at <= during.end
            for service, during in ours
        )
    )


def _own_steps(store: Store, window: Window) -> list[tuple[str, Window]]:
    found = []
    for intent in store.outbox.since(window.start - OWN_CHANGE_SLACK_S):
        request = store.approvals.get(str(intent.payload.get("plan", "")))
        if request is not None:
            end: Timestamp = intent.result.ended_at if intent.result else window.end
            during = Window(
                start=intent.started_at - OWN_CHANGE_SLACK_S, end=end + OWN_CHANGE_SLACK_S
            )
            found.append((Owner.parse(request.plan.component).service, during))
    return found
