"""Take secrets and personal data out of text, however it is escaped."""

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any, Literal

import re2

from tools.log_retriever.sanitize import INVISIBLE, sanitize, strip_controls

SecretKind = Literal[
    "PRIVATE_KEY", "JWT", "API_KEY", "WEBHOOK", "CREDENTIAL", "PASSWORD", "EMAIL", "CARD", "IBAN",
    "ID_NUMBER", "PHONE", "PERSON",
]  # fmt: skip
_MEMORY = 64 * 2**20
"""Most bytes of states that the automaton keeps; what is over is forgotten and made again."""

_COUNT = 8
"""How far the automaton counts; of 4, 8, 12, 40 the fastest. Source: `evals bench redaction`."""

_TOKEN = re.compile(r"<[A-Z_]{3,16}_[0-9a-f]{1,9}>")


class Vault:
    """Names secrets, so that one secret is one token: in every text of this vault, or for good.

    Without a key secrets are numbered as they come. With a key the token is the keyed BLAKE2 of
    the secret, so that values that were equal stay equal, in every process that has the key, and
    nobody without it can try candidates. It remembers nothing then.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key
        self._tokens: dict[tuple[str, str], str] = {}

    def token(self, kind: str, secret: str) -> str:
        """Return `<KIND_n>`, or `<KIND_hex>` with a key; the same for the same secret."""
        if self._key:
            told = secret.encode("utf-8", "surrogatepass")
            return f"<{kind}_{blake2b(told, key=self._key, digest_size=4).hexdigest()}>"
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


def _card(text: str) -> bool:
    """A number that an issuer can have given, by its prefix, length and check digit."""
    digits = text.replace(" ", "").replace("-", "")
    return _ISSUED.fullmatch(digits) is not None and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _iban(text: str) -> bool:
    """Check digits. Source: ISO 13616, modulus 97."""
    text = text.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
"""Source: GB 11643-1999."""


def _resident_id(text: str) -> bool:
    """Check digit. Source: GB 11643-1999, modulus 11."""
    total = sum(int(c) * w for c, w in zip(text[:-1], _ID_WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == text[-1].upper()


def _counts(text: str) -> tuple[int, int, int]:
    """Digits, capitals, small letters."""
    return (
        sum(map(str.isdigit, text)),
        sum(map(str.isupper, text)),
        sum(map(str.islower, text)),
    )


def _mixed(text: str) -> bool:
    """Random keys mix both cases and digits, and change often; hashes, ids, paths and words do not.

    In random base64 0.65 of all neighbours are of another kind (26, 26, 10 and 2 of 64), source:
    arithmetic; in words of several capitals fewer than 0.4 are. Of random base64 one in 64 is a
    slash, of a path one in ten.
    """
    slashes = text.count("/")
    if slashes * 12 > len(text) or (text[0] == "/" and slashes > 1):
        return False
    kinds = [
        "0" if c.isdigit() else "A" if c.isupper() else "a" if c.islower() else c for c in text
    ]
    digits, capitals, small = _counts(text)
    changes = sum(a != b for a, b in zip(kinds, kinds[1:], strict=False))
    return digits > 0 and min(capitals, small) >= 3 and changes >= 0.4 * (len(text) - 1)


def _mixture(text: str) -> bool:
    """Letters and several digits; a name with a number has one or two."""
    digits, capitals, small = _counts(text)
    return digits >= 4 and capitals + small >= 4


_ALGORITHM = re.compile(
    r"(?i)(?:sha|md|v|argon|oauth|utf|base|pbkdf|bcrypt|aes|rsa|tls|ssl|scram|h|ipv|http|ssh|port)"
    r"[_-]?\d+(?:[._-]?\w{1,3})?"
)
"""Names with a digit that stand beside the word password: `sha512`, `oauth2`, `v1.2`."""


def _password_word(text: str) -> bool:
    """A word no sentence has: letters with digits, or with a sign that no word has."""
    digits, capitals, small = _counts(text)
    odd = digits or any(c in "!@#$%^&*+?~" for c in text)
    return bool(capitals + small and odd) and _present(text) and not _ALGORITHM.fullmatch(text)


_REFERENCE = re.compile(
    r"(?i)`|\$[\w({]|\{|%[\w({]|[*x.•_-]+$|\[|vault:|arn:aws|/run/secrets|/var/run|/etc/|file:|\\|"
    r"[0-9]{1,2}$|0x0+$|ref\+|secretref|sops:|ENC\[|env\.|os\.|process\.env"
)
"""What stands for a secret that is kept elsewhere: `${DB_PASSWORD}`, `/run/secrets/db`, `***`."""


_VARIABLE = re.compile(
    r"[A-Z]{2,}(?:_[A-Z]+)+|[A-Z_]*(?:KEY|NAME|PASSWORD|SECRET|TOKEN|PASS|PWD|PW)"
)
"""The name of a variable, as manuals write it in the place of its value."""

_ENDED = re.compile(r"[|\\<>\])\"'.,!:;]")


def _present(text: str) -> bool:
    """Something is said that may be a secret, not that there is none, or where it is kept."""
    word = _ENDED.split(text, maxsplit=1)[0].lower()
    named = _REFERENCE.match(text) or _VARIABLE.fullmatch(text)
    return bool(word) and word not in _data()["absent"] and not named


_LONG = 16
"""Characters from which on what stands after "bearer" is no word. source: the longest word that
stands there in error texts, "authentication", has 14."""


def _worded(text: str) -> bool:
    """No word of a sentence: "bearer authentication." names a way, not a key."""
    word = text.rstrip(".")
    return len(word) >= _LONG or not word.isalpha() or _counts(word)[1] > 1


def _no_port(text: str) -> bool:
    """`http://registry:4873/@scope` has a port where others have a password."""
    return re.match(r"\d{1,5}/", text) is None and _present(text)


def _mail(text: str) -> bool:
    """`getty@tty1.service` and `git@github.com` are addresses of nobody."""
    user, _, host = text.rpartition("@")
    return user != "git" and host.rpartition(".")[2].lower() not in _data()["no_domains"]


def _international(text: str) -> bool:
    """Country code and number. Source: ITU-T E.164, at most 15 digits."""
    return 9 <= sum(map(str.isdigit, text)) <= 15


def _mobile(text: str) -> bool:
    """A size in whole KiB is no number of a phone."""
    return int(re.sub(r"\D", "", text)) % 1024 != 0


_CHECKS: dict[str, Callable[[str], bool]] = {
    "": bool,
    "present": _present,
    "password_word": _password_word,
    "worded": _worded,
    "no_port": _no_port,
    "mail": _mail,
    "card": _card,
    "iban": _iban,
    "resident_id": _resident_id,
    "international": _international,
    "mobile": _mobile,
    "mixed": _mixed,
    "mixture": _mixture,
}


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: str
    pattern: Any
    check: Callable[[str], bool]
    alone: bool

    def secrets(self, view: str) -> Iterator[tuple[int, int]]:
        """Where the secrets of this kind begin and end."""
        for match in self.pattern.finditer(view):
            for group in range(min(1, self.pattern.groups), self.pattern.groups + 1):
                start, end = match.span(group)
                around = f"{view[max(start - 1, 0) : start]} {view[end : end + 2]}"
                longer = self.alone and _GOES_ON.match(around)
                if start < end and not longer and self.check(view[start:end]):
                    yield start, end


_GOES_ON = re.compile(r"[.-] |.? (?:-|\.\d)")
_SPREAD = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\s+")
"""What stands in a pattern that is spread over lines: RE2 does not know the flag x."""


def _written(pattern: str) -> str:
    if not pattern.startswith("(?x)"):
        return pattern
    return _SPREAD.sub(lambda m: "" if m[0].isspace() else m[0], pattern[4:])


_COUNTED = re.compile(r"\{(\d+),?\d*\}")


def _uncounted(count: re.Match[str]) -> str:
    """A looser repetition: the automaton need not count far to say that a rule may match."""
    least = int(count[1])
    if count[0] == f"{{{least}}}" and least <= _COUNT or least == 32:
        return count[0]
    return "*" if least == 0 else f"{{{min(least, _COUNT)},}}"


@cache
def _data() -> dict[str, Any]:
    text = files("tools.log_retriever").joinpath("secrets.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    words = {name: frozenset(data[name]) for name in ("absent", "no_domains")}
    return {"rule": data["rule"], **words}


@cache
def _rules() -> tuple[Any, tuple[_Rule, ...]]:
    """Every pattern as one automaton, which says in one pass which of the rules match."""
    quiet = re2.Options()
    quiet.log_errors = False
    quiet.max_mem = _MEMORY
    together = re2.Set.SearchSet(quiet)
    rules = []
    for row in _data()["rule"]:
        pattern = _written(row["pattern"])
        together.Add(_COUNTED.sub(_uncounted, pattern))
        check = _CHECKS[row.get("check", "")]
        rules.append(
            _Rule(row["kind"], re2.compile(pattern, quiet), check, row.get("alone", False))
        )
    together.Compile()
    return together, tuple(rules)


_ESCAPE = re.compile(
    rf"(?:%[0-9A-Fa-f]{{2}})+|\\u[0-9A-Fa-f]{{4}}|\\[nrtbf\"'\\/]|&(?:quot|amp|lt|gt|#3[49]);"
    rf"|{INVISIBLE.pattern}"
)
_CODED = re2.compile(r"%[0-9A-Fa-f]{2}|\\[nrtbfu\"'\\/]|&(?:quot|amp|lt|gt|#3[49]);")
"""The same without what no ASCII text has: a first look that costs little."""

_MEANT = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " "}
_ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">", "&#34;": '"', "&#39;": "'"}
_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width forms as plain ones. Source: Unicode, block Halfwidth and Fullwidth Forms."""

