"""The first-responder brief: the answer first, the evidence under it, in both languages.

The facts are chosen here, once; the words are in `prompts/templates/brief.<language>.md`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from copilot.case.on_call import on_call_text
from copilot.case.state import GatherProgress, IncidentState
from copilot.case.subjects import accused, users_hit
from copilot.case.terms import terms_in
from copilot.deps import Deps
from copilot.sources.catalogue import NO_CATALOGUE, ServiceCatalogue
from copilot.types.incident import (
    OURS,
    PROVISIONAL,
    CommitAnswer,
    Incident,
    Opinion,
    PlanTerms,
    RecalledDocument,
    certainty_of,
    clock_lines,
    percent,
)
from copilot.types.time_format import clock_time, date_time, duration
from prompts import LANGUAGES, Language, load, translation, word
from tools.impact import impact_of
from tools.log_retriever.sanitize import plain as plain
from tools.topology_walker import is_little
from tools.types import (
    ENTRY,
    Alert,
    Candidate,
    Evidence,
    Plan,
    Ranking,
    Text,
    Topology,
    Window,
)

SHOWN = 14
"""Evidence lines under a brief; the rest is one request away."""

WORTH_NAMING = 0.05
"""A second cause less likely than this only distracts."""

RECALLED = 2
"""Documents named in a brief."""

UNSURE = 0.3
"""Below this confidence of an onset the metrics show no clear start."""

RECENT_S = 3600.0
"""A change this long before the onset still belongs under "changed just before"."""


@dataclass(frozen=True, slots=True)
class CandidateLine:
    component: str
    kind: str
    peer: str
    percent: str
    cites: str


@dataclass(frozen=True, slots=True)
class OpinionLine:
    """What a model holds for the cause; `failed` where it gave no usable answer."""

    model: str
    agrees: bool
    failed: str
    component: str
    kind: str
    cites: str
    against: str


@dataclass(frozen=True, slots=True)
class RecallLine:
    """A runbook or an incident of the past, why it is shown, and the command that opens it."""

    kind: str
    name: str
    trust: str
    agreement: str
    date: str
    source: str
    playbooks: str
    show: str


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    id: str
    kind: str
    statement: str
    excerpt: str
    source: str
    query: str
    window: str


def publish(
    deps: Deps,
    state: IncidentState,
    plan: Plan | None = None,
    advice: Mapping[Language, str] | None = None,
    noted: str = "",
) -> None:
    """Render the brief in every language and store it with the incident.

    `noted` is what the journal says of it; nothing where it is empty.
    """
    incident = deps.store.incidents.require(state["incident_id"])
    topology, alerts = deps.sources.topology(), deps.store.alerts.of(incident.id)
    texts = {
        language: render(
            incident,
            state,
            topology,
            language,
            plan,
            (advice or {}).get(language, ""),
            terms_in(deps, plan) if plan is not None else None,
            alerts,
            on_call=_on_call(deps, language),
            catalogue=deps.sources.owners,
        )
        for language in LANGUAGES
    }
    with deps.store.transaction(lazily=True):
        deps.store.incidents.update(incident.id, deps.clock.now(), brief=dict(texts))
        if noted:
            deps.note(incident.id, "briefed", noted)


def render(
    incident: Incident,
    state: IncidentState,
    topology: Topology,
    language: Language,
    plan: Plan | None = None,
    advice: str = "",
    terms: PlanTerms | None = None,
    alerts: Sequence[Alert] = (),
    catalogue: ServiceCatalogue = NO_CATALOGUE,
    on_call: str = "",
) -> str:
    """The brief of one incident in one language, as Markdown."""
    evidence, ranking, onset = state["evidence"], state["ranking"], state["onset"]
    missing = state.get("gathered", GatherProgress()).missing
    changes = [
        one
        for one in evidence
        if one.kind == "change" and one.onset is not None and onset.at - one.onset <= RECENT_S
    ]
    felt, about = symptom(evidence, topology), accused(alerts, language)
    shown, hurts = brief_evidence(evidence, ranking, felt), felt and impact_of(felt)
    return load("brief", language).render(
        title=plain(translation(incident.title, language), 160),
        severity=incident.severity,
        since=date_time(onset.at),
        symptom=_statement(felt, language) if felt else "",
        symptom_id=felt.id if felt else "",
        impact=in_language(hurts.reason if hurts else None, language),
        hit=users_hit(evidence, language),
        affected=("、" if language == "zh" else ", ").join(plain(one, 120) for one in about.named),
        more_affected=about.more,
        nobody=about.nobody,
        entry=topology.entry,
        causes=[_candidate(one, ranking, language) for one in _named(ranking)],
        certainty=certainty_of(incident, ranking),
        sure=word("certainty", certainty_of(incident, ranking), language),
        why=in_language(ranking.why, language),
        look=in_language(ranking.look, language),
        owners=catalogue.lines((one.component for one in _named(ranking)), language),
        changes=[evidence_line(one, language) for one in changes[:4]],
        changes_known=not any(line.startswith("changes: ") for line in missing),
        commit=commit_lines(incident.commit, language),
        opinion=_opinion(incident.opinion, language),
        recalled=[_recollection(one, language) for one in incident.recalled[:RECALLED]],
        elsewhere=any(one.elsewhere for one in incident.recalled[:RECALLED]),
        plan=plan,
        risk=word("risk", plan.risk, language) if plan else "",
        terms=terms,
        ended=_ended(incident, plan, state),
        advice=advice,
        on_call=on_call,
        missing=[_missing(one, language) for one in missing],
        history=duration(incident.history_s or 0) if is_little(incident.history_s) else "",
        ahead=_ahead(alerts),
        provisional=_provisional(alerts),
        unsure_onset=onset.confidence < UNSURE,
        clocks=clock_lines(incident.clocks),
        measured_from=word("measured_from", incident.clocks.measured_from, language),
        evidence=[evidence_line(one, language) for one in shown],
        hidden=max(0, len(evidence) - len(shown)),
    )


def _on_call(deps: Deps, language: Language) -> str:
    if deps.rota is None or not deps.rota.schedules:
        return ""
    return in_language(on_call_text(deps.rota.on_call(deps.clock.now())), language)


def brief_evidence(
    evidence: list[Evidence], ranking: Ranking, felt: Evidence | None = None
) -> list[Evidence]:
    """Return the symptom and what the leading candidates cite, then the strongest other items."""
    cited = {e for c in ranking.candidates[:3] for term in c.terms for e in term.evidence}
    cited |= {felt.id} if felt else set()
    leading = [one for one in evidence if one.id in cited][:SHOWN]
    rest = [one for one in evidence if one.id not in cited]
    kept = {one.id for one in (leading + rest)[:SHOWN]}
    return [one for one in evidence if one.id in kept]


def symptom(evidence: list[Evidence], topology: Topology) -> Evidence | None:
    """Return what users feel most: a metric of the entry, else its alert, else any alert."""
    doors = {ENTRY, topology.entry} - {""}
    at_door = [one for one in evidence if one.subject in doors]
    for pool in (
        [one for one in at_door if one.kind == "metric"],
        [one for one in at_door if one.kind == "alert"],
        [one for one in evidence if one.kind == "alert"],
    ):
        if pool:
            return max(
                pool,
                key=lambda one: (
                    (hurts := impact_of(one)) is not None and hurts.felt,
                    one.strength,
                ),
            )
    return None


def _ahead(alerts: Sequence[Alert]) -> str:
    """By how much alerts were dated ahead of their arrival, at most; empty where none was."""
    ahead = [one.dated - one.starts_at for one in alerts if one.dated is not None]
    return duration(max(ahead)) if ahead else ""


def _provisional(alerts: Sequence[Alert]) -> str:
    """On how little past the alerts rest, where all of them do; empty elsewhere."""
    pasts = [one.source == OURS and one.annotations.get(PROVISIONAL, "") for one in alerts]
    return plain(pasts[-1] or "", 40) if all(pasts) and pasts else ""


def _ended(incident: Incident, plan: Plan | None, state: IncidentState) -> str:
    """How the plan ended, once its steps were run or shown; empty before."""
    if plan is None:
        return ""
    ran = [result for result in state.get("results", []) if plan.digest in result.key]
    if not ran or incident.outcome is None:
        return ""
    return "dry_run" if any(result.dry_run for result in ran) else incident.outcome


def _named(ranking: Ranking) -> list[Candidate]:
    first, *others = ranking.candidates[:3] or (None,)
    likely = [one for one in others if one.probability >= WORTH_NAMING or ranking.abstained]
    return [first, *likely] if first is not None else []


def in_language(text: Text | None, language: Language) -> str:
    """Return a sentence of ours in one language, names in it made harmless; empty without one."""
    return plain(getattr(text, language), 300) if text is not None else ""


def _candidate(candidate: Candidate, ranking: Ranking, language: Language) -> CandidateLine:
    cited = dict.fromkeys(e for term in candidate.terms for e in term.evidence)
    return CandidateLine(
        component=candidate.component,
        kind=word("fault_kind", candidate.fault_kind or "unknown", language),
        peer=plain(candidate.peer, 80),
        percent=percent(ranking, candidate.probability),
        cites="".join(f"[{e}]" for e in list(cited)[:5]),
    )


LOOKED_AT = 3
"""Innocent commits that are told one by one; the others are counted."""

_HASH = re.compile(r"[0-9a-f]{12,64}")


def commit_lines(
    answer: CommitAnswer | None, language: Language, *, everything: bool = False
) -> list[str]:
    """Which commit did it; where none did, those looked at and why they are innocent, a line each.

    With `everything` they are told beside a convicted one, too. Empty where nobody told of any.
    """
    if answer is None:
        return []
    shown = [
        (_short(one.sha), plain(one.message, 100), plain(getattr(one.why, language), 160))
        for one in answer.innocent[: LOOKED_AT if everything or not answer.sha else 0]
    ]
    told = (it.by, _short(it.sha), it.place) if (it := answer.pointed) else ()
    text = load("commit", language).render(
        pointed=[plain(one, 120) for one in told],
        form=plain(getattr(it.form, language), 240) if it else "",
        sha=_short(answer.sha),
        author=plain(answer.author, 60),
        message=plain(answer.message, 120),
        file=plain(answer.file, 120),
        line=answer.line,
        url=plain(answer.url, 300),
        reason=plain(getattr(answer.reason, language), 240) if answer.reason else "",
        outside=getattr(answer.outside, language) if answer.outside else "",
        looked_at=answer.looked_at,
        innocent=shown,
        more=answer.looked_at - len(shown) - bool(answer.sha),
        gap="" if answer.sha else plain(answer.gap, 240),
    )
    return [line for line in text.splitlines() if line]


def _short(sha: str) -> str:
    """A hash as people write it; the name of what is no commit stays whole."""
    return sha[:10] if _HASH.fullmatch(sha) else plain(sha, 80)


def _opinion(opinion: Opinion | None, language: Language) -> OpinionLine | None:
    """Which component a model holds for the cause; of its own words none, a person reads this."""
    if opinion is None:
        return None
    first = opinion.hypotheses[0] if opinion.hypotheses else None
    return OpinionLine(
        model=plain(opinion.model, 60),
        agrees=opinion.agrees,
        failed=word("opinion", opinion.failed, language).format(opinion.limit_s),
        component=first.component if first else "",
        kind=word("fault_kind", (first and first.fault_kind) or "unknown", language),
        cites="".join(f"[{e}]" for e in first.evidence[:5]) if first else "",
        against="".join(f"[{e}]" for e in first.contradicts[:5]) if first else "",
    )


def _recollection(one: RecalledDocument, language: Language) -> RecallLine:
    """A document in one line; of one that nobody vouches for the name alone."""
    vouched = one.trust != "unreviewed"
    return RecallLine(
        kind=word("document", one.kind, language),
        name=plain(getattr(one.title, language), 120) if vouched else one.document,
        trust=word("trust", one.trust, language),
        agreement=word("agreement", one.agreement, language),
        date=one.date,
        source=plain(one.source, 200) if one.source.startswith("https://") else "",
        playbooks=", ".join(one.playbooks),
        show=f"copilot kb show {one.document}",
    )


def evidence_line(one: Evidence, language: Language) -> EvidenceLine:
    return EvidenceLine(
        id=one.id,
        kind=word("evidence", one.kind, language),
        statement=_statement(one, language),
        excerpt=plain(one.excerpt, 200),
        source=one.source,
        query=plain(one.query, 160),
        window=_window(one.window),
    )


def _statement(one: Evidence, language: Language) -> str:
    """English as measured; Chinese from the same fields, by the kind of evidence."""
    if language == "en" or one.statement_zh:
        return plain(one.statement if language == "en" else one.statement_zh, 240)
    subject, name = plain(one.subject, 80), plain(one.name, 60)
    since = f",自 {clock_time(one.onset)} 起" if one.onset is not None else ""
    if one.kind == "alert":
        return f"{subject}:{one.figures.get('count', 1.0):.0f} 条告警,最强的是 {name}"
    if one.kind == "change":
        ago = one.figures.get("ago_s", 0.0)
        when = "前" if ago >= 0 else "后"
        return f"{subject}:{word('change', one.name, 'zh')},在起始{when} {duration(abs(ago))}"
    if one.value is None:
        return plain(translation(one.statement, "zh"), 240)
    normal = f",平时 {one.baseline:.4g} {one.unit}".rstrip() if one.baseline is not None else ""
    measured = word("measured", one.name, "zh") if one.kind in ("log", "trace") else name
    return f"{subject} 的 {measured} 为 {one.value:.4g} {one.unit}".rstrip() + normal + since


def _missing(line: str, language: Language) -> str:
    name, _, problem = line.partition(": ")
    return f"{word('source', name, language)}: {word('absence', problem, language)}"


def _window(window: Window) -> str:
    return f"{clock_time(window.start).removesuffix(' UTC')}–{clock_time(window.end)}"
