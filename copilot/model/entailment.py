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

from tools.types import Direction, Evidence, Owner

CAUSE_TOLERANCE_S = 15.0
"""A cause may seem to begin this much after its effect: one scrape, as in Prometheus's example."""

NEAR_ECHO = 0.8
"""Share of common words from which a sentence says what was said; 1 is word for word."""

_WAYS: tuple[tuple[str, Direction, str], ...] = (
    (
        "",
        "up",
        r"\boverload\w*|\btoo (?:many|much|high)\b|\bpressure\b"
        r"|\b(?:ran|runs?|running|is|are) out of"
        r"(?! (?:time|sync))|\bexhaust\w*|\bsaturat\w*|过高|过多|过载|不足|耗尽|饱和",
    ),
    (
        "",
        "down",
        r"\bplenty\b|\b(?:is|are) empty\b|\bright away\b|\bat once\b(?= at)|充足|空闲",
    ),
    ("latency", "up", r"\bslow(?:er|ed|s)?\b(?: down)?|(?<!no )\blonger\b|变慢|很慢|更慢|变长"),
    ("latency", "down", r"\b(?:faster|sooner|quicker)\b|变快|更快|时快|缩短"),
    (
        "",
        "up",
        r"\b(?:r[oi]se|rose|rises|rising|increas\w*|gr[eo]w\w*|climb\w*|surg\w*|spik\w*|higher"
        r"|jumped|doubled|tripled|(?:went|shot|goes|pil\w+|is|are) up(?! to))\b"
        r"|(?<!any )(?<!no )\bmore\b(?! than (?:half|its|an?|twice|\d))"
        r"|上升|升高|升[到至]|上涨|涨[到至]|增加|增多|增长|增大|变多|变大|提高|激增|猛增|飙升|更多"
        r"|时多|时高|高于",
    ),
    (
        "",
        "down",
        r"\b(?:fell|falls?|falling|dropp?\w*|decreas\w*|declin\w*|shr[aiu]nk\w*|reduc\w*|lower"
        r"|fewer|less|smaller|shorter|idle|stopped|(?:went|goes|is|are) down)\b"
        r"|\bno (?:requests|calls|traffic)\b"
        r"|下降|降[到至低为]|减少|变少|减小|缩小|更少|时少|时低|低于|归零|不再",
    ),
)
"""A topic (empty: any), the direction it claims, and the words that claim it."""

_FLAT = re.compile(r"(?i)\bunchanged\b|\bas (?:\w+ )?as (?:ever|before|usual)\b|没有变化|不变")

_TOPICS = {
    "latency": r"latency|slow|fast|soon|wait|takes?|duration|self.time|_ms\b|延迟|慢|快|等|耗时",
    "errors": r"error|fail|refus|错误|失败|出错|报错",
    "cpu": r"\bcpu|处理器",
    "memory": r"memory|\boom|内存",
    "disk": r"\bdisk|device|space|磁盘|空间",
    "connections": r"connection|pool|连接",
    "queue": r"queue|\blag|backlog|队列|滞后|积压",
    "traffic": r"requests?_|requests? (?!of)|traffic|请求|流量",
    "hits": r"\bhit|命中",
    "replicas": r"replica|副本",
    "restarts": r"restart|killed|重启|被杀",
    "writes": r"\bwrit|ops_|operation|写入|操作",
    "locks": r"\block|锁",
}
_TOPIC = {name: re.compile(f"(?i){words}") for name, words in _TOPICS.items()}

