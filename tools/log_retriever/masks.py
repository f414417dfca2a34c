"""Recognise the parts of a message that are values by their form alone.

A token (what stands between blanks) is looked at once and remembered, so the cost of a line is
mostly dictionary look-ups. Every pattern runs on a token of bounded length and uses character
classes that do not overlap where they repeat: no input makes them backtrack for long.
"""

import re
from typing import Literal

VARIABLE = "\x01"
"""Stands for a value inside the miner; a control character, so no message can contain it."""

VariableKind = Literal[
    "url", "email", "uuid", "ip", "mac", "host", "path", "hex", "timestamp", "size", "duration",
    "number", "boolean", "text", "word",
]  # fmt: skip

_DOMAINS = (
    "com|net|org|edu|gov|mil|int|info|biz|io|dev|app|cloud|local|localdomain|localhost|internal|lan"
    "|corp|home|svc|cluster|consul|arpa|cn|hk|tw|jp|kr|de|uk|fr|nl|it|es|pl|ru|se|ch|at|eu|ca|au|br"
)
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s\"'<>)\]]+")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}(?![\w-])")
_PATH = re.compile(
    r"(?<![\w.\x01])(?:[A-Za-z]:)?(?:[\\/][\w.$%@+~#*-]+){2,}[\\/]?|(?<![\w\x01])/[\w.-]*\w"
)
_HOST = re.compile(
    rf"(?<![\w.-])(?:[\w-]{{1,63}}\.){{1,8}}(?:{_DOMAINS})(?![\w-])(?!\.\w)(?::\d+)?"
    r"|(?<![\w.-])(?:[\w-]{1,63}\.){1,8}[\w-]{1,63}:\d{2,5}(?!\w)"
)
_COLONS = re.compile(
    r"(?<![\w:])(?:[0-9a-fA-F]{1,4}::?){2,24}[0-9a-fA-F.]{0,40}(?:%\w{1,16})?(?![\w:])"
    r"|(?<![\w:])::[0-9a-fA-F]{1,4}(?![\w:])"
)
_UUID = re.compile(r"(?<!\w)[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?!\w)")
_IP = re.compile(r"/?(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?::\d{1,5})?(?!\w)")
_BOOLEAN = re.compile(
    r"(?<![\w.-])(?:true|false|null|True|False|TRUE|FALSE|NULL|nil|NaN)(?![\w.-])"
)
_DIGIT = re.compile(r"\d")
_GROUPED = re.compile(r"(?<![\w,.])[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w,])")
_PUNCTUATION = re.compile(r"((?:[=,;:()\[\]{}<>|\"'#!?]|\.\.+)+)")
# One digit in a word is usually part of a name (eth0, v2, Log4j), more are usually a value.
_NAME = re.compile(r"[A-Za-z$_.-]*[A-Za-z$_]\d[A-Za-z_$.-]*")
_HEX = re.compile(r"[0-9a-f]{6,}|[0-9A-F]{6,}")
_PROTOCOL = re.compile(r"(?:HTTP|HTTPS|TLS|SSL|SIP|RTSP|IPP)/\d(?:\.\d)?")
_PREFIXED = re.compile(r"([A-Za-z]{2,32}(?:-(?=[^-]+$)|\.(?=\d+$))).+")
_TWO_NAMES = f"{VARIABLE}:{VARIABLE}"

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_PHRASES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"{VARIABLE} ?[KMGTP]?i?B(?!\w)"), VARIABLE),
    (re.compile(rf"(?<!\S)<{VARIABLE} (?:ms|secs?|seconds?|mins?|minutes?)(?!\w)"), VARIABLE),
    (re.compile(rf"{VARIABLE} ([Bb]ytes) \({VARIABLE}\)"), rf"{VARIABLE} \1"),
    (
        re.compile(
            rf"(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?\b(?:{_MONTHS}) {VARIABLE}"
            rf"(?: {VARIABLE})?(?: [A-Z]{{3,4}})?(?: {VARIABLE})?"
        ),
        VARIABLE,
    ),
    (re.compile(r'="[^"]{0,200}"'), f'="{VARIABLE}"'),
    (re.compile(rf"=[A-Za-z]\w{{0,63}}[{{(\[]{VARIABLE}[)}}\]]"), f"={VARIABLE}"),
)


