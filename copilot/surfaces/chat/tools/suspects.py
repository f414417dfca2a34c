"""cause, why_not: the located cause term by term, and another component beside it."""

from pydantic import Field

from copilot.case.briefing import WORTH_NAMING, evidence_line, in_language
from copilot.surfaces.chat.scope import ToolContext, concerns
from copilot.surfaces.chat.tool_result import Statement, ToolResult, noted
from copilot.surfaces.chat.tools.tool import Tool, ToolArguments
from copilot.types.incident import Incident, certainty_of, percent
from prompts import LANGUAGES, Language, word
from tools.types import Candidate, Evidence, Finding, Term

SHOWN_TERMS = 6
LIGHTEST = 0.005
"""Weight of a term that two decimals show."""
SLIGHT = 0.05
"""A candidate with a lower score is not worth a place in a list."""

SPOKEN: tuple[tuple[Language, str], ...] = (("en", ": "), ("zh", ":"))
COMMAS: tuple[tuple[Language, str], ...] = (("en", ", "), ("zh", ","))


class SuspectArguments(ToolArguments):
    """A component somebody suspects."""

    component: str = Field(min_length=1, max_length=200, description="The suspected component.")


def the_cause(incident: Incident) -> list[Statement]:
    """One sentence: the leading candidate, or that the evidence does not decide."""
    ranking = incident.ranking
    if not ranking.candidates:
        return []
    first, fact = ranking.candidates[0], _ranked(incident)
    cites = (*_evidence(incident, first)[:5], fact)
    sure = certainty_of(incident, ranking)
    if ranking.abstained:
        rivals = ", ".join(one.component for one in ranking.candidates[:3])
        (why, look), (why_zh, look_zh) = (
            [in_language(text, language) for text in (ranking.why, ranking.look)]
            for language in LANGUAGES
        )
        return [
            Statement(
                f"Cause: {word('certainty', sure, 'en')}{_after(': ', why)}{_after('; ', look)}. "
                f"First to look at: {rivals}.",
                f"原因:{word('certainty', sure, 'zh')}{_after(':', why_zh)}{_after(';', look_zh)}。"
                f"建议先看:{rivals}。",
                cites,
            )
        ]
    named, named_zh = (
        f"{first.component}{comma}{word('fault_kind', first.fault_kind or 'unknown', language)}"
        for language, comma in COMMAS
    )
    shown = percent(ranking, first.probability)
    return [
        Statement(
            f"Cause: {word('certainty', sure, 'en')}: {named}{_in(' (', shown, ')')}.",
            f"原因:{word('certainty', sure, 'zh')}:{named_zh}{_in('(', shown, ')')}。",
            cites,
        )
    ]


def _after(mark: str, text: str) -> str:
    return mark + text if text else ""


def _in(opened: str, text: str, closed: str) -> str:
    return opened + text + closed if text else ""