_DENIAL = re.compile(
    r"(?i)\b(?:is|are|was|were|look|looks|seems?|stays?|works?|runs?|functions?)\s+(?:all\s+|still\s+)?"
    r"(?:healthy|normal(?:ly)?|fine|ok(?:ay)?|unaffected|stable|well|valid|innocent|as expected"
    r"|not (?:the|a|to|full|affected|involved|due|down))\b"
    r"|\b(?:isn't|aren't|wasn't|didn't|doesn't)\b|\bkeep(?:s|ing)? up\b|\bsucceeds?\b|\bimprov\w*"
    r"|\brecovered\b|\bhealthy\b|\bruled out\b|\bunrelated\b|\bcan(?:not| not) be the\b"
    r"|\b(?<!almost )(?<!nearly )(?<!next to )nothing\b|\bnever\b(?!.*\bbefore\b)"
    r"|\bwithout (?:any )?(?:problem|error|issue|delay|fail|trouble)\w*"
    r"|\bno (?!longer|more|such|space|free|connection|memory|room|reply|response|answer|route"
    r"|calls|requests|traffic|metric|ready|host)\w+"
    r"|\b(?:did|does|do|has|have|had|is|are|was|were) not (?!(?:\w+ly )?(?:reach|resolv|connect"
    r"|answer|respond|get|find|extend|accept|verif|start|finish|complet|arriv|return|keep"
    r"|have enough|fit|releas|comput|ready|available|seen|been seen|measured))\w+"
    r"|不是[^,，。]{0,8}(?:原因|根因|问题|元凶)|问题不在|无关|排除|未受影响|不受影响|没受影响|没问题"
    r"|正常(?!值|为|时|水平|情况下|范围|约)|良好|健康|稳定|成功|得过来|可以连接|有效|恢复"
    r"|(?:没有|没|并未|未曾|并无|无)(?!剩余|足够|可用|空闲|空间|空余|释放|变化|响应|应答|法|连接|就绪)"
    r"(?=[一-鿿A-Za-z ]*(?:任何|错误|问题|满|过期|记录|异常|故障|滞后|不足|影响|改动|变更|超时|失败"
    r"|变慢|积压|升|重启))"
)
_USUAL = re.compile(
    r"(?i)\bwhere\b[^,;]*\b(?:is|are) (?:normal|usual)\b"
    r"|\b(?:than|of|below|above) (?:the )?normal\w*|[\d%]\s*(?:is|are) normal"
    r"|left (?:its|their) normal|(?:偏离|超出)\S{0,4}正常|[高低]于正常"
)
"""Where "normal" is the baseline, not a verdict."""