def _mask_piece(piece: str) -> str:
    if not _DIGIT.search(piece) or _PROTOCOL.fullmatch(piece):
        return piece
    if _NAME.fullmatch(piece) and not _HEX.fullmatch(piece):
        return piece
    body = piece.rstrip(".")
    prefixed = _PREFIXED.fullmatch(body)
    return (prefixed[1] if prefixed else "") + VARIABLE + piece[len(body) :]


def mask_token(token: str) -> str:
    """A token with its values replaced by `VARIABLE`; words stay as they are."""
    if token.isdecimal():
        return VARIABLE
    token = _BOOLEAN.sub(VARIABLE, token)
    if token.isalpha():
        return token
    # Each pattern runs only where a character it needs is there: looking is cheaper than matching.
    if "/" in token or "\\" in token:
        token = _PATH.sub(VARIABLE, _URL.sub(VARIABLE, token))
    if "@" in token:
        token = _EMAIL.sub(VARIABLE, token)
    if "." in token:
        token = _HOST.sub(VARIABLE, token)
    if ":" in token:
        token = _COLONS.sub(VARIABLE, token)
    if _DIGIT.search(token):
        token = _mask_digits(token)
    while _TWO_NAMES in token:
        token = token.replace(_TWO_NAMES, VARIABLE)
    return token


def _mask_digits(token: str) -> str:
    if token.count("-") >= 4:
        token = _UUID.sub(VARIABLE, token)
    if token.count(".") >= 3:
        token = _IP.sub(VARIABLE, token)
    if "," in token:
        token = _GROUPED.sub(VARIABLE, token)
    pieces = _PUNCTUATION.split(token)
    pieces[::2] = map(_mask_piece, pieces[::2])
    return "".join(pieces)


def mask_phrases(masked: str) -> str:
    """Fold values of several tokens into one: sizes with units, dates in words, quoted values."""
    for pattern, replacement in _PHRASES:
        masked = pattern.sub(replacement, masked)
    return masked


_ZEROS = str.maketrans("123456789", "000000000")


class TokenMasks(dict[str, str]):
    """Remembers the mask of each token; forgets everything when it has grown to `limit`.

    No pattern tells one digit from another, so tokens that differ in digits only have one mask,
    unless some of its digits stay.
    """

    def __init__(self, limit: int, max_token: int) -> None:
        super().__init__()
        self._limit = limit
        self._max_token = max_token
        self._alike: dict[str, str] = {}

    def __missing__(self, token: str) -> str:
        if len(self) >= self._limit:
            self.clear()
            self._alike.clear()
        if len(token) > self._max_token:
            return VARIABLE
        alike = token.translate(_ZEROS)
        masked = self._alike.get(alike)
        if masked is None:
            masked = self._alike[alike] = mask_token(alike)
        if "0" in masked:
            masked = mask_token(token)
        self[token] = masked
        return masked


_KINDS: tuple[tuple[VariableKind, re.Pattern[str]], ...] = (
    ("url", _URL),
    ("email", _EMAIL),
    ("uuid", _UUID),
    ("ip", _IP),
    ("mac", _COLONS),
    ("size", re.compile(r"[\d.,]+ ?(?:[KMGTP]?i?B|[Bb]ytes)")),
    ("duration", re.compile(r"[\d.,]+ ?(?:ns|us|µs|ms|s|sec|secs|seconds|min|m|h|d)")),
    ("number", re.compile(r"[-+]?\d[\d,_]*(?:\.\d+)?(?:[eE][-+]?\d+)?%?")),
    ("hex", re.compile(r"0[xX][0-9a-fA-F]+|(?=[a-fA-F]*\d)[0-9a-fA-F]{6,}")),
    ("timestamp", re.compile(rf"\d[\d:.,/T-]*\d(?:Z|[+-]\d\d:?\d\d)?|.*(?:{_MONTHS}) +\d.*")),
    ("host", _HOST),
    ("path", _PATH),
    ("boolean", _BOOLEAN),
    ("word", re.compile(r"\S*")),
)


def kind_of(value: str) -> VariableKind:
    """What a value looks like.

    >>> kind_of("10.1.2.3:80"), kind_of("4.2 KB"), kind_of("/var/log")
    ('ip', 'size', 'path')
    """
    if len(value) > 256:
        return "text"
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(value)), "text")
