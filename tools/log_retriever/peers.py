"""Whom a line names: the hosts in a text, and which of them are components that are known."""

import re
from collections.abc import Collection, Iterator

_MOST = 2048
"""Characters of a text in which hosts are looked for; an excerpt has fewer."""

# A name as in RFC 1123: labels of letters, digits and hyphens, here without capitals, so that
# `OrderService.java:41` is none; a source file is none either.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,62})"
_NAME = rf"{_LABEL}(?:\.{_LABEL}){{0,8}}"
_MENTIONED = re.compile(
    rf"[a-z][a-z0-9+.-]{{1,20}}://(?:[^\s/@\"']{{1,256}}@)?(?P<url>{_NAME})(?P<path>/docs)?"
    r"|\b(?:lookup|host(?: ?name)?|(?:[Cc]onnection to )?server at|resolve"
    r"|ENOTFOUND|EAI_AGAIN|UnknownHostException:)"
    rf"[ =]{{1,2}}\\{{0,2}}[\"'(]?(?P<told>{_NAME})"
    rf"|(?P<port>{_NAME})(?:/[0-9.]{{7,15}})?:\d{{2,5}}\b"
    rf"|[Cc]onnection to (?P<to>{_NAME})\b"
)
_FILE = re.compile(r"\.(?:java|kt|scala|py|go|js|ts|rb|rs|c|cc|cpp|cs|php|ex|erl)$")
_LED_BY = 24
_READING = re.compile(
    r"(?:see|visit|go to|more about|information|details|error at|limits)\W{1,3}$", re.I
)
_MANUAL = re.compile(r"(?:docs?|support|help|learn|wiki)\.")
"""What leads to a page to read, and the first label of such pages."""

_ADDRESS = re.compile(r"[0-9.]+$")
_WORDS = frozenset({"host", "name", "port", "server", "node", "localhost", "at", "failed", "for"})

_ORDINAL = re.compile(r"-\d{1,4}$")
_POD = re.compile(r"-[0-9a-f]{6,10}-[0-9a-z]{5}$")
"""What a StatefulSet and a Deployment add to their names to name a pod."""


def hosts(text: str) -> tuple[str, ...]:
    """The hosts that a text names, in order; addresses and documentation are left out.

    >>> hosts('Post "https://auth.internal:8443/token": see https://docs.example.com/tls')
    ('auth.internal',)
    """
    return tuple(dict.fromkeys(_hosts(text[:_MOST])))


def _hosts(text: str) -> Iterator[str]:
    for match in _MENTIONED.finditer(text):
        name = next(part for part in match.group("url", "told", "port", "to") if part)
        before = text[max(0, match.start() - _LED_BY) : match.start()]
        if match["path"] or _FILE.search(name) or _READING.search(before) or _MANUAL.match(name):
            continue
        if not _ADDRESS.fullmatch(name) and name not in _WORDS:
            yield name


def component_of(host: str, known: Collection[str]) -> str:
    """The known component that a host belongs to, `""` if none does.

    >>> component_of("kafka-2.kafka-headless", {"kafka"})
    'kafka'
    """
    label = host.partition(".")[0]
    for name in (host, label, _ORDINAL.sub("", label), _POD.sub("", label)):
        if name in known:
            return name
    return ""


def named(text: str, known: Collection[str]) -> tuple[str, ...]:
    """The known components that a text names as words of their own, in order.

    >>> named("rabbit@jobs-mq-0 is down", ("jobs-mq", "jobs"))
    ('jobs-mq',)
    """
    found = []
    for name in known:
        match = re.search(rf"(?<![\w-]){re.escape(name)}(?:-\d{{1,4}})?(?![\w-])", text[:_MOST])
        if match:
            found.append((match.start(), name))
    return tuple(name for _, name in sorted(found))
