"""What the words of a clause assert, and whether an item it cites says it.

The vocabulary is closed (`claim_words.yaml`): a word says nothing, names what is measured, or
asserts something that a cited item about the clause's component has to bear out. A word that stands
neither there nor in those items is refused, so what nobody measured cannot be said in other words.
docs/decisions/reasoning.md has what it holds, measured.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import log10

import yaml

from tools.types import Evidence

ROUNDED = 0.2
"""How far a share or a multiple in words may be from the measured one: people say "a fifth" of
18 %. Largest distance among the true sentences of the corpus: 0.17 (`evals run reasoning`)."""

NEAR_ALL = 0.95
"""From this share on it is "all", and below the rest of it "nothing"."""

AT_LIMIT_PCT = 90.0
"""From this use on something is full; the usual critical level of disks and pools
(node_exporter's mixin warns of a file system at 90 % and above)."""

STEP = re.compile(
    r"(?i)(?:\bfrom|从)\s*(?P<a>\d+(?:\.\d+)?)(?!\.?\d)\s*\S{0,6}?\s*"
    r"(?:to|变为|改为|降[到至]|升[到至]|增加到|减少到|涨[到至]|到)\s*(?P<b>\d+(?:\.\d+)?)(?!\.?\d)"
)
_FIGURE = re.compile(
    r"(?<![\w.-])(?:\d{1,2}:\d{2}(?::\d{2})?(?:\s*UTC)?|\d+(?:,\d{3})*(?:\.\d+)?(?!\.?\d)"
    r"\s*(?:%|(?:ms|s|MB/s|MB|MiB|GB|KB|rps|lines/min|/s|/min)(?![\w]))?)"
)
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_CITED = re.compile(r"\[?\bE\d+\b\]?")
_QUOTES = re.compile('["“‹「『]([^"”›」』]{3,})["”›」』]')
_WORD = re.compile(r"[A-Za-z0-9_](?:[\w./-]*\w)?|[\u3400-\u9fff]", re.A)
_BASELINE = re.compile(
    r"(?i)normal|usual|before|instead|from|than|against|\bwas\b|平时|平常|往常|通常|正常|之前|此前|从|原"
)
_NEGATIONS = frozenset(("no", "not", "never", "none", "without", "nor", "cannot", "neither"))
_ENGLISH = "one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {
    **{word: number for number, word in enumerate(_ENGLISH.split(), start=1)},
    **{word: number for number, word in enumerate("一二三四五六七八九十", start=1)},
    "两": 2,
}
_PARTS = {
    "half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4, "fifth": 1 / 5, "tenth": 1 / 10,
    "thirds": 1 / 3, "quarters": 1 / 4, "fifths": 1 / 5,
}  # fmt: skip
_EVENTS = frozenset(("deploy", "config", "alert", "logs"))
"""Topics of which a name says that something happened."""
_REPORTS = frozenset(("log", "cluster", "alert", "note"))
_SOFT = frozenset(("calls",))
"""Topics that a sentence may speak of in passing: whose calls is the matter of the names in it."""
_TURNED = {"up": "down", "down": "up"}
_WENT = re.compile(r"(?i)\b(?:rose|fell)\b")
_ZERO = re.compile(r"(?<![\d.])0\s+(?:times|次)")
_OVER = re.compile(r"(?i)(?:more than|over|above|超过|多于)\s*$")
_ORDINALS = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ORDINAL = f"({'|'.join(_ORDINALS)})"
_N = "(" + "|".join(sorted(_NUMBERS, key=len, reverse=True)) + ")"
_LEVELS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"(?i){said}"), kind)
    for said, kind in (
        (rf"\b{_N} orders? of magnitude|{_N}个数量级", "orders"),
        (rf"\b{_N} (?:out of|in|of) {_N}\b", "of"),
        (rf"\bevery {_ORDINAL}\b", "every"),
        (rf"每{_N}[次个条][^,，。]*?就?有{_N}[次个条]", "parts"),
        (rf"{_N}分之{_N}", "parts"),
        (rf"{_N}成(?!功)", "tenths"),
        (rf"\b(?:an?|{_N}) (half|thirds?|quarters?|fifths?|tenth)\b|\b(half)\b|一半|半数", "part"),
        (rf"{_N}十倍", "tens"),
        (rf"\b{_N} times(?= (?:the|as|its|more|what|than|higher))|\b{_N}-?fold|{_N}倍", "times"),
        (r"\b(?:twice|doubl\w+)|翻倍|翻番", "twice"),
        (r"翻了一[倍番]", "twice"),
        (r"\btripl\w+", "thrice"),
        (r"\bquadrupl\w+", "fourth"),
        (
            r"\b(?:(?<!in )all|every|everything|entirely|completely|fully)\b"
            r"|全部|全都|所有|完全",
            "all",
        ),
        (r"\b(?:next to |almost |nearly )?(?:nothing|zero)\b(?! to do)|为零|(?<!归)零", "none"),
        (r"\b(?:most|mostly|majority|more than half)\b|大多数?|大部分|多数|过半", "most"),
        (
            rf"\bonly (one)\b|\b(?<!the )(?!one\b){_N}\b"
            rf"|(?<!第){_N}(?=[个秒条]|次(?!都)|分钟|小时)",
            "count",
        ),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WordMeaning:
    """A phrase: topics it may name, and what has to be measured where it stands, one of each."""

    topics: frozenset[str] = frozenset()
    says: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The phrases by the character they begin with, the longest first, and what items are about."""

    patterns: Mapping[str, re.Pattern[str]]
    meanings: Sequence[WordMeaning]
    items: Mapping[str, re.Pattern[str]]

    def read(self, clause: str) -> Iterator[tuple[str, WordMeaning | None]]:
        """Each phrase of a clause with its meaning; None for a word that is not known."""
        place = 0
        while place < len(clause):
            pattern = self.patterns.get(clause[place].lower())
            if pattern and (found := pattern.match(clause, place)):
                yield found[0], self.meanings[int(str(found.lastgroup)[1:])]
            elif found := _WORD.match(clause, place):
                yield found[0], None
            place = found.end() if found else place + 1

    def topics(self, item: Evidence) -> frozenset[str]:
        """What an item is about, by its name and statement."""
        told = f"{item.subject} {item.name} {item.statement}"
        return frozenset(name for name, words in self.items.items() if words.search(told))


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary of both languages."""
    file = resources.files("copilot.model") / "claim_words.yaml"
    told = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    topics: dict[str, set[str]] = defaultdict(set)
    says: dict[str, list[str]] = defaultdict(list)
    for topic, row in told["topics"].items():
        for phrase in _phrases(row):
            topics[phrase].add(topic)
    for row in told["says"]:
        for phrase in _phrases(row):
            says[phrase] += row["says"]
    known = {*topics, *says, *_phrases(told["plain"])}
    phrases = sorted(known, key=lambda one: (-len(re.sub(r"[*()]", "", one)), one))
    by_letter: dict[str, list[str]] = defaultdict(list)
    for place, one in enumerate(phrases):
        for letter in _beginnings(one):
            by_letter[letter].append(f"(?P<w{place}>{_pattern(one)})")
    patterns = {letter: re.compile(f"(?i){'|'.join(group)}") for letter, group in by_letter.items()}
    meanings = [WordMeaning(frozenset(topics[one]), tuple(says[one])) for one in phrases]
    items = {name: re.compile(f"(?i){row['items']}") for name, row in told["topics"].items()}
    return Vocabulary(patterns, meanings, items)


def _phrases(row: Mapping[str, str]) -> list[str]:
    return f"{row.get('en', '')} {row.get('zh', '')}".split()


def _beginnings(phrase: str) -> set[str]:
    """The characters a phrase may begin with: of each alternative, where it begins with some."""
    if not phrase.startswith("("):
        return {phrase[0].lower()}
    group, _, rest = phrase[1:].partition(")")
    found = {one[0].lower() for one in group.split("|")}
    return found | (_beginnings(rest[1:]) if rest.startswith("?") else set())


def _pattern(phrase: str) -> str:
    words = phrase.replace("(", "(?:").replace("*", r"\w*").replace("_", r"\s+")
    return words if _CHINESE.match(phrase) else rf"(?<![\w-]){words}(?![\w-])"


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a sentence that asserts something by itself, and the cited items about its names.

    `text` has no names of components and no citations; a figure in it is §, a quote from an item ¶.
    """

    text: str
    items: Sequence[Evidence]
    about: str
    cited: Sequence[Evidence]

    def unsaid(self) -> Iterator[str]:
        """What of it no item says."""
        read = vocabulary()
        text = self.text
        for level, kind in _LEVELS:
            for found in level.finditer(text):
                if not self._is_level(kind, found):
                    yield f"{found[0]!r} is not what is measured"
            text = level.sub("§", text)
        words = [*read.read(text)]
        over = _ZERO.search(self.text) is not None or any(
            one is not None and "gone" in one.says for _, one in words
        )
        shown = [one for one in self.items if over or not _is_over(one)]
        if not shown and self.items and (named_in(words) & {"logs"} or "¶" in text):
            yield "what it cites is no longer logged"
        yield from _Reading(text, words, shown, over, self.about).problems()

    def asserts(self) -> bool:
        """Whether it says anything at all."""
        if "§" in self.text or "¶" in self.text or any(one.search(self.text) for one, _ in _LEVELS):
            return True
        words = [*vocabulary().read(self.text)]
        return bool(named_in(words) & _EVENTS) or any(one is None or one.says for _, one in words)

    def _is_level(self, kind: str, found: re.Match[str]) -> bool:
        said = [one for one in found.groups() if one]
        over = bool(_OVER.search(self.text[: found.start()]))
        return any(_has_level(one, kind, said, over=over) for one in self.items) or (
            kind == "count" and self._apart(_NUMBERS[said[0].lower()])
        )

    def _apart(self, number: float) -> bool:
        """Whether two of the items cited began so many seconds apart."""
        began = [one.onset for one in self.cited if one.onset is not None]
        return any(abs(abs(a - b) - number) < 1 for a in began for b in began)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The words of a clause, and the items that may bear them out."""

    text: str
    words: Sequence[tuple[str, WordMeaning | None]]
    items: Sequence[Evidence]
    over: bool
    about: str

    def problems(self) -> Iterator[str]:
        topics = named_in(self.words)
        for word, meaning in self.words:
            if meaning is None:
                if not self._literal(word):
                    yield f"no item it cites about {self.about} says {word!r}"
                continue
            if not meaning.topics & _SOFT and not self._told(word, meaning.topics):
                yield f"no item it cites about {self.about} tells of {word!r}"
            if meaning.says and not any(self._borne(said.split(), topics) for said in meaning.says):
                yield f"{word!r}: the cited items do not show it"

    def _told(self, word: str, topics: frozenset[str]) -> bool:
        """Whether an item is about one of the topics, or has the very word in its name or text."""
        read = vocabulary()
        return not topics or any(
            topics & read.topics(one) or f" {word} " in f" {one.name} {one.statement} "
            for one in self.items
        )

    def _borne(self, said: Sequence[str], topics: frozenset[str]) -> bool:
        """Whether an item shows it: its topic, or one of those the clause names, moved so."""
        read = vocabulary()
        topic = said[0] if said[0] in read.items else ""
        way = said[-1] if said[-1] not in read.items else ""
        told = [(one, read.topics(one)) for one in self.items]
        if not topic and any(topics & about for _, about in told):
            told = [(one, about) for one, about in told if topics & about]
        elif not topic and topics - _SOFT:
            return False
        spare = any(one is not None and "free down" in one.says for _, one in self.words)
        return any(
            _shows(one, way, over=self.over, turned="free" in about and not spare)
            for one, about in told
            if not topic or topic in about
        )

    def _literal(self, word: str) -> bool:
        """Whether a word stands in an item, but for its ending."""
        stem = _stem(word)
        for one in self.items:
            if stem in _NEGATIONS:
                run = re.search(rf"(?i)\b{re.escape(word)}(?:\W+\w+){{2}}", self.text)
                if run and _plain(run[0]) in _plain(one.statement):
                    return True
                continue
            told = f"{one.name} {one.statement} {one.excerpt}"
            told += re.sub(r"(?<=[a-z])(?=[A-Z])", " ", told)
            if word in told or any(stem == _stem(other) for other in _WORD.findall(told)):
                return True
        return False


def _shows(item: Evidence, way: str, *, over: bool, turned: bool) -> bool:
    """Whether an item went that way; `turned`: it measures what is left of what is spoken of."""
    shown = moved(item)
    if turned and shown in _TURNED and item.kind not in _REPORTS:
        shown = _TURNED[shown]
    if not way or (over and shown == "down"):
        return True
    return is_full(item) if way == "full" else shown == ("down" if way == "gone" else way)


def named_in(words: Sequence[tuple[str, WordMeaning | None]]) -> frozenset[str]:
    """The topics that words name."""
    return frozenset(topic for _, one in words if one is not None for topic in one.topics)


def _is_over(item: Evidence) -> bool:
    """Whether an item says that something is no longer reported."""
    return item.kind == "log" and item.direction == "down" and not item.value


def _has_level(item: Evidence, kind: str, said: Sequence[str], *, over: bool) -> bool:
    numbers = [_NUMBERS.get(one.lower(), 0) for one in said]
    value, usual = item.value, item.baseline
    if kind == "count":
        told = re.findall(r"(?<![\w.])\d+(?![\w.])", item.statement)
        seconds = (value or 0.0) / 1000 if item.unit == "ms" else 0.0
        near = abs(seconds - numbers[0]) <= ROUNDED * numbers[0]
        return str(numbers[0]) in told or numbers[0] in (value, usual) or near
    if value is None or usual is None:
        return False
    shares = [one / 100 for one in (value, usual) if item.unit == "%"]
    least, most = sorted((abs(value), abs(usual)))
    ratio = least / most if most else 1.0
    if kind == "all":
        return bool(shares) and shares[0] >= NEAR_ALL
    if kind == "none":
        return ratio <= 1 - NEAR_ALL
    if kind == "most":
        return bool(shares) and shares[0] > 0.5
    if kind == "orders":
        return ratio > 0 and abs(-log10(ratio) - numbers[0]) <= 0.5
    wanted = _wanted(kind, said, numbers)
    if over and any(one >= wanted for one in (*shares, 1 - ratio)):
        return True
    return any(abs(one - wanted) <= ROUNDED * wanted for one in (*shares, ratio, 1 - ratio))


def _wanted(kind: str, said: Sequence[str], numbers: Sequence[float]) -> float:
    """The share a level speaks of; of a multiple what it is the multiple of."""
    match kind:
        case "of":
            return numbers[0] / numbers[1]
        case "parts":
            return numbers[1] / numbers[0]
        case "tenths":
            return numbers[0] / 10
        case "times":
            return 1 / numbers[0]
        case "tens":
            return 1 / (10 * numbers[0])
        case "twice":
            return 1 / 2
        case "thrice":
            return 1 / 3
        case "fourth":
            return 1 / 4
        case "every":
            return 1 / (_ORDINALS.index(said[0].lower()) + 2)
        case _:
            part = next((_PARTS[one.lower()] for one in said if one.lower() in _PARTS), 1 / 2)
            return part * (numbers[0] or 1 if len(said) > 1 else 1)


def is_full(item: Evidence) -> bool:
    """Whether an item says that something is at its limit."""
    if item.kind in _REPORTS:
        return moved(item) == "up"
    share = item.unit == "%" or f"{item.value:g}%" in item.statement if item.value else False
    return share and item.value is not None and item.value >= AT_LIMIT_PCT


def moved(item: Evidence) -> str:
    """Which way an item says that it went; a report of something is up, a step as its figures."""
    if item.kind == "change":
        step = STEP.search(item.statement)
        return "" if step is None else "up" if float(step["b"]) > float(step["a"]) else "down"
    if item.direction != "none":
        return item.direction
    if told := _WENT.search(item.statement):
        return "up" if told[0].lower() == "rose" else "down"
    return "up" if item.kind in _REPORTS or item.value is None or item.baseline is None else "flat"


def masked(text: str, items: Sequence[Evidence]) -> str:
    """A sentence without citations; what it quotes from an item is ¶, a figure §."""
    plain = _CITED.sub(" ", text)
    told = [_plain(f"{one.statement} {one.excerpt}") for one in items]
    for quoted in _QUOTES.findall(plain):
        if any(_plain(quoted) in one for one in told):
            plain = plain.replace(quoted, "¶")
    return _FIGURE.sub(lambda found: "0 " if found[0].strip() == "0" else "§ ", plain)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _stem(word: str) -> str:
    return re.sub(r"(?:'s|s|es|ed|d|ing)$", "", word.lower().strip("-./"))