_FORWARD = re.compile(
    r"(?i)\b(?:caus(?:ed|es|ing)(?! by)|led to|leads to|mak(?:es?|ing)|made|result(?:ed|s) in|broke"
    r"|breaks|filled|fills|trigger(?:ed|s)|overload(?:ed|s)|explains?"
    r"|is the reason for|therefore"
    r"|so that|so(?= \w+ \w+))\b"
    r"|导致|使得|使(?!用)|引起了?|造成|致使|因此|所以|从而|引发"
)
_BACKWARD = re.compile(r"(?i)\b(?:because(?: of)?|due to|caused by|as a result of)\b|,\s*因为")
_LEADING = re.compile(r"(?i)^(?:because(?: of)?|due to|as|since|由于|因为?)\s*(.+?)[,，而](.+)$")
_LOAD = re.compile(r"(?i)traffic|surge|load|requests|retr(?:y|ies)|calls rose|流量|请求|重试|负载")
_GIVEN = re.compile(
    r"(?i)\bdeploy|release|rollout|rolled out|configuration|\bconfig\b|发布|配置|升级"
)
_UNDONE = re.compile(r"(?i)roll(?:ed|s)?[ -]?back|revert\w*|回滚|回退")
_CLAUSE = re.compile(
    r"(?i)[;；。，:：]|,(?!\d{3})|\b(?:while|because|after|since|so|which|but|whereas)\b"
    r"|因为|因此|所以|而"
)
_STEP = re.compile(
    r"(?i)(?:\bfrom|从)\s*(?P<a>\d+(?:\.\d+)?)(?!\.?\d)\s*\S{0,6}?\s*"
    r"(?:to|变为|改为|降[到至]|升[到至]|增加到|减少到|涨[到至]|到)\s*(?P<b>\d+(?:\.\d+)?)(?!\.?\d)"
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
    yield from _edges(claim)
    undone = _UNDONE.search(claim.text)
    if undone and not any(_UNDONE.search(f"{one.name} {one.statement}") for one in claim.items):
        yield f"{undone[0]!r} is not among the cited changes"
    for clause in _clauses(claim.text):
        yield from _subjects(clause, claim)
        yield from _directions(clause, claim)
        yield from _denials(clause, claim)
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


def _clauses(text: str) -> list[str]:
    return [one for one in _CLAUSE.split(text) if one.strip()]


def _way(item: Evidence) -> Direction | None:
    """Up, down, none for flat; None where the item does not tell."""
    if item.direction != "none" or item.kind == "change":
        return item.direction
    if item.value is None or item.baseline is None:
        return None
    moved = any(re.search(words, item.statement, re.I) for _, _, words in _WAYS)
    return ("up" if item.value > item.baseline else "down") if moved else "none"


def _topics(text: str) -> frozenset[str]:
    return frozenset(name for name, words in _TOPIC.items() if words.search(text))


def _candidates(clause: str, claim: CitedSentence, topic: str = "") -> list[Evidence]:
    """The cited measurements a clause can be about: by component and topic as far as it says."""
    found = [one for one in claim.items if one.kind != "change"]
    names = set(named(clause, claim.components))
    wanted = {topic} if topic else _topics(clause)
    for narrower in (
        [one for one in found if names & set(_ends(one))],
        [one for one in found if wanted & _topics(f"{one.name} {one.statement}")],
    ):
        kept = [one for one in found if one in narrower]
        found = kept or found
    return found


def _directions(clause: str, claim: CitedSentence) -> Iterator[str]:
    """What rose must be cited as risen; a clause may name one direction and mean its own items."""
    plain = clause
    for topic, way, words in _WAYS:
        found = re.search(words, plain, re.I)
        if found is None:
            continue
        plain = plain.replace(found[0], " ")
        ways = {_way(one) for one in _candidates(clause, claim, topic)}
        if None not in ways and way not in ways:
            yield f"{found[0].strip()!r}: the cited items do not show it"
    if _FLAT.search(clause) and not {"none", None} & {
        _way(one) for one in _candidates(clause, claim)
    }:
        yield "it says nothing changed; the cited items show a change"


def _subjects(clause: str, claim: CitedSentence) -> Iterator[str]:
    """What is measured must be measured where the clause says: a topic belongs to its component."""
    names, wanted = set(named(clause, claim.components)), _topics(clause)
    there = [one for one in claim.items if names & set(_ends(one))]
    if len(names) != 1 or not wanted or not there:
        return
    known = frozenset().union(*(_topics(f"{one.name} {one.statement}") for one in there))
    if known and not wanted & known:
        yield f"no item it cites about {names.pop()} tells of {', '.join(sorted(wanted))}"


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


def _denials(clause: str, claim: CitedSentence) -> Iterator[str]:
    """What is cited may not be denied: a finding says that something is out of the ordinary."""
    found = _DENIAL.search(_USUAL.sub(" ", clause))
    if found is None:
        return
    ways = {_way(one) for one in _candidates(clause, claim)}
    if ways != {"none"}:
        yield f"{found[0].strip()!r} denies what it cites"


def _steps(claim: CitedSentence) -> Iterator[str]:
    """A step from one figure to another is from the baseline to the value, or as stated."""
    for found in _STEP.finditer(claim.text):
        first, last = (float(found[side]) for side in ("a", "b"))
        if not any(_is_step(one, first, last) for one in claim.items):
            yield f"{found[0]!r} is not the step that is cited"


def _is_step(item: Evidence, first: float, last: float) -> bool:
    for stated in _STEP.finditer(item.statement):
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
    if not sources or not targets:
        return
    first, last = _candidates(cause, claim), _candidates(effect, claim)
    given = _GIVEN.search(effect) and any(one.kind == "change" for one in claim.items)
    if given and not _GIVEN.search(cause):
        yield "a change is not the effect of what came after it"
    elif first and all(one.kind == "alert" for one in first):
        yield "an alert reports, it causes nothing"
    elif _calls(sources[0], targets[0], claim.shown) and not (
        _LOAD.search(cause) or _GIVEN.search(cause) or _eased(effect, last)
    ):
        yield f"{sources[0]} calls {targets[0]}: its trouble is the effect, not the cause"
    elif _later(first, last):
        yield "what it tells as the cause began after the effect"


def _cause_and_effect(text: str) -> tuple[str, str] | None:
    """The two halves around a word of cause; None where there is none."""
    plain = text.strip().rstrip(".。")
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
