"""What a question names: services, evidence, an incident, a moment, a level, quoted words."""

import re
from collections.abc import Sequence

from copilot.surfaces.chat.times import moment, span
from copilot.surfaces.chat.understand.scene import ChatScene, Entities
from copilot.types.time_format import iso
from tools.evidence import cited

_INCIDENT = re.compile(r"\binc-[0-9a-f]{4,16}\b")
_QUOTED = re.compile(r"[\"“”「『]([^\"“”「」『』]{2,200})[\"“”」』]|`([^`]{2,200})`")
_IT = re.compile(
    r"\b(it|its|that one|this one|this service|that service)\b|它|[该这那]个?(服务|组件|玩意)儿?",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z0-9]+")
_LEVEL = re.compile(r"\b(fatal|error|warn(?:ing)?|info|debug)s?\b", re.IGNORECASE)

_KINDS: tuple[tuple[str, str], ...] = (
    (
        r"\b(databases?|db)\b|数据库",
        "db database datastore postgres postgresql mysql mongo mongodb mariadb",
    ),
    (r"\bcaches?\b|缓存", "cache redis memcached valkey"),
    (r"\b(queues?|broker)\b|队列", "queue kafka rabbitmq mq broker nats"),
    (
        r"\b(gateway|front ?door|front ?end|ingress)\b|网关|入口|前端",
        "gateway frontend ingress web",
    ),
)
"""What people call a component by its kind, and the words its name then holds."""


def entities(question: str, scene: ChatScene) -> Entities:
    """What the question names; `it` is the subject of the turn before."""
    services = _services(question, scene.services)
    asked_for = ""
    if not services:
        services, asked_for = _by_kind(question, scene)
    if not services and not asked_for and _IT.search(question):
        services = scene.recent[:1]
    quoted = _QUOTED.search(question)
    level = _LEVEL.search(question)
    before = moment(question, scene.now, scene.onset)
    if before is None and re.search(
        r"before (it|the (onset|incident|outage)|that)|故障前|事故前|出事(之)?前", question
    ):
        before = scene.onset
    return Entities(
        services=services,
        evidence=cited(question),
        incident=incident_named(question),
        before=(iso(before) or "") if before is not None else "",
        within_s=span(question),
        quoted=(quoted[1] or quoted[2] or "") if quoted else "",
        level=level[1].lower() if level else "",
        asked_for=asked_for,
    )


def incident_named(question: str) -> str:
    """The id of the incident that a question names; empty where it names none."""
    found = _INCIDENT.search(question)
    return found[0] if found else ""


def quotes(question: str) -> bool:
    """Whether words stand in quotation marks."""
    return _QUOTED.search(question) is not None


def without_names(question: str, known: Sequence[str], instead: str = " ") -> str:
    """The question with what stands for the services it names, and for `it`, taken out."""
    text = question
    for name in sorted(known, key=len, reverse=True):
        text = re.sub(
            rf"(?<![A-Za-z0-9_.-]){re.escape(name)}(?![A-Za-z0-9_-])",
            instead,
            text,
            flags=re.IGNORECASE,
        )
    return _IT.sub(instead, text)


def _services(question: str, known: Sequence[str]) -> tuple[str, ...]:
    """Names as they stand in the question, then with `payments` and `payment service` allowed."""
    words = question.lower()
    exact = [name for name in known if _stands_in(name.lower(), words)]
    # "order" within "order-db" is not the service "order".
    longest = [
        n for n in exact if not any(n != m and n in m and not _apart(n, m, words) for m in exact)
    ]
    if longest:
        return tuple(sorted(longest, key=lambda name: words.find(name.lower())))
    said = set(_WORD.findall(words))
    said |= {word.removesuffix("s") for word in said} | {f"{word}s" for word in said}
    loose = [name for name in known if _stem(name) <= said and _stem(name)]
    return tuple(loose)


def _stands_in(name: str, words: str) -> bool:
    return re.search(rf"(?<![a-z0-9_.-]){re.escape(name)}(?![a-z0-9_-])", words) is not None


def _apart(name: str, longer: str, words: str) -> bool:
    return _stands_in(name.lower(), words.replace(longer.lower(), " "))


def _stem(name: str) -> set[str]:
    """The words of a name, without what every name has."""
    return set(_WORD.findall(name.lower())) - {"service", "svc", "server", "api", "app"}


def _by_kind(question: str, scene: ChatScene) -> tuple[tuple[str, ...], str]:
    """The components of a kind, by name, or for a database by what it alone measures."""
    for kind, words in _KINDS:
        if found := re.search(kind, question, re.IGNORECASE):
            fitting = tuple(name for name in scene.services if _named_like(name, words.split()))
            if not fitting and words.startswith("db "):
                fitting = scene.databases()
            return fitting, "" if fitting else found[0]
    return (), ""


def _named_like(name: str, words: Sequence[str]) -> bool:
    parts = set(_WORD.findall(name.lower()))
    return bool(parts & set(words)) or any(name.lower().endswith(word) for word in words)
