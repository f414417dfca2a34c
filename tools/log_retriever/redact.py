"""Take secrets and personal data out of text; the same secret gets the same token."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tools.log_retriever.sanitize import sanitize, strip_controls

SecretKind = Literal[
    "PRIVATE_KEY", "JWT", "API_KEY", "CREDENTIAL", "PASSWORD", "EMAIL", "CARD", "IBAN", "ID_NUMBER",
    "PHONE", "TOKEN_TEXT",
]  # fmt: skip
_TOKEN = re.compile(r"<[A-Z_]{3,16}_\d{1,9}>")


@dataclass(frozen=True, slots=True)
class RedactedText:
    """Text without its secrets, and what each token stood for (never leaves the process)."""

    text: str
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def restore(self) -> str:
        """The original text."""
        return _TOKEN.sub(lambda found: self.secrets.get(found[0], found[0]), self.text)


class Vault:
    """Numbers secrets across texts, so that one user is one token in every excerpt."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[SecretKind, str], str] = {}

    def token(self, kind: SecretKind, secret: str) -> str:
        """`<KIND_n>`, the same for the same secret."""
        return self._tokens.setdefault((kind, secret), f"<{kind}_{len(self._tokens) + 1}>")


# First digits and lengths by issuer. Source: ISO/IEC 7812 and the issuers: Visa, Mastercard (51-55,
# 2221-2720), American Express, Discover, Diners Club, JCB, UnionPay, Maestro, Mir, RuPay, Troy.
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|222[1-9]\d{12}|22[3-9]\d{13}|2[3-6]\d{14}"
    r"|27[01]\d{13}|2720\d{12}|3[47]\d{13}|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"
    r"|3(?:0[0-5]|[689]\d)\d{11,16}|35(?:2[89]|[3-8]\d)\d{12,15}|(?:62|81)\d{14,17}"
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{9,15}|220[0-4]\d{12,15}"
    r"|(?:508[5-9]|60[68]\d|82\d\d)\d{12}|9792\d{12}"
)
# In one piece, or as it stands on the card: in fours, or 4-6-5 and 4-6-4.
_CARD_GROUPS = (
    r"\d{13,19}|\d{4}(?P<fours>[ -])\d{4}(?P=fours)\d{4}(?P=fours)"
    r"(?:\d{1,4}|\d{4}(?P=fours)\d{1,3})"
    r"|\d{4}(?P<six>[ -])\d{6}(?P=six)\d{4,5}"
)


