"""What a model says in words, held against what is known before anybody reads it.

Checked are citations, figures, clock times, names of services, that the cited items bear out what
is said (`entailment`), that it repeats nothing, the language, and that the text tells and does not
order: no link, no command, no markup, no instruction to the reader.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from copilot.model.ask import ReplyCheck
from copilot.model.entailment import CitedSentence, contradictions, echoes, named, owners
from copilot.model.replies import NarrativeReply, Sentence
from prompts import Language
from tools.evidence import check, cited
from tools.types import Evidence

TIME_TOLERANCE_S = 60.0
"""A quoted time may be this far from one in the cited evidence; people round to the minute."""

PROBLEM_CHARS = 160
"""A repair quotes what was wrong, not whole replies."""

_LINK = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,15}://|\bwww\.|\]\(|\bmailto:|\bdata:\w+/")
_MARKUP = re.compile(r"[`\[\]{}$|\\]|<(?=[A-Za-z/!])|\*\*|__|^#|\n")
_COMMAND = re.compile(
    r"(?i)\b(?:kubectl|curl|wget|sudo|systemctl|chmod|chown|ssh|scp|bash|helm|ansible\S*|terraform)"
    r"\s+\S|\brm\s+-|\bsh\s+-c|\b(?:docker|podman)\s+(?:run|exec|rm|kill)|\bdrop\s+(?:table|database)"
    r"|\bdelete\s+from\b|\bflushall\b|&&|;\s*\w+\s+-"
)
_ACTS = (
    "approve|run|execute|restart|delete|drop|disable|enable|scale|roll ?back|rollback|flush|drain"
    "|fail ?over|reboot|kill|grant|reset|shut|stop|start|call|send|e-?mail|visit|open|download"
    "|install|click|paste|type|contact|reply|output|print"
)
_OBJECT = r"(?:the|it|them|this|that|these|those|all|any|every|your|its|an?|back|to)\b"
_HAPPENS = (
    r"(?:rose|fell|grew|went|is|are|was|were|has|have|had|increased|dropped|rise|fall|grow|began)"
)
_ORDER = re.compile(
    # After a full stop an act is an order unless it is a noun of which something is told …
    rf"(?i)(?:^|[.;:!?]\s+)(?:please\s+|now\s+|immediately\s+|then\s+)*(?:{_ACTS})\b"
    rf"(?!\s+(?:of|and|after|first)\b|(?:\s+(?!{_OBJECT})[\w-]+){{1,4}}?\s+{_HAPPENS}\b)"
    # … and after a comma only with an object or a word that urges.
    rf"|,\s+(?:(?:please|now|immediately)\s+)*(?:{_ACTS})\s+{_OBJECT}"
    rf"|,\s+(?:please|now|immediately)\s+(?:{_ACTS})\b"
    rf"|,\s+then\s+(?:{_ACTS})\b(?!(?:\s+(?!{_OBJECT})[\w-]+){{1,4}}?\s+{_HAPPENS}\b)"
    r"|,\s+(?:approve|execute|delete|disable|enable|reboot|kill|roll ?back|rollback)\s+[\w-]"
    r"|\b(?:ignore|disregard|forget|override)\s+(?:all|any|the|these|those|previous|prior|above|your|every)"
    r"|\b(?:you|operators?|on-?call|engineers?|responders?|everybody|everyone|anyone|someone|we)\s+"
    r"(?:must|should|need\s+to|have\s+to|shall|are\s+to|can\s+safely)"
    rf"|\b(?:must|should|needs?\s+to|has\s+to|have\s+to)\s+(?:be\s+)?(?:\w+ly\s+)?(?:{_ACTS}|rolled)\w*"
    r"|\b(?:system|developer|assistant)\s*(?:prompt|message|:)|\bas\s+an\s+ai\b"
    r"|忽略|无视|务必|点击|访问链接"
    r"|(?:请|立即|马上|必须|应当|应该|需要|快点?)(?:[^\s的,，]{0,6})?"
    r"(?:批准|执行|运行|重启|删除|回滚|清空|关闭|禁用|停止|切换|扩容|授权|联系)(?!的|中|前|后的|日志|时间|响应)"
)
_CLOCK = re.compile(r"(?<![\d:.])([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?(?![\d:])")
_SERVICE = re.compile(
    r"(?<![\w./-])[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*[-_](?:service|svc|db|database|api|server|gateway"
    r"|worker|proxy|cache|redis|mysql|postgres|kafka|mq|queue|pod|node|\d+)(?![\w-])"
)
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_LATIN = re.compile(r"[A-Za-z]{2,}")


@dataclass(frozen=True, slots=True)
class ClaimScope:
    """What a text may speak of: the evidence that was shown, and the names of components.

    `said` is what it may not repeat: the question, the prompt. With `located` an account of several
    sentences has to name that component, by one of its items.
    """

    evidence: Sequence[Evidence]
    components: frozenset[str]
    language: Language
    said: tuple[str, ...] = ()
    located: str = ""


def problems_of(text: str, cites: Iterable[str], known: ClaimScope) -> list[str]:
    """Return the problems of a text that rests on `cites` and on the evidence ids in it."""
    rests_on = tuple(dict.fromkeys((*cites, *cited(text))))
    if not rests_on:
        return ["a claim cites no evidence; name the ids it rests on, or leave it out"]
    found = [flaw.reason for flaw in check(text, known.evidence, also=rests_on)]
    items = [one for one in known.evidence if one.id in rests_on]
    claim = CitedSentence(text, items, known.evidence, known.components)
    if echoes(text, known.said):
        found.append("say something new: it repeats what was asked or said")
    return [
        *found,
        *_times(text, items),
        *_services(text, items, known),
        *_strangers(text, items, known),
        *contradictions(claim),
        *style(text, known),
    ]


def holding(reply: NarrativeReply, known: ClaimScope) -> ReplyCheck[NarrativeReply]:
    """Keep the sentences that hold, each told once; none where they miss what was located."""
    kept: list[Sentence] = []
    found: list[str] = []
    for place, one in enumerate(reply.sentences, start=1):
        told = (*known.said, *(before.text for before in kept))
        flaws = problems_of(one.text, one.cites, replace(known, said=told))
        found += [f"sentence {place}: {said}"[:PROBLEM_CHARS] for said in flaws]
        if not flaws:
            kept.append(one)
    if known.located and not any(_tells_of(one, known) for one in kept):
        return ReplyCheck(
            None, (*found, f"name {known.located!r}, the located cause, by its items")
        )
    held = reply.model_copy(update={"sentences": tuple(kept)})
    return ReplyCheck(held if kept else None, tuple(found))


def _tells_of(one: Sentence, known: ClaimScope) -> bool:
    """Whether a sentence names the located component and cites an item about it."""
    name = frozenset({known.located})
    return bool(named(one.text, name)) and any(
        owners(item, name) for item in known.evidence if item.id in one.cites
    )


def style(text: str, known: ClaimScope) -> list[str]:
    """Return the problems of wording and language that a text has whatever it cites."""
    found = []
    if _LINK.search(text):
        found.append("no links; tell what the evidence shows")
    if _MARKUP.search(re.sub(r"\[E\d+\]", "", text)):
        found.append("plain sentences on one line only: no markup, no code, no brackets")
    if _COMMAND.search(text):
        found.append("no commands; tell what the evidence shows")
    if _ORDER.search(text):
        found.append("tell what is, do not tell anybody what to do")
    if text.strip() and not speaks(text, known.language):
        found.append({"en": "write in English", "zh": "请用中文书写"}[known.language])
    return found


def speaks(text: str, language: Language) -> bool:
    """Return whether a text is in `language`; component names are Latin in both."""
    chinese, latin = len(_CHINESE.findall(text)), len(_LATIN.findall(text))
    if language == "en":
        return chinese <= latin / 10
    return chinese >= 2 and chinese >= latin / 2


def _times(text: str, items: Sequence[Evidence]) -> list[str]:
    """Clock times must be those of the cited evidence, a minute more or less."""
    measured = [
        moment % 86_400
        for one in items
        for moment in (one.onset, one.window.start, one.window.end)
        if moment is not None
    ]
    for one in items:
        measured += [_of_day(found) for found in _CLOCK.finditer(f"{one.statement} {one.excerpt}")]
    return [
        f"the time {found[0]!r} is not in the cited evidence (UTC)"
        for found in _CLOCK.finditer(text)
        if not any(_near(_of_day(found), moment) for moment in measured)
    ]


def _of_day(found: re.Match[str]) -> float:
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return 3600.0 * hours + 60.0 * minutes + seconds


def _near(quoted: float, measured: float) -> bool:
    apart = abs(quoted - measured) % 86_400
    return min(apart, 86_400 - apart) <= TIME_TOLERANCE_S


def _services(text: str, items: Sequence[Evidence], known: ClaimScope) -> list[str]:
    """What is written like a service's name must be one, or stand in the cited evidence."""
    said = " ".join(f"{one.subject} {one.name} {one.statement} {one.excerpt}" for one in items)
    return [
        f"there is no component {name!r}"
        for name in dict.fromkeys(_SERVICE.findall(text))
        if name not in known.components and name not in said
    ]


def _strangers(text: str, items: Sequence[Evidence], known: ClaimScope) -> list[str]:
    """A component may be named where the cited evidence names it, and nowhere else."""
    about = {name for one in items for name in owners(one, known.components)}
    return [
        f"{name!r} is not in the cited evidence"
        for name in named(text, known.components)
        if len(name) > 2 and name not in about
    ]