LEVELS = 3
"""So often escaping is undone: JSON in a string of JSON in an address."""


def _views(text: str) -> Iterator[tuple[str, Sequence[int] | None]]:
    """The text as written, then as it reads with each level of escaping undone.

    With a view comes where each of its characters, and its end, stand in the text.
    """
    view, places = _narrow(text), None
    yield view, places
    for _ in range(LEVELS):
        if view.isascii() and not _CODED.search(view) or not _ESCAPE.search(view):
            return
        coded = "%" in view
        plain, places = _unescaped(view, places)
        view = _narrow(plain)
        yield view, places
        if coded and "+" in view:
            yield view.replace("+", " "), places


def _narrow(text: str) -> str:
    return text if text.isascii() else text.translate(_WIDE)


def _unescaped(view: str, before: Sequence[int] | None) -> tuple[str, Sequence[int]]:
    pieces: list[str] = []
    places: list[int] = []
    last = 0
    for found in _ESCAPE.finditer(view):
        start, end = found.span()
        pieces.append(view[last:start])
        places.extend(range(last, start))
        at = start
        for plain in _meant(found[0]):
            pieces.append(plain)
            places.append(min(at, end))
            at += 3 * len(plain.encode("utf-8", "replace"))
        last = end
    pieces.append(view[last:])
    places.extend(range(last, len(view) + 1))
    if before is not None:
        places = [before[place] for place in places]
    return "".join(pieces), places