def _card(text: str) -> bool:
    """A number that an issuer can have given, by its prefix, length and check digit."""
    digits = text.replace(" ", "").replace("-", "")
    return _ISSUED.fullmatch(digits) is not None and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _iban(text: str) -> bool:
    text = text.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _resident_id(text: str) -> bool:
    total = sum(int(c) * w for c, w in zip(text[:17], _ID_WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == text[17].upper()


def _mixed(text: str) -> bool:
    """Random keys mix both cases and digits; hashes, ids and words do not."""
    return (
        sum(map(str.isdigit, text)) >= 4
        and sum(map(str.isupper, text)) >= 4
        and sum(map(str.islower, text)) >= 4
    )


def _always(text: str) -> bool:
    return bool(text)


# What is said of a secret that is not there or not right: "apiKey is undefined" hides nothing.
_ABSENT = frozenset(
    {
        *("undefined", "null", "none", "nil", "missing", "empty", "blank", "unset", "absent"),
        *("not", "no", "required", "mandatory", "invalid", "expired", "wrong", "incorrect"),
    }
)


def _present(text: str) -> bool:
    return bool(text) and text.strip(".!").lower() not in _ABSENT


_SECRET_NAME = (
    r"(?:[\w.-]{0,32}(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|apikey|access[_-]?key"
    r"|private[_-]?key|auth[_-]?key|encryption[_-]?key|credential|session[_-]?id|sessid|set-cookie"
    r"|cookie)s?(?:[_-]?(?:id|key|value|hash))?|密码|口令|密钥|令牌)"
)
_Rule = tuple[SecretKind, re.Pattern[str], Callable[[str], bool]]
# The secret is the last group, or the whole match. Earlier rules win where two begin together.
_RULES: tuple[_Rule, ...] = (
    (
        "PRIVATE_KEY",
        re.compile(
            r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]{0,8192}"
            r"(?:-----END [A-Z ]{0,32}PRIVATE KEY-----)?"
        ),
        _always,
    ),
    ("JWT", re.compile(r"\beyJ[\w-]{8,4096}\.[\w-]{4,8192}(?:\.[\w-]{0,1024})?"), _always),
    (
        "API_KEY",
        re.compile(
            r"\b(?:(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}|AIza[\w-]{35}|gh[pousr]_\w{20,255}"
            r"|github_pat_\w{20,255}|glpat-[\w-]{20,64}|xox[abeoprs]-[\w-]{10,255}"
            r"|[srp]k_(?:live|test)_\w{10,99}|sk-[\w-]{20,200}|SG\.[\w-]{16,64}\.[\w-]{16,64}"
            r"|npm_\w{30,64}|hvs\.[\w-]{20,200}|LTAI\w{12,30}|AC[0-9a-f]{32})\b"
        ),
        _always,
    ),
    (
        "CREDENTIAL",
        re.compile(
            r"(?i)\b(?:proxy-)?authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:[a-z]{1,16}\s{1,4})?"
            r"([^\s\"',;]{4,8192})"
        ),
        _always,
    ),
    ("CREDENTIAL", re.compile(r"(?i)\bbearer\s{1,4}([\w.~+/=-]{8,8192})"), _always),
    ("CREDENTIAL", re.compile(r"\b[a-zA-Z][\w+.-]{0,20}://[^\s/:@\"']{0,128}:([^\s/@\"']{1,256})@"),
     _always),
    (
        "PASSWORD",
        re.compile(
            rf"(?i)(?<![\w.-]){_SECRET_NAME}[\"']?\s{{0,4}}(?::=|=>|[=:：]|\bis\b)\s{{0,4}}"
            r"(?:\"([^\"]{1,1024})\"|'([^']{1,1024})'|([^\s\"',;&)\]}]{1,1024}))"
        ),
        _present,
    ),
    (
        "PASSWORD",
        re.compile(r"(?i)(?<!\S)--?(?:password|passwd|pwd|token|secret|api-?key)[ =]"
            r"([^\s\"']{1,512})"),
        _always,
    ),
    (
        "EMAIL",
        re.compile(r"(?<![\w.+-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[^\W\d_]{2,24}"),
        _always,
    ),
    (
        "CARD",
        re.compile(
            # Ids and moments are no cards, whatever their digits add up to.
            r"(?i)(?:(?:trace|span|request|req|correlation|transaction|message|event|session|thread"
            r"|process|offset|time|timestamp|ts|nanos?|micros?|millis|epoch|duration|bytes|size)"
            r"(?:[_.-]?id)?[\"']?\s?[=:]\s?[\"']?\d{13,19}(?!\d))"
            rf"|(?<![\w.-])({_CARD_GROUPS})(?![\w-]|\.\d)"
        ),
        _card,
    ),
    ("IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[0-9A-Z]{4}){3,7}(?: ?[0-9A-Z]{1,3})?\b"), _iban),
    ("ID_NUMBER", re.compile(r"(?<!\w)[1-9]\d{5}(?:19|20)\d{9}[\dXx](?!\w)"), _resident_id),
    ("ID_NUMBER", re.compile(r"(?i)\bssn\W{0,8}(\d{3}-?\d{2}-?\d{4})\b"), _always),
    (
        "PHONE",
        re.compile(
            r"(?i)(?:phone|mobile|msisdn|\btel|手机号?|电话)[\w\"']{0,12}\s{0,4}[:=：]\s{0,4}[\"']?"
            r"(\+?\d(?:[ ()-]{0,2}\d){6,14})"
        ),
        _always,
    ),
    ("API_KEY", re.compile(r"(?<![\w/+.-])[\w+/-]{32,512}={0,2}(?![\w/+.-])"), _mixed),
)  # fmt: skip


def _finds(text: str) -> list[tuple[int, int, int, SecretKind]]:
    found = []
    for order, (kind, pattern, is_secret) in enumerate(_RULES):
        for match in pattern.finditer(text):
            start, end = match.span(match.lastindex or 0)
            if is_secret(text[start:end]) and not _TOKEN.fullmatch(text, start, end):
                found.append((start, order, end, kind))
    return sorted(found)


def redact(text: str, vault: Vault | None = None) -> RedactedText:
    """Replace every secret by a numbered token; `restore` puts them back.

    Found are private keys, JSON web tokens, the keys of the usual clouds, authorization headers,
    passwords in URLs, options and `name=value` pairs (English and Chinese names), e-mail addresses,
    card numbers (issuer, length, Luhn), IBANs and resident ids (check digits), labelled phone
    numbers, and long random strings. What already looked like one of the tokens is replaced too, so
    that `restore` is exact. Every pattern is bounded: the time is linear in the length of the text.

    >>> redact("user ann@example.org password=hunter2").text
    'user <EMAIL_1> password=<PASSWORD_2>'
    """
    vault = vault or Vault()
    pieces: list[tuple[str, str]] = []
    secrets: dict[str, str] = {}
    last = 0
    for start, _, end, kind in _finds(text):
        if start < last:
            continue
        token = vault.token(kind, text[start:end])
        secrets[token] = text[start:end]
        pieces.append((text[last:start], token))
        last = end
    pieces.append((text[last:], ""))

    def hide(literal: re.Match[str]) -> str:
        if literal[0] not in secrets and not literal[0].startswith("<TOKEN_TEXT_"):
            return literal[0]
        token = vault.token("TOKEN_TEXT", literal[0])
        hidden[token] = literal[0]
        return token

    hidden: dict[str, str] = {}
    shown = "".join(_TOKEN.sub(hide, plain) + token for plain, token in pieces)
    return RedactedText(shown, secrets | hidden)


def excerpt(text: str, vault: Vault | None = None, limit: int = 300) -> str:
    """One redacted, safe line of at most `limit` characters.

    Invisible characters go first, or they could split a secret so that it is not recognised. So
    does the last word of what was cut from a longer text: it may be the beginning of a secret.
    """
    most = 8 * limit + 1024
    head = strip_controls(text[:most])
    if len(text) > most and " " in head:
        head = head.rpartition(" ")[0]
    return sanitize(redact(head, vault).text, limit)
