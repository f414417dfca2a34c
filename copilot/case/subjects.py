"""Whom an incident is about: the subjects of its alerts, and which users are hit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from prompts import Language, word
from tools.log_retriever.sanitize import plain
from tools.types import Alert, Evidence, Subject

SHOWN = 20
"""Subjects named one by one; of a storm the rest is counted."""


@dataclass(frozen=True, slots=True)
class AccusedSubjects:
    """Subjects as a person reads them, in the order they alerted; `nobody` counts alerts."""

    named: tuple[str, ...]
    more: int
    nobody: int


def accused(alerts: Sequence[Alert], language: Language) -> AccusedSubjects:
    """The subjects of alerts, each with who told it where that is not the subject itself."""
    tellers: dict[Subject, dict[str, None]] = {}
    silent: set[str] = set()
    for alert in alerts:
        subject = subject_of(alert)
        if not subject.name:
            silent.add(alert.fingerprint)
            continue
        told = tellers.setdefault(subject, {})
        if alert.told_by and alert.told_by != subject.name:
            told[alert.told_by] = None
    plain = [_shown(one, language) for one in tellers]
    called = Counter(plain)
    lines = [
        (_apart(one, shown) if called[shown] > 1 else shown) + _by(told, language)
        for shown, (one, told) in islice(zip(plain, tellers.items(), strict=True), SHOWN)
    ]
    return AccusedSubjects(tuple(lines), max(0, len(plain) - SHOWN), len(silent))


def users_hit(evidence: Sequence[Evidence], language: Language) -> tuple[str, ...]:
    """Which users are hit: a sentence for each business metric that departed, with its item.

    Empty where none is declared, or none departed.
    """
    return tuple(
        f"{plain(one.statement_zh if language == 'zh' else one.statement, 240)} [{one.id}]"
        for one in evidence
        if one.kind == "note" and one.name == "slice"
    )


def subject_of(alert: Alert) -> Subject:
    """What an alert is about; the component of the call graph where only that is known."""
    if alert.subject.name or not alert.service:
        return alert.subject
    return Subject(kind="service", name=alert.service)


def _shown(subject: Subject, language: Language) -> str:
    if language == "en" or subject.shown == subject.name:
        return subject.shown
    return f"{word('subject', subject.kind, language)} {subject.name}"


def _apart(subject: Subject, shown: str) -> str:
    """Two of one name are told apart by where they are."""
    place = "/".join(part for part in (subject.cluster, subject.namespace) if part)
    return f"{shown} ({place})" if place else shown


def _by(told: dict[str, None], language: Language) -> str:
    if not told:
        return ""
    names = ", ".join(told)
    return f"(由 {names} 告知)" if language == "zh" else f" (told by {names})"