def _meant(escape: str) -> str:
    """What an escape stands for; nothing for a character nobody sees."""
    if escape[0] == "%":
        return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "replace")
    if escape[0] == "\\":
        if escape[1] == "u":
            return chr(int(escape[2:], 16)).encode("utf-8", "replace").decode()
        return _MEANT.get(escape[1], escape[1])
    return _ENTITIES.get(escape, "")


def _finds(text: str) -> Iterator[tuple[int, int, str]]:
    """Where each secret begins and ends in the text, and its kind, in the order of the rules."""
    together, rules = _rules()
    for view, places in _views(text):
        for number in sorted(together.Match(view) or ()):
            rule = rules[number]
            for start, end in rule.secrets(view):
                if places is not None:
                    start, end = places[start], places[end]
                yield start, end, rule.kind


def redact(text: str, vault: Vault | None = None) -> str:
    """Replace every secret by a token, `<KIND_n>`.

    Found are private keys, JSON web tokens, the keys of clouds and services, webhooks,
    authorization headers and cookies, passwords in URLs, options, commands and `name=value` pairs
    (names of several languages), signed addresses, password hashes, e-mail addresses, card numbers
    (issuer, length, Luhn), IBANs and resident ids (check digits), phone numbers that are labelled,
    international or of the Chinese mainland, and long random strings: in plain text, in JSON, in
    JSON inside of JSON, percent-encoded and in full-width letters. Addresses of machines stay.
    The rules stand in `secrets.toml`. The time is linear in the length of the text.

    >>> redact("user ann@example.org password=hunter2")
    'user <EMAIL_1> password=<PASSWORD_2>'
    """
    known = text if text.isascii() else text.encode("utf-8", "replace").decode()
    found = sorted(_finds(known), key=lambda one: one[0])
    if not found:
        return text
    vault = vault or Vault()
    merged: list[tuple[int, int, str]] = []
    for start, end, kind in found:
        if _TOKEN.fullmatch(text, start, end):
            continue
        if merged and start < merged[-1][1]:
            first, last, named = merged[-1]
            merged[-1] = (first, max(last, end), named)
        else:
            merged.append((start, end, kind))
    pieces, last = [], 0
    for start, end, kind in merged:
        pieces += [text[last:start], vault.token(kind, text[start:end])]
        last = end
    return "".join([*pieces, text[last:]])


def excerpt(text: str, vault: Vault | None = None, limit: int = 300) -> str:
    """One redacted, safe line of at most `limit` characters.

    Invisible characters go first, or they could split a secret so that it is not recognised. So
    does the last word of what was cut from a longer text: it may be the beginning of a secret.
    """
    most = 8 * limit + 1024
    head = strip_controls(text[:most])
    if len(text) > most and " " in head:
        head = head.rpartition(" ")[0]
    return sanitize(redact(head, vault), limit)
