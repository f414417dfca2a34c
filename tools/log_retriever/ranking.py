"""Read a query and score lines by BM25."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

_MAX_TERMS = 16
_MAX_QUERY = 4096
_K1, _B = 1.2, 0.75
_TERM = re.compile(r'"([^"]{1,256})"|(\S{1,256})')
_WORD = re.compile(r"\w+")
_WIDE = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")


def terms_of(query: str) -> list[str]:
    """The query's terms as FTS5 strings: always quoted, so that no text is an operator.

    >>> terms_of('error "connection refused" time*')
    ['"error"', '"connection refused"', '"time"*']
    """
    return list(_terms(query))


def spaced(text: str) -> str:
    """Text with each Chinese or Japanese character a word of its own."""
    return text if text.isascii() else _WIDE.sub(r" \1 ", text)


def bm25(texts: Sequence[str], weights: Sequence[tuple[str, float]]) -> list[float]:
    """Score of each text for terms and their rarity (k1 = 1.2, b = 0.75, length in characters).

    Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009.
    """
    patterns = [(_pattern(term), rarity) for term, rarity in weights]
    mean = sum(map(len, texts)) / len(texts) if texts else 0.0
    return [_score(text.lower(), patterns, max(mean, 1.0)) for text in texts]


def _score(text: str, patterns: Sequence[tuple[re.Pattern[str], float]], mean: float) -> float:
    length = _K1 * (1.0 - _B + _B * len(text) / mean)
    score = 0.0
    for pattern, rarity in patterns:
        # The index folds accents, the pattern does not: what the index found counts at least once.
        count = len(pattern.findall(text)) or 1
        score += rarity * count * (_K1 + 1.0) / (count + length)
    return score


def _terms(query: str) -> Iterator[str]:
    for phrase, word in islice(_TERM.findall(query[:_MAX_QUERY]), _MAX_TERMS):
        words = _WORD.findall(spaced(phrase or word))
        if words:
            yield '"' + " ".join(words) + '"' + ("*" if word.endswith("*") else "")


def _pattern(term: str) -> re.Pattern[str]:
    words = r"\W+".join(map(re.escape, term.rstrip("*").strip('"').lower().split()))
    return re.compile(rf"(?<!\w){words}" + ("" if term.endswith("*") else r"(?!\w)"))