def cause(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """The leading candidate, each term of its score with its evidence, and the rivals."""
    incident = scope.incident
    if incident is None:
        return ToolResult(missing=("incident: none is stored",))
    if not incident.ranking.candidates:
        return ToolResult(missing=("cause: no component stands out yet",))
    first, *others = incident.ranking.candidates[:3]
    rows = [_term(incident, term) for term in _heavy(first)]
    rows += [
        _rival(incident, one)
        for one in others
        if one.score > 0 and (one.probability >= WORTH_NAMING or incident.ranking.abstained)
    ]
    return ToolResult(
        lead=tuple(the_cause(incident)), rows=tuple(rows), services=(first.component,)
    )


def why_not(given: SuspectArguments, scope: ToolContext) -> ToolResult:
    """What speaks for another component, beside what speaks for the leading one."""
    incident = scope.incident
    if incident is None:
        return ToolResult(missing=("incident: none is stored",))
    candidates = incident.ranking.candidates
    if not candidates:
        return ToolResult(missing=("cause: no component stands out yet",))
    first = candidates[0]
    other = next((one for one in candidates if one.component == given.component), None)
    if other is not None and other.component == first.component:
        return cause(ToolArguments(), scope)
    lead = [_score_comparison(incident, first, other, given.component)]
    rows = [_term(incident, term) for term in (_heavy(other) if other else ())]
    rows += [
        _lacks(incident, first, other, given.component),
        _apart(incident, first.component, given.component),
    ]
    own_evidence = [one for one in incident.evidence if concerns(one.subject, given.component)]
    if not own_evidence:
        lead.append(_silent(incident, given.component))
    return ToolResult(
        lead=tuple(lead), rows=tuple(rows), services=(given.component, first.component)
    )


def _apart(incident: Incident, leading: str, other: str) -> Statement:
    """Which look would tell the two apart: the ranking's own, or the other's own side."""
    told = incident.ranking.look
    if told is not None:
        en, zh = (in_language(told, language) for language in LANGUAGES)
        return Statement(f"To tell them apart: {en}.", f"如何区分:{zh}。")
    return Statement(
        f"To tell them apart, look at {other}'s own logs and metrics at the onset: faults that it "
        f"sees itself speak for it, only those that {leading} sees do not.",
        f"如何区分:查看 {other} 在起始时刻自己的日志和指标;它自身可见的故障支持它,"
        f"只有 {leading} 看到的则不支持。",
    )


def _evidence(incident: Incident, candidate: Candidate | Term) -> tuple[Evidence, ...]:
    terms = (candidate,) if isinstance(candidate, Term) else candidate.terms
    known = {item.id: item for item in incident.evidence}
    wanted = dict.fromkeys(number for term in terms for number in term.evidence)
    return tuple(known[number] for number in wanted if number in known)


def _ranked(incident: Incident) -> Finding:
    """The ranking itself, so that a percentage has something to cite."""
    shown = [one for one in incident.ranking.candidates[:8] if one.score > SLIGHT]
    said = ", ".join(
        f"{one.component}{_after(' ', percent(incident.ranking, one.probability))} "
        f"(score {one.score:.2f})"
        for one in shown
    )
    chances = shown if incident.ranking.calibrated else []
    figures = {f"probability {one.component}": one.probability for one in chances}
    figures |= {f"score {one.component}": one.score for one in shown}
    return noted(
        incident.id,
        "ranking",
        f"ranking by {incident.ranking.arm}: {said}",
        incident.updated_at,
        source="ranking",
        query=f"incident={incident.id}",
        figures=figures,
    )


def _heavy(candidate: Candidate) -> list[Term]:
    """The first terms, without those that are shown as 0.00: they say nothing."""
    return [term for term in candidate.terms if abs(term.weight) >= LIGHTEST][:SHOWN_TERMS]


def _term(incident: Incident, term: Term) -> Statement:
    cites = _evidence(incident, term)
    fact = noted(
        incident.id,
        f"term {term.name}",
        f"term {term.name} weighs {term.weight:.2f}",
        incident.updated_at,
        source="ranking",
        query=f"incident={incident.id} term={term.name}",
        figures={"weight": term.weight},
    )
    en, zh = (
        f"{mark}{evidence_line(cites[0], language).statement}" if cites else ""
        for language, mark in SPOKEN
    )
    return Statement(
        f"{term.name} {term.weight:+.2f}{en}",
        f"{word('term', term.name, 'zh')} {term.weight:+.2f}{zh}",
        cites or (fact,),
        states=bool(cites),
    )


def _rival(incident: Incident, one: Candidate) -> Statement:
    shown = percent(incident.ranking, one.probability)
    kind = one.fault_kind or "unknown"
    return Statement(
        f"Else {one.component}, {word('fault_kind', kind, 'en')}{_in(' (', shown, ')')}.",
        f"其次 {one.component},{word('fault_kind', kind, 'zh')}{_in('(', shown, ')')}。",
        (*_evidence(incident, one)[:3], _ranked(incident)),
    )


def _score_comparison(
    incident: Incident, first: Candidate, other: Candidate | None, name: str
) -> Statement:
    fact = _ranked(incident)
    if other is None or other.score <= 0:
        return Statement(
            f"Nothing measured points at {name}; {first.component} leads with a score of "
            f"{first.score:.2f}.",
            f"没有任何测量结果指向 {name};{first.component} 以 {first.score:.2f} 分领先。",
            (fact, *_evidence(incident, first)[:3]),
        )
    return Statement(
        f"{name} scores {other.score:.2f}, {first.component} {first.score:.2f}: the evidence "
        f"speaks more for {first.component}.",
        f"{name} 得 {other.score:.2f} 分,{first.component} 得 {first.score:.2f} 分:"
        f"证据更支持 {first.component}。",
        (fact, *_evidence(incident, other)[:3]),
    )


def _lacks(incident: Incident, first: Candidate, other: Candidate | None, name: str) -> Statement:
    """What the leading one has and the other has not, or has less."""
    weights = {term.name: term.weight for term in other.terms} if other else {}
    more = [term for term in first.terms if term.weight > weights.get(term.name, 0.0) + 0.05][:4]
    names = ", ".join(term.name for term in more)
    names_zh = "、".join(word("term", term.name, "zh") for term in more)
    cites = tuple(dict.fromkeys(e.id for term in more for e in _evidence(incident, term)))
    known = {item.id: item for item in incident.evidence}
    return Statement(
        f"What {first.component} has and {name} lacks or has less of: {names or 'nothing named'}.",
        f"{first.component} 有而 {name} 没有或较弱的:{names_zh or '无'}。",
        tuple(known[number] for number in cites[:5]) or (_ranked(incident),),
    )


def _silent(incident: Incident, name: str) -> Statement:
    fact = noted(
        name,
        "no evidence",
        f"no evidence of this incident is about {name}",
        incident.updated_at,
        source="evidence",
        query=f"incident={incident.id} subject={name}",
    )
    return Statement(
        f"No evidence of this incident is about {name}: it is either well or not observed.",
        f"本事件没有关于 {name} 的证据:它要么正常,要么未被观测。",
        (fact,),
    )


TOOLS = (
    Tool(
        "cause", "The located cause: each term of its score, and the rivals.", ToolArguments, cause
    ),
    Tool(
        "why_not",
        "Compare a suspected component's score with the leading one.",
        SuspectArguments,
        why_not,
    ),
)
