"""The words of a text as an index sees them: identifiers whole and in parts, Chinese in bigrams."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]+|[A-Za-z0-9]+(?:[._:/@-]+[A-Za-z0-9]+)*")
_SEGMENT = re.compile(r"[.:/@]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+[a-z]*|[A-Z]+")
_LONGEST = 80
_SPOKEN = re.compile(rf"100%|{_TOKEN.pattern}")
_SHARE = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,4})?)\s?%")
_NEARLY_ALL = 90.0
"""A share from here on reads "100%": Prometheus' node-mixin calls CPU and memory high from it."""

_QUANTITY = re.compile(
    r"(?<![\w.:/-])\d{1,12}(?:\.\d{1,6})?\s?"
    r"(?:%|(?:[mun]?s|sec|seconds?|m|min|mins|minutes?|h|hours?|d|days?|[kmgtp]i?b?|bytes?|"
    r"x|times|rps|qps)\b|[秒分小时天周倍万亿个条次台核]+钟?)",
    re.IGNORECASE,
)
"""How much or how long: what was measured, never what is wrong."""

_ALERT_NAME = re.compile(r"(?<![\w./:-])[A-Za-z][A-Za-z0-9]{3,79}(?![\w./:-])")
_TIMED_OUT = re.compile(r"\btim(?:e|ed|es|ing)[ -]out\b", re.IGNORECASE)
_DOUBLED = re.compile(r"([bdgmnprt])\1$")

# Words of a question, not of a fault; bigrams of the Chinese ones are what is compared.
_STOP = frozenset(
    re.findall(
        r"\w+",
        """
        a about after again all also am an and any anyone are as at be because been but by can
        could did do does doing done for from get gets getting go goes got had has have help
        here hey hi how i if in into is it its just keep keeps kind know like look looks me my
        no not now of off on one only or our out over please said say says see seeing seems
        should show since so some someone something stays still stuck suddenly that the their
        them then there these they thing this to too up us very was we were what when where
        which who why will with would you your
        """,
    )
)
_ASKING = re.compile(
    "为什么|怎么办|怎么回事|怎么处理|怎么|如何|什么|是不是|有没有|要不要|该不该|能否|排查|处理|告警|"
    "请问|求助|一下|一直|突然|好像|现在|"
    "我们|你们|他们|这个|那个|这些|那些|这是|应该|可以|能不能|哪些|哪个|哪里|大量|全部|引起|导致|造成|已经|之后|以后|然后|"
    "[的了吗呢吧啊呀着把被就都也还又很太再]"
)


@dataclass(frozen=True, slots=True)
class Word:
    """One token of a query with every term it may match by.

    `names` are those of its terms that are identifiers; `named` where it looks like a name at all;
    `said` is what a person wrote, where `text` is what an index has.
    """

    text: str
    terms: tuple[str, ...]
    names: tuple[str, ...] = ()
    named: bool = False
    said: str = ""


def terms(text: str) -> list[str]:
    """Every term of a text, in order, repeated as often as it occurs.

    >>> terms("redis-cluster-01 延迟高")
    ['redis-cluster-01', 'redis', 'cluster', '01', '延', '迟', '高', '延迟', '迟高']
    """
    found: list[str] = []
    for token in _TOKEN.findall(_normal(text)):
        if is_cjk(token):
            found += [*token, *_bigrams(token)]
        else:
            found += _latin(token[:_LONGEST])
    return found


def spoken(text: str) -> list[str]:
    """The tokens of a text in their order: identifiers whole, Chinese one character at a time.

    >>> spoken("utm_campaign 变慢")
    ['utm_campaign', '变', '慢']
    >>> spoken("cpu is at 97%") == spoken("cpu is at 100%")
    True
    """
    found: list[str] = []
    for token in _SPOKEN.findall(_SHARE.sub(_nearly_all, _normal(text))):
        if is_cjk(token):
            found += token
        else:
            found += _names(token[:_LONGEST])[:1] or [stem(token[:_LONGEST].lower())]
    return found


def query(text: str, most: int = 64) -> list[Word]:
    """The words of a question that say something, each once, at most `most` of them.

    >>> [word.text for word in query("why is it slow?")]
    ['slow']
    """
    found: dict[str, Word] = {}
    for token in _asked(text):
        if is_cjk(token):
            for piece in _bigrams(token) or [token]:
                found.setdefault(piece, Word(piece, (piece,), said=piece))
        else:
            parts = tuple(dict.fromkeys(_latin(token[:_LONGEST])))
            if parts:
                names = tuple(_names(token[:_LONGEST]))
                digits = any(c.isdigit() for c in token)
                found.setdefault(
                    parts[0], Word(parts[0], parts, names, digits or bool(names), token)
                )
        if len(found) >= most:
            break
    return list(found.values())[:most]


def chinese_pieces(text: str) -> list[str]:
    """The Chinese of a question as an index sees it, between what it does not compare."""
    return [token for token in _asked(text) if is_cjk(token)]


def _asked(text: str) -> list[str]:
    """The tokens of a question without its quantities and the words of asking."""
    return _TOKEN.findall(_ASKING.sub(" ", _QUANTITY.sub(" ", _normal(text))))


def alert_names_apart(text: str, known: Callable[[str], bool]) -> str:
    """The text with names such as `HighCpuUsage` written as the words they are made of.

    Alerts of Prometheus are named like this by convention. One that is `known` stays whole.

    >>> alert_names_apart("NodeClockNotSynchronising node-14", lambda name: False)
    'Node Clock Not Synchronising node-14'
    """

    def apart(name: re.Match[str]) -> str:
        parts = _PART.findall(name[0])
        whole = len(parts) < 2 or any(map(known, _names(name[0])))
        return name[0] if whole else " ".join(parts)

    return _ALERT_NAME.sub(apart, text)


def stem(word: str) -> str:
    """An English word without its commonest endings; both sides of a match are stemmed alike.

    >>> [stem(w) for w in ("timeouts", "evicted", "throttling", "queries", "process")]
    ['timeout', 'evict', 'throttl', 'query', 'process']
    """
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        if len(word) > len(ending) + 3 and word.endswith(ending):
            word = _DOUBLED.sub(r"\1", word[: -len(ending)])
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def is_cjk(token: str) -> bool:
    """Whether a token begins with a Chinese character."""
    return token[0] >= "\u3400"


def _normal(text: str) -> str:
    """One form of each character, and `timed out` as the noun that documents say."""
    return _TIMED_OUT.sub("timeout", unicodedata.normalize("NFKC", text))


def _nearly_all(share: re.Match[str]) -> str:
    return " 100% " if float(share[1]) >= _NEARLY_ALL else " "


def _bigrams(token: str) -> list[str]:
    return [token[i : i + 2] for i in range(len(token) - 1)]


def _latin(token: str) -> list[str]:
    """The identifier whole, then its parts; a plain word is one stem; empty for a stop word."""
    names, parts = _names(token), _parts(token)
    return [*names, *(stem(part) for part in parts if part not in _STOP)] if names else parts


def _names(token: str) -> list[str]:
    """The whole of an identifier and of its segments that are identifiers; none of a plain word."""
    segments = [token, *_SEGMENT.split(token)] if _SEGMENT.search(token) else [token]
    names = [segment.lower() for segment in segments if len(_PART.findall(segment)) > 1]
    return list(dict.fromkeys(stem(name) if name.isalpha() else name for name in names))


def _parts(token: str) -> list[str]:
    parts = [part.lower() for part in _PART.findall(token)]
    return parts if len(parts) > 1 else [stem(one) for one in parts if one not in _STOP]
