"""What a sentence says, held against the items it cites: who, which way, denied or not, and why.

Deterministic: words of direction, health, denial and cause in both languages (tables below), a
clause at a time. The words were written down from the statements of our own instruments and from
replies of small models (docs/decisions/reasoning.md); what they hold is measured by
`evals run reasoning` on a corpus of sentences that was there before them. A net with holes: a
falsehood in words the tables lack passes, so what a model says stands under our own lines.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from copilot.model.wording import STEP, Clause, masked, moved, named_in, vocabulary
from tools.types import Evidence, Owner

CAUSE_TOLERANCE_S = 15.0
"""A cause may seem to begin this much after its effect: one scrape, as in Prometheus's example."""

NEAR_ECHO = 0.8
"""Share of common words from which a sentence says what was said; 1 is word for word."""

_FORWARD = re.compile(
    r"(?i)\b(?:caus(?:ed|es|ing)(?! by)|led to|leads to|(?:mak(?:es?|ing)|made)(?! to\b)"
    r"|result(?:ed|s) in|broke|breaks|filled|fills|trigger(?:ed|s)|overload(?:ed|s)|explains?"
    r"|is the reason for|therefore"
    r"|so that|so(?= \w+ \w+))\b"
    r"|导致|使得|使(?!用)|引起了?|造成|致使|因此|所以|从而|引发"
)
_BACKWARD = re.compile(r"(?i)\b(?:because(?: of)?|due to|caused by|as a result of)\b|,\s*因为")
_LEADING = re.compile(r"(?i)^(?:because(?: of)?|due to|as|since|由于|因为?)\s*(.+?)[,，而](.+)$")
_BETWEEN = re.compile(r"^([^,，]+?)因(?![为此素])([^,，]+?)而([^,，]+)$")
_WORK = frozenset(("traffic", "cpu", "writes"))
_MEANS = frozenset(("hits", "replicas", "errors"))
_FIGURE = re.compile(r"(?<![\w.:-])\d+(?:\.\d+)?(?![\w.:]*\d)")
_BEFORE = re.compile(
    r"(?i)normal|usual|before|instead|\bfrom\b|\bthan\b|\bwas\b|平时|平常|往常|通常|正常|之前|此前|[从原]"
)
_SEQUENCES = tuple(
    (re.compile(rf"(?is){pattern}"), earlier, later)
    for pattern, earlier, later in (
        (r"^(?P<a>.+?),? (?<!than )(?<!as )(?<!never )before (?P<b>.+)$", "a", "b"),
        (r"^(?:first,? )(?P<a>.+?),? (?:and )?(?:then|later) (?P<b>.+)$", "a", "b"),
        (r"^(?P<b>.+?),? (?:right |soon |shortly )?after (?P<a>.+)$", "a", "b"),
        (r"^after (?P<a>[^,]+), (?P<b>.+)$", "a", "b"),
        (
            r"^(?:先是?)?(?P<a>.+?)(?:[之以]后|随后|然后|后[,，\s]|先[^,，]*[,，])(?P<b>.+)$",
            "a",
            "b",
        ),
        (r"^(?P<b>.+?)(?:出现在|发生在)(?P<a>.+?)之?后.*$", "a", "b"),
    )
)
"""How one thing is told as earlier than another."""
_LOAD = re.compile(r"(?i)traffic|surge|load|requests|retr(?:y|ies)|calls rose|流量|请求|重试|负载")
_GIVEN = re.compile(
    r"(?i)\bdeploy|release|rollout|rolled out|configuration|\bconfig\b|发布|配置|升级"
)
_CLAUSE = re.compile(
    r"(?i)[;；。，:：!]|,(?!\d{3})|\b(?:while|because|since|so that|so|which|but|whereas|when|until"
    r"|although|though|led to|leads to|result(?:ed|s) in|after|once|therefore|hence)\b"
    r"|\b(?:caus|mak|explain|trigger)(?:e|ed|es|s|ing)\b|\bmade\b"
    r"|(?<!than )(?<!as )(?<!never )(?<!logged )\bbefore (?=\w)"
    r"|\b(?:and|as) (?=(?:the |its |their |it |[a-z][\w-]* (?:cannot|can not|could|does|did|is|was"
    r"|has|had|fails?|lost|waits?|rose|fell|grew|began)\b))"
    r"|因为|由于|因此|所以|从而|使(?!用)|导致|造成|引起了?|引发|致使|之后|随后|然后|并且|而且|随之"
    r"|而(?!且)|后(?=[,，\s])|出现在|因(?=.{1,40}而)"
)
_WORD = re.compile(r"[a-z0-9]+|[\u3400-\u9fff]")
_ARTICLES = frozenset({"the", "a", "an", "is", "are", "of", "一", "直", "的", "了"})


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A sentence, the items it cites, and all that was shown, which holds the call graph."""

    text: str
    items: Sequence[Evidence]
    shown: Sequence[Evidence]
    components: frozenset[str]


def contradictions(claim: CitedSentence) -> Iterator[str]:
    """Yield what the cited items do not bear out; the first suffices to leave the sentence out."""
    about = {name for one in claim.items for name in owners(one, claim.components)}
    if not named(claim.text, frozenset(about)):
        yield "name the component that the cited items are about"
    yield from _steps(claim)
    yield from _usual(claim)
    yield from _order(claim)
    yield from _edges(claim)
    clauses = [*_clauses(claim)]
    yield from _pairs(claim)
    for clause in clauses:
        yield from clause.unsaid()
    if not any(one.asserts() for one in clauses):
        yield "it says nothing that was measured"
    yield from _causes(claim)


def echoes(text: str, said: Sequence[str]) -> bool:
    """Return whether a text is a question, holds no word, or repeats something that was said.

    A sentence repeats another whose words it shares to `NEAR_ECHO` (Jaccard), or stands in it.
    """
    words = _words(text)
    if not words or text.rstrip().endswith(("?", "？")):
        return True
    joined = " ".join(words)
    for one in said:
        others = _words(one)
        if len(words) >= 4 and f" {joined} " in f" {' '.join(others)} ":
            return True
        common = len(set(words) & set(others))
        if common >= NEAR_ECHO * len(set(words) | set(others)) and _same_order(words, others):
            return True
    return False


def owners(item: Evidence, components: frozenset[str]) -> tuple[str, ...]:
    """Return the components an item is about: its subject, and those its text names."""
    return tuple(
        dict.fromkeys(
            (
                *(one for one in _ends(item) if one),
                *named(f"{item.subject} {item.statement} {item.excerpt}", components),
            )
        )
    )


def named(text: str, components: frozenset[str]) -> list[str]:
    """Return the components a text names, in order of their first mention."""
    places = {
        name: found.start()
        for name in components
        if (found := re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.I | re.A))
    }
    return sorted(places, key=lambda name: (places[name], -len(name)))


def _ends(item: Evidence) -> tuple[str, str]:
    """The caller and the callee of an edge; the service alone of anything else."""
    if "->" in item.subject:
        caller, _, callee = item.subject.partition("->")
        return caller.strip(), callee.strip()
    return Owner.parse(item.subject).service or item.subject, ""


def _clauses(claim: CitedSentence) -> Iterator[Clause]:
    """The parts of a sentence; one that names nobody goes on about whom the last one named."""
    before: list[str] = []
    for part in _CLAUSE.split(masked(claim.text, claim.items)):
        names = named(part, claim.components) or before
        before = names
        text = part
        for name in names:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?:'s|’s)?(?![\w-])", " ", text, flags=re.I)
        items = _about(names, claim)
        yield Clause(text, items, " and ".join(names) or "it", claim.items)


def _pairs(claim: CitedSentence) -> Iterator[str]:
    """Two components in one clause are told together; an item has to do so, or one is a cause."""
    for part in _CLAUSE.split(claim.text):
        names = set(named(part, claim.components))
        told = any(names <= set(owners(one, claim.components)) for one in claim.items)
        if len(names) > 1 and not told and not _FORWARD.search(part):
            yield f"no item it cites tells of {' and '.join(sorted(names))} together"


def _about(names: Sequence[str], claim: CitedSentence) -> list[Evidence]:
    """The cited items about all that a clause names, else about any of it."""
    about = [(one, set(owners(one, claim.components))) for one in claim.items]
    joined = [one for one, whom in about if set(names) <= whom]
    return joined or [one for one, whom in about if whom & set(names)]


def _candidates(part: str, claim: CitedSentence) -> list[Evidence]:
    """The cited measurements that half of a sentence can be about."""
    read = vocabulary()
    found = [one for one in _about(named(part, claim.components), claim) if one.kind != "change"]
    words = [*read.read(part)]
    said = {told.split()[0] for _, one in words if one is not None for told in one.says}
    wanted = named_in(words) | said
    return [one for one in found if wanted & read.topics(one)] or found


def _edges(claim: CitedSentence) -> Iterator[str]:
    """Who calls whom is as cited; an edge told the wrong way round is another edge."""
    ends = {_ends(one) for one in claim.items if "->" in one.subject}
    for caller, callee in ends:
        if (callee, caller) in ends:
            continue
        between = r" ?(?:to|calls|->|调用|访问|到) ?"
        turned = rf"(?<![\w-]){re.escape(callee)}{between}{re.escape(caller)}(?![\w-])"
        if re.search(turned, claim.text, re.I | re.A):
            yield f"{caller} calls {callee}, not the other way round"


def _steps(claim: CitedSentence) -> Iterator[str]:
    """A step from one figure to another is from the baseline to the value, or as stated."""
    for found in STEP.finditer(claim.text):
        first, last = (float(found[side]) for side in ("a", "b"))
        if not any(_is_step(one, first, last) for one in claim.items):
            yield f"{found[0]!r} is not the step that is cited"


def _usual(claim: CitedSentence) -> Iterator[str]:
    """A figure of before is told as one of before."""
    if _BEFORE.search(claim.text):
        return
    now = {one.value for one in claim.items}
    for found in _FIGURE.finditer(claim.text):
        figure = float(found[0])
        if figure and figure not in now and any(one.baseline == figure for one in claim.items):
            yield f"{found[0]!r} is what is usual, not what is measured now"


def _order(claim: CitedSentence) -> Iterator[str]:
    """What is told as later began no earlier, where both are about components."""
    for pattern, earlier, later in _SEQUENCES:
        if (found := pattern.match(claim.text)) is None:
            continue
        first, last = found[earlier], found[later]
        told = named(first, claim.components) and named(last, claim.components)
        if told and _later(_candidates(first, claim), _candidates(last, claim)):
            yield "what it tells as earlier began later"
        return


def _is_step(item: Evidence, first: float, last: float) -> bool:
    for stated in STEP.finditer(item.statement):
        if (float(stated["a"]), float(stated["b"])) == (first, last):
            return True
    if item.value is None or item.baseline is None:
        return item.kind == "change" and f"{first:g}" in item.statement
    return abs(item.baseline - first) + abs(item.value - last) <= abs(item.baseline - last) + abs(
        item.value - first
    )


def _causes(claim: CitedSentence) -> Iterator[str]:
    """What is told as a cause must be able to be one: by the call graph and by onset."""
    parts = _cause_and_effect(claim.text)
    if parts is None:
        return
    cause, effect = parts
    sources, targets = named(cause, claim.components), named(effect, claim.components)
    first, last = _candidates(cause, claim), _candidates(effect, claim)
    if sources and not targets and _is_eased(first) and not _is_eased(claim.items):
        yield "less work is no cause of trouble"
    if not sources or not targets:
        return
    given = _GIVEN.search(effect) and any(one.kind == "change" for one in claim.items)
    if given and not _GIVEN.search(cause):
        yield "a change is not the effect of what came after it"
    elif first and all(one.kind == "alert" for one in first):
        yield "an alert reports, it causes nothing"
    elif _calls(sources[0], targets[0], claim.shown) and not (
        _LOAD.search(cause) or _GIVEN.search(cause) or _eased(effect, last)
    ):
        yield f"{sources[0]} calls {targets[0]}: its trouble is the effect, not the cause"
    elif _is_eased(first) and not _eased(effect, last):
        yield "less work is no cause of trouble"
    elif _later(first, last):
        yield "what it tells as the cause began after the effect"


def _cause_and_effect(text: str) -> tuple[str, str] | None:
    """The two halves around a word of cause; None where there is none."""
    plain = text.strip().rstrip(".。")
    if between := _BETWEEN.match(plain):
        return between[2], f"{between[1]} {between[3]}"
    if leading := _LEADING.match(plain):
        return leading[1], leading[2]
    if backward := _BACKWARD.search(plain):
        return plain[backward.end() :], plain[: backward.start()]
    if forward := _FORWARD.search(plain):
        return plain[: forward.start()], plain[forward.end() :]
    return None


def _eased(effect: str, items: Sequence[Evidence]) -> bool:
    """Whether the effect is less work, which a failing caller does cause."""
    return bool(items) and all(one.direction == "down" for one in items) and bool(effect)


def _is_eased(causes: Sequence[Evidence]) -> bool:
    """Whether what is told as the cause is less work, and nothing else."""
    topics = vocabulary().topics
    return bool(causes) and all(
        moved(one) == "down" and topics(one) & _WORK and not topics(one) & _MEANS for one in causes
    )


def _later(causes: Sequence[Evidence], effects: Sequence[Evidence]) -> bool:
    began = [one.onset for one in causes if one.onset is not None]
    felt = [one.onset for one in effects if one.onset is not None]
    return bool(began and felt) and min(began) > max(felt) + CAUSE_TOLERANCE_S


def _calls(caller: str, callee: str, shown: Sequence[Evidence]) -> bool:
    """Whether the shown edges lead from one component to the other, over any number of them."""
    edges = [_ends(one) for one in shown if "->" in one.subject]
    reached, frontier = {caller}, {caller}
    while frontier:
        frontier = {right for left, right in edges if left in frontier} - reached
        reached |= frontier
    return caller != callee and callee in reached


def _words(text: str) -> list[str]:
    plain = text.lower().replace("can not", "cannot")
    return [one for one in _WORD.findall(plain) if one not in _ARTICLES]


def _same_order(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether the common words come in the same order: who calls whom is told by it."""
    common = set(words) & set(others)
    return [one for one in words if one in common] == [one for one in others if one in common]
