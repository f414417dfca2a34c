"""What is said of one change: the first lines of the brief, in both languages, and what happened.

The words are in `prompts/templates/notice.<language>.md`; the facts are the incident's own.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from copilot.store import StoredNotice
from copilot.types.incident import Event, Incident
from copilot.types.notice import Moment, Notice
from copilot.types.time_format import clock_time
from prompts import LANGUAGES, Language, load, word
from tools.log_retriever.sanitize import plain
from tools.types import Plan, Severity, Timestamp

LONGEST_LINE = 240
"""Characters of one line; five of them fill the screen of a phone."""

LONGEST_TITLE = 120
TRAIL = 6
SERVICES = 5
NEWEST = 5
"""Incidents that a digest names; with its counts there are eight lines."""

_BY_KIND: Mapping[str, Moment] = {
    "opened": "opened",
    "reopened": "reopened",
    "briefed": "located",
    "planned": "plan",
    "approved": "approved",
    "rejected": "rejected",
    "edited": "edited",
    "expired": "expired",
    "acted": "step",
    "unsettled": "handed_over",
    "resolved": "resolved",
    "merged": "resolved",
    "taken": "taken",
    "passed_on": "taken",
    "failed": "failed",
}

_OUTCOMES: Mapping[str, Moment] = {
    "recovered": "recovered",
    "unchanged": "not_recovered",
    "worse": "not_recovered",
}

BRIEF_LINES = ("what", "who", "since", "cause", "before", "commit", "next")
"""The lines of the brief that a channel is told, by their label in `words.yaml`."""

_WHOLE: frozenset[Moment] = frozenset(
    {"located", "plan", "edited", "handed_over", "failed", "escalated"}
)
"""Moments at which somebody has to do something, and so is told the whole summary."""

_REASONED: Mapping[Moment, tuple[Language, ...]] = {
    "approved": ("en",),
    "rejected": LANGUAGES,
    "step": LANGUAGES,
    "failed": LANGUAGES,
    "reopened": ("en",),
    "recovered": ("en",),
    "not_recovered": ("en",),
    "resolved": ("en",),
}
"""Where the reason of the journal is said; what we wrote ourselves is English there."""

_BY_PERSON: frozenset[Moment] = frozenset({"approved", "rejected", "edited", "taken"})
_LINE = re.compile(r"\*\*([^*\n]{1,40})\*\*")
_CITED = re.compile(r" ?(?:\[E\d{1,6}\])+")
_CALLS = re.compile(r"@(?=(?:all|channel|everyone|here|team)\b|所有人)", re.IGNORECASE)


def moment_of(event: Event, incident: Incident) -> Moment | None:
    """Which moment a row of the journal is; None where nobody is told of it."""
    if event.kind == "verified":
        # Of a dry run nobody can say whether it helped; what comes of it is told next.
        return _OUTCOMES.get(str(event.detail.get("outcome")))
    if event.kind == "abstained":
        return "handed_over" if incident.status == "handed_over" else None
    if event.kind == "reported":
        ends: Mapping[str, Moment] = {"recovered": "recovered", "handed_over": "handed_over"}
        return ends.get(incident.status)
    return _BY_KIND.get(event.kind)


def notice_of(
    event: Event,
    moment: Moment,
    incident: Incident,
    alerts: int,
    passed: Sequence[tuple[Timestamp, Moment]],
    base: str,
    waits: Plan | None,
) -> Notice:
    """Say one change of an incident; `passed` are its moments so far, `base` is our address, and
    `waits` a plan that is to be answered.
    """
    heads: dict[Language, str] = {}
    lines: dict[Language, tuple[str, ...]] = {}
    located = incident.ranking.located
    for language in LANGUAGES:
        reason = event.detail.get("reason") if language in _REASONED.get(moment, ()) else ""
        said = load("notice", language).render(
            moment=_moment(event, moment, incident, language),
            by=_safe(event.by, 60) if moment in _BY_PERSON else "",
            reason=_safe(str(reason or ""), LONGEST_LINE),
            title=_safe(incident.title, LONGEST_TITLE),
            severity=incident.severity,
            alerts=alerts,
            services=_named(incident.services, language),
            brief=summary(incident.brief.get(language, ""), moment, language),
            digest=waits.digest if waits else "",
            until=clock_time(waits.expires_at) if waits else "",
            trail=_trail(passed, language),
            storm=(),
        )
        heads[language], lines[language] = _split(said)
    return Notice(
        incident_id=incident.id,
        seq=event.seq,
        at=event.at,
        moment=moment,
        by=event.by,
        status=incident.status,
        severity=incident.severity,
        services=incident.services[:SERVICES],
        onset=incident.clocks.onset or incident.opened_at,
        kind=(located.fault_kind or "") if located else "",
        heads=heads,
        lines=lines,
        plan_id=waits.id if waits else "",
        digest=waits.digest if waits else "",
        links=_links(base, f"/console/incidents/{incident.id}"),
    )


def counts_of(
    moment: Literal["storm", "digest"],
    name: str,
    rows: Sequence[StoredNotice],
    seq: int,
    at: Timestamp,
    base: str,
) -> Notice:
    """Say many incidents in counts: by severity, by how they stand, and the services most are
    about; a digest names the newest, too.
    """
    told = [row.notice for row in rows]
    worst = min((one.severity for one in told), key=_ORDER.index, default="warning")
    services = Counter(name for one in told for name in one.services)
    heads: dict[Language, str] = {}
    lines: dict[Language, tuple[str, ...]] = {}
    for language in LANGUAGES:
        counts = (
            Counter(one.severity for one in told).most_common(),
            [
                (word("status", status, language), number)
                for status, number in Counter(one.status for one in told).most_common()
            ],
            [(_safe(name, 60), number) for name, number in services.most_common(SERVICES)],
        )
        comma = "、" if language == "zh" else ", "
        said = [comma.join(f"{name} {number}" for name, number in one) for one in counts if one]
        if moment == "digest":
            said += [one.heads[language] for one in told[-NEWEST:]]
        rendered = load("notice", language).render(
            moment=word("moment", moment, language),
            by="",
            reason="",
            title=f"{len(told)} {'个事件' if language == 'zh' else 'incidents'}",
            severity=worst,
            alerts=0,
            services="",
            brief=(),
            digest="",
            until="",
            trail="",
            storm=said,
        )
        heads[language], lines[language] = _split(rendered)
    return Notice(
        incident_id=name,
        seq=seq,
        at=at,
        moment=moment,
        by="copilot",
        status="investigating",
        severity=worst,
        services=tuple(name for name, _ in services.most_common(SERVICES)),
        heads=heads,
        lines=lines,
        links=_links(base, "/"),
    )


_ORDER: tuple[Severity, ...] = ("critical", "high", "warning", "info", "low")


def probe(now: Timestamp, base: str) -> Notice:
    """What `copilot notify test` sends."""
    heads: dict[Language, str] = {
        "en": "[info] copilot: this is a test",
        "zh": "[info] copilot:这是一条测试消息",
    }
    lines: dict[Language, tuple[str, ...]] = {
        "en": ("Nothing is wrong: somebody asked whether this channel is reached.",),
        "zh": ("没有故障:有人在确认此渠道能否收到消息。",),
    }
    return Notice(
        incident_id="test",
        seq=0,
        at=now,
        moment="test",
        by="copilot",
        status="resolved",
        severity="info",
        heads=heads,
        lines=lines,
        links=_links(base, "/"),
    )


def summary(brief: str, moment: Moment, language: Language) -> tuple[str, ...]:
    """The lines of a published brief that are told at a moment, without citations."""
    names = BRIEF_LINES if moment in _WHOLE else ("cause",)
    wanted = [word("answer", name, language) for name in names]
    found: dict[str, str] = {}
    for line in brief.partition("\n## ")[0].splitlines():
        begins = _LINE.match(line)
        if begins is not None and begins[1] in wanted:
            found.setdefault(begins[1], _shortened(_CITED.sub("", line)))
    if len(found) > 6:  # with the digest and what happened so far there are eight
        found.pop(word("answer", "since", language))
    return tuple(found[name] for name in wanted if name in found)


def _shortened(line: str) -> str:
    """At most so long; a mark of emphasis that is cut open is taken out."""
    line = _CALLS.sub("@\u2060", line)
    if len(line) <= LONGEST_LINE:
        return line
    cut = line[: LONGEST_LINE - 1].rstrip("*` ")
    for mark in ("**", "`"):
        if cut.count(mark) % 2:
            head, _, rest = cut.rpartition(mark)
            cut = head + rest
    return cut + "…"


def _safe(text: str, limit: int) -> str:
    """Untrusted text in one line that formats nothing and calls nobody."""
    return _CALLS.sub("@\u2060", plain(text, limit))


def _moment(event: Event, moment: Moment, incident: Incident, language: Language) -> str:
    said = word("moment", moment, language)
    if event.kind == "passed_on" and moment == "taken":
        return (
            f"{word('event', 'passed_on', language)} → {_safe(str(event.detail.get('to', '')), 60)}"
        )
    if moment != "step":
        return said
    title = str(event.detail.get("step", ""))
    plan = incident.plan
    steps = (*plan.steps, *plan.rollback) if plan and language == "zh" else ()
    title = next((one.title_zh for one in steps if one.title == title and one.title_zh), title)
    return f"{said} {_safe(title, 80)}"


def _named(services: Sequence[str], language: Language) -> str:
    shown = ("、" if language == "zh" else ", ").join(_safe(one, 60) for one in services[:SERVICES])
    more = len(services) - SERVICES
    return f"{shown} +{more}" if more > 0 else shown


def _trail(passed: Sequence[tuple[Timestamp, Moment]], language: Language) -> str:
    shown = []
    for at, moment in passed[-TRAIL:]:
        subject, name = _TRAIL_WORDS.get(moment, ("event", moment))
        shown.append(f"{clock_time(at).removesuffix(' UTC')} {word(subject, name, language)}")
    return " · ".join(shown)


_TRAIL_WORDS: Mapping[Moment, tuple[str, str]] = {
    "plan": ("event", "planned"),
    "step": ("event", "acted"),
    "recovered": ("status", "recovered"),
    "not_recovered": ("moment", "not_recovered"),
    "handed_over": ("status", "handed_over"),
    "resolved": ("status", "resolved"),
    "reopened": ("moment", "reopened"),
    "taken": ("event", "taken"),
    "escalated": ("moment", "escalated"),
}
"""Where the word for what happened is, other than that of the row of the journal."""


def _split(said: str) -> tuple[str, tuple[str, ...]]:
    head, *lines = [line for line in said.splitlines() if line.strip()]
    return head, tuple(_shortened(line) for line in lines)


def _links(base: str, path: str) -> dict[Language, str]:
    if not base:
        return {}
    return {"en": f"{base.rstrip('/')}{path}", "zh": f"{base.rstrip('/')}{path}?lang=zh"}
