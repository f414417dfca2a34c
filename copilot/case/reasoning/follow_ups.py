"""Take the looks that were asked for: each a closed question, answered from the sources as notes.

Notes are read, and cited, but weigh nothing in the ranking: a sample that somebody chose who may
be wrong, or fooled, would bend it towards what was looked at.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.hands.recovery import WIDER
from copilot.sources.deployment import CHANGES_S
from copilot.types.incident import FollowUp, FollowUpKind
from tools.log_retriever import Miner, excerpt, novelty, sanitize
from tools.topology_walker import observe
from tools.types import Evidence, Finding, Owner, Series, Subject, Telemetry, Window

PER_LOOK = 8
"""Most notes of one look."""

FollowUpHandler = Callable[[Deps, IncidentState, Telemetry, str], list[Finding]]


def answers(
    deps: Deps, state: IncidentState, wanted: Sequence[FollowUp], window: Window
) -> list[Finding]:
    """What these looks find, as notes; a look that finds nothing says so, which is evidence too."""
    onset = state["onset"].at
    seen = deps.sources.look(window, normal_before=onset).telemetry
    found: list[Finding] = []
    for one in wanted:
        notes = _LOOKS[one.kind](deps, state, seen, one.component)[:PER_LOOK]
        nothing = f"{one.kind} {one.component}".strip() + ": nothing was found."
        found += notes or [_note(one.component, one.kind, "sources", window, nothing)]
    return found


def _metrics(deps: Deps, state: IncidentState, seen: Telemetry, component: str) -> list[Finding]:
    own = [one for one in seen.series if _is_of(one, component)]
    return _levels(own, state["onset"].at, seen.window)


def _edges(deps: Deps, state: IncidentState, seen: Telemetry, component: str) -> list[Finding]:
    edges = seen.topology.edges
    callees = sorted({one.callee for one in edges if one.caller == component})
    callers = sorted({one.caller for one in edges if one.callee == component})
    said = (
        f"{component} calls {', '.join(callees[:12]) or 'nobody'} "
        f"and is called by {', '.join(callers[:12]) or 'nobody'}."
    )
    calls = [one for one in seen.series if _calls(one, component)]
    return [
        _note(component, "calls", "topology", seen.window, said),
        *_levels(calls, state["onset"].at, seen.window),
    ]


def _logs(deps: Deps, state: IncidentState, seen: Telemetry, component: str) -> list[Finding]:
    """The commonest templates after the onset, with how often each came before."""
    onset, miner = state["onset"].at, Miner()
    own = [line for line in seen.recent_logs if line.service == component]
    for line in own:
        miner.add(line.message)
    # A template is settled only when every line of it was seen.
    placed = [(line.at >= onset, miner.add(line.message).template) for line in own]
    before = Counter(template for late, template in placed if not late)
    after = Counter(template for late, template in placed if late)
    return [
        _note(
            component,
            "logged",
            "logs",
            seen.window,
            f'{component} logged "{excerpt(template, limit=120)}" {count} times after the onset, '
            f"{before[template]} times before.",
            value=float(count),
            baseline=float(before[template]),
        )
        for template, count in after.most_common(PER_LOOK)
    ]


def _changes(deps: Deps, state: IncidentState, seen: Telemetry, component: str) -> list[Finding]:
    onset = state["onset"].at
    day = Window(start=onset - CHANGES_S, end=max(seen.window.end, onset))
    recorded = deps.sources.look(day, normal_before=onset).telemetry.changes
    found = []
    for change in sorted(recorded, key=lambda change: -change.at):
        if change.service == component:
            step = f" from {change.from_version} to {change.to_version}" * bool(change.to_version)
            ago = onset - change.at
            when = f"{abs(ago):.0f} s {'before' if ago >= 0 else 'after'} the onset"
            said = f"{component}: {change.kind}{step} {when}."
            found.append(
                _note(component, "changed", "changes", day, said, onset=change.at, value=ago)
            )
    return found or [
        _note(component, "changed", "changes", day, f"no change of {component} in the day before.")
    ]


def _objects(deps: Deps, state: IncidentState, seen: Telemetry, component: str) -> list[Finding]:
    missing: list[str] = []
    about = Subject(kind="service", name=component)
    found = [
        one.model_copy(update={"kind": "note", "strength": 0.0})
        for one in deps.sources.inspect(seen.window, missing, [about])
        if Owner.parse(one.subject).service == component
    ]
    said = missing[0] if missing else f"nothing is wrong with the objects of {component}."
    return found or [_note(component, "objects", "cluster", seen.window, said)]


def _wider(deps: Deps, state: IncidentState, seen: Telemetry, component: str) -> list[Finding]:
    """What a longer look shows of anything, and the look before did not."""
    onset = state["onset"].at
    lookback = (state["gathered"].lookback_s or deps.limits.lookback_s) * WIDER
    window = Window(start=onset - lookback, end=seen.window.end)
    telemetry = deps.sources.look(window, normal_before=onset).telemetry
    known = {_about(one) for one in state["evidence"]}
    findings = [
        *observe(telemetry, onset),
        *novelty(telemetry.split_log(onset)),
    ]
    new = [one for one in findings if _about(one) not in known]
    new.sort(key=lambda one: -one.strength)
    return [one.model_copy(update={"kind": "note", "strength": 0.0}) for one in new]


_LOOKS: Mapping[FollowUpKind, FollowUpHandler] = {
    "metrics_of": _metrics,
    "logs_of": _logs,
    "edges_of": _edges,
    "changes_of": _changes,
    "cluster_objects_of": _objects,
    "wider_window": _wider,
}


def _levels(series: Iterable[Series], onset: float, window: Window) -> list[Finding]:
    """The median of each series before and after the onset, what moved most first."""
    found = []
    for one in series:
        before = one.values[(one.times < onset) & np.isfinite(one.values)]
        after = one.values[(one.times >= onset) & np.isfinite(one.values)]
        if not before.size or not after.size:
            continue
        normal, now = float(np.median(before)), float(np.median(after))
        moved = abs(now - normal) / max(abs(normal), abs(now), 1e-12)
        said = (
            f"{sanitize(one.owner, 80)} {sanitize(one.metric, 80)}: median {now:.4g}{one.unit} "
            f"after the onset, {normal:.4g}{one.unit} before."
        )
        note = _note(one.owner, one.metric, "metrics", window, said, value=now, baseline=normal)
        found.append((moved, note.model_copy(update={"query": one.name, "unit": one.unit})))
    found.sort(key=lambda pair: (-pair[0], pair[1].query))
    return [note for _, note in found]


def _note(
    subject: str,
    name: str,
    source: str,
    window: Window,
    statement: str,
    *,
    value: float | None = None,
    baseline: float | None = None,
    onset: float | None = None,
) -> Finding:
    return Finding(
        kind="note",
        subject=subject,
        name=name,
        source=source,
        query=f"service={subject}" if subject else "",
        window=window,
        value=value,
        baseline=baseline,
        onset=onset,
        statement=statement,
    )


def _is_of(series: Series, component: str) -> bool:
    owner = Owner.parse(series.owner)
    return owner.kind != "edge" and owner.service == component


def _calls(series: Series, component: str) -> bool:
    owner = Owner.parse(series.owner)
    return owner.kind == "edge" and component in (owner.caller, owner.service)


def _about(one: Finding | Evidence) -> tuple[str, str, str]:
    return (one.kind, one.subject, one.name)
