"""Take secrets and personal data out of text; the same secret gets the same token."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_LIMIT = 16_384


@dataclass(frozen=True, slots=True)
class Redacted:
    """Text without its secrets, and what each token stood for (never leaves the process)."""

    text: str
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def restore(self) -> str:
        """The original text."""
        return _TOKEN.sub(lambda found: self.secrets.get(found[0], found[0]), self.text)


_TOKEN = re.compile(r"<[A-Z_]{2,16}_\d{1,9}>")
_RULES = (
    ("EMAIL", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    (
        "SECRET",
        re.compile(
            r"(?i)(?:password|passwd|pwd|secret|token|api[_-]?key)[\"']?\s{0,4}[=:]\s{0,4}[\"']?([^\s\"',;&]{1,512})"
        ),
    ),
)


class Vault:
    """Numbers secrets across texts, so that one user is one token in every excerpt."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], str] = {}

    def token(self, kind: str, secret: str) -> str:
        """`<KIND_n>`, the same for the same secret."""
        return self._tokens.setdefault((kind, secret), f"<{kind}_{len(self._tokens) + 1}>")


def _spans(text: str) -> Iterator[tuple[int, int, str]]:
    for kind, pattern in _RULES:
        for found in pattern.finditer(text):
            start, end = found.span(pattern.groups)
            yield start, end, kind


def redact(text: str, vault: Vault | None = None) -> Redacted:
    """Replace every secret by a numbered token; `restore` puts them back.

    >>> redact("mail to ann@example.org").text
    'mail to <EMAIL_1>'
    """
    vault = vault or Vault()
    text = text[:_LIMIT]
    pieces: list[str] = []
    secrets: dict[str, str] = {}
    last = 0
    for start, end, kind in sorted(_spans(text)):
        if start < last:
            continue
        token = vault.token(kind, text[start:end])
        secrets[token] = text[start:end]
        pieces += (text[last:start], token)
        last = end
    return Redacted("".join((*pieces, text[last:])), secrets)
