"""The one decision what an alert is about, who told it, and why it was read so."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from copilot.alerts.subjects.families import DESCRIBING, FAMILIES, RANK
from copilot.alerts.subjects.messengers import (
    LabelSet,
    MessengerKind,
    messenger,
    messenger_of,
    told_about,
)
from copilot.alerts.subjects.names import alert_name, host, workload
from copilot.alerts.subjects.readers import (
    NamedThing,
    is_kind_of_software,
    kind_of_words,
    named_by,
)
from tools.log_retriever.sanitize import sanitize
from tools.types import FrozenModel, Subject, SubjectKind

_SHOWN = 200
_WITHOUT_NAMESPACE: frozenset[SubjectKind] = frozenset({"node", "host", "cluster", "namespace"})
_SCOPES: frozenset[SubjectKind] = frozenset({"cluster", "namespace"})
_COMPONENTS: frozenset[SubjectKind] = frozenset({"service", "workload", "container", "pod"})
# Their metrics carry a label `cluster` of their own; one node is asked for all of it.
_CLUSTERED = frozenset({"elasticsearch", "opensearch", "ceph"})
_ACCOUNTS = frozenset({"accountid", "projectid", "ownerid", "imageid", "uid"})
_RESOURCE_ENDS = ("id", "identifier", "name", "arn")
_FIRST, _NOWHERE = -1, -2
_KINDS_IN_TEXT: dict[str, SubjectKind] = {
    "pod": "pod",
    "deployment": "workload",
    "statefulset": "workload",
    "daemonset": "workload",
    "cronjob": "job",
    "job": "job",
    "node": "node",
    "host": "host",
    "server": "host",
    "instance": "host",
    "volume": "volume",
    "claim": "claim",
    "pvc": "claim",
    "queue": "queue",
    "topic": "topic",
    "service": "service",
    "on": "host",
}
# A name, not a word: it starts with a letter, and holds a digit, or a namespace before it.
_NAMED_IN_TEXT = re.compile(
    rf"\b(?P<kind>{'|'.join(_KINDS_IN_TEXT)})\s+['\"`]?"
    r"(?:(?P<namespace>[a-z0-9][a-z0-9-]{0,62})/(?P<within>[a-z0-9][a-z0-9.-]{0,252})"
    r"|(?P<name>(?=[\w.-]*\d)(?=[\w.]*-|\w*\.\w)[A-Za-z][\w.-]{1,252}))",
    re.IGNORECASE,
)
_TEXTS = ("description", "message", "summary", "title")
_READ = 400


class SubjectReading(FrozenModel):
    """What an alert is about, who told it (empty: the subject itself), and why, for a person."""

    subject: Subject = Subject()
    told_by: str = ""
    why: str = ""
    heartbeat: bool = False


def read(
    name: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    known: frozenset[str] = frozenset(),
) -> SubjectReading:
    """What the alert of this name and labels is about; `known` are the topology's components.

    >>> labels = {"pod": "cart-7d9c5b6f8-qk2mv", "job": "kube-state-metrics"}
    >>> reading = read("KubePodNotReady", labels, {})
    >>> reading.subject.name, reading.told_by, reading.why
    ('cart', 'kube-state-metrics', 'label pod; told by kube-state-metrics')
    """
    rule = alert_name(name)
    if rule.heartbeat:
        return SubjectReading(why="a heartbeat: it fires while all is well", heartbeat=True)
    if not known and (found := _by_labels(name, tuple(labels.items()))) is not None:
        return found
    given = LabelSet.of(rule, labels)
    return _reading(given, labels, *_named(given, annotations, known))


# Senders repeat what fires every minute: 28 µs a reading, 2 from here. 2.5 kB each (tracemalloc).
@lru_cache(maxsize=4096)
def _by_labels(name: str, items: tuple[tuple[str, str], ...]) -> SubjectReading | None:
    """What the labels alone say; None where they name nothing, so that annotations are read."""
    labels = dict(items)
    given = LabelSet.of(alert_name(name), labels)
    label, first = next(_candidates(given), ("", None))
    if first is None:
        return None
    return _reading(given, labels, f"label {sanitize(label, _SHOWN)}", first)


def _reading(
    given: LabelSet, labels: Mapping[str, str], why: str, thing: NamedThing | None
) -> SubjectReading:
    told_by = "" if given.told is None else sanitize(given.told.name, _SHOWN)
    shown = "" if thing is None else sanitize(thing.name, _SHOWN)
    nobody = thing is None or not shown or thing.kind in _SCOPES
    if nobody and labels.get("severity") == "none" and "inhibitor" not in given.rule.words:
        return SubjectReading(why="severity none, and no subject: a heartbeat", heartbeat=True)
    if thing is None or not shown:
        return SubjectReading(told_by=told_by, why=_because("no label names a subject", told_by))
    subject = Subject(
        kind=thing.kind,
        name=shown,
        namespace="" if thing.kind in _WITHOUT_NAMESPACE else sanitize(thing.namespace, _SHOWN),
        cluster="" if thing.kind == "cluster" else sanitize(given.own.get("cluster", ""), _SHOWN),
    )
    told_by = "" if told_by == shown else told_by
    return SubjectReading(subject=subject, told_by=told_by, why=_because(why, told_by))


def component(subject: Subject, known: frozenset[str] = frozenset()) -> str:
    """The call graph's component that a subject is; empty for nodes, volumes and the like.

    A subject of any kind is one where the topology knows its name.
    """
    if known:
        for name in (subject.name, f"{subject.namespace}/{subject.name}", host(subject.name)):
            if name in known:
                return name
    return subject.name if subject.kind in _COMPONENTS else ""


def _because(why: str, told_by: str) -> str:
    return f"{why}; told by {told_by}" if told_by else why


def _named(
    given: LabelSet, annotations: Mapping[str, str], known: frozenset[str]
) -> tuple[str, NamedThing | None]:
    candidates = _candidates(given)
    label, first = next(candidates, ("", None))
    if first is None:
        return _named_below_labels(given, annotations)
    if known and first.kind in _COMPONENTS and first.name not in known:
        in_graph = (one for one in candidates if one[1].name in known)
        label, first = next(in_graph, (label, first))
    return f"label {sanitize(label, _SHOWN)}", first


def _named_below_labels(
    given: LabelSet, annotations: Mapping[str, str]
) -> tuple[str, NamedThing | None]:
    """What else names it: the exporter's own name, a text, the rule's name, the scope."""
    rule = given.rule
    if "inhibitor" in rule.words:
        return "", None
    about = _exporter_is_for(given)
    if about is not None:
        return about
    written = _written_subject(annotations)
    if written is not None and written[1].name != given.own.get("cluster"):
        annotation, subject = written
        namespace = subject.namespace or given.namespace
        return f"annotation {annotation}", NamedThing(subject.kind, subject.name, namespace)
    if rule.product:
        return "the rule's name", NamedThing("service", rule.product, given.namespace)
    if not given.scraped_place:
        if given.namespace:
            return "label namespace", NamedThing("namespace", given.namespace)
        if "cluster" in given.own:
            return "label cluster", NamedThing("cluster", given.own["cluster"])
    return "", None


def _written_subject(annotations: Mapping[str, str]) -> tuple[str, Subject] | None:
    """The annotation that names it, and what it names; None where no text does."""
    for annotation in _TEXTS:
        matched = _NAMED_IN_TEXT.search(annotations.get(annotation, "")[:_READ])
        name = (matched["within"] or matched["name"]).rstrip(".-") if matched else ""
        if matched and messenger(name) is None:
            kind = _KINDS_IN_TEXT[matched["kind"].lower()]
            return annotation, Subject(kind=kind, name=name, namespace=matched["namespace"] or "")
    return None


def _exporter_is_for(given: LabelSet) -> tuple[str, NamedThing] | None:
    """`billing-mysql-exporter` tells about `billing-mysql`; a cloud's collector about itself."""
    for name in ("job", "service", "pod", "instance"):
        text = given.own.get(name, "")
        found = messenger_of(name, text) if text else None
        if found is None:
            continue
        bare = workload(host(text)) if "/" not in text else text
        if found.kind is MessengerKind.CLOUD:
            return f"label {name}", NamedThing("target", bare)
        about = told_about(bare)
        if found.kind in (MessengerKind.EXPORTER, MessengerKind.METRICS) and about != bare:
            return f"what {name} is named for", NamedThing("service", about, given.namespace)
    return None


def _candidates(given: LabelSet) -> Iterator[tuple[str, NamedThing]]:
    """What labels name, in the order of the families; each with the label it stands in."""
    placed = sorted(
        (place, name)
        for name, rank in given.ranks.items()
        if (place := _place(given, name, rank)) != _NOWHERE
    )
    for _, name in placed:
        rank = given.ranks[name]
        title = FAMILIES[rank].title if rank >= 0 else "unlisted"
        thing = named_by(given, name, title)
        if thing is not None and thing.name:
            if given.rule.telling and messenger_of(name, given.own[name]) is not None:
                thing = thing._replace(kind="target")
            yield given.spelled[name], thing


def _place(given: LabelSet, name: str, rank: int) -> int:
    """Where a field stands: at its family's place, save where the others decide."""
    if rank < 0 or rank == RANK["part"]:
        place = _place_of_unlisted(given, name)
        return rank if place == _NOWHERE and rank >= 0 else place
    if name == "service" and not given.scraped_place and not given.rule.machine:
        # No scrape set it: whoever wrote the rule says whom it is about.
        return _FIRST if name not in given.scraped else rank
    of_machine = given.rule.machine and rank in (RANK["node"], RANK["host"])
    if of_machine or (name == "node" and "node" in given.rule.words):
        return RANK["pod"] - 1
    if name == "job":
        return _place_of_job(given, rank)
    if name == "name":
        return _place_of_name(given, rank)
    carried = name in given.scraped and "pod" not in given.scraped
    return RANK["pod"] - 1 if name == "service" and carried else rank


def _place_of_job(given: LabelSet, rank: int) -> int:
    """A job that was passed on is named by the job itself; others may be named by a software."""
    if is_kind_of_software(given):
        return RANK["kind of software"]
    if "job" not in given.scraped:
        return rank
    return _NOWHERE if given.told_kind is MessengerKind.CLOUD else RANK["service"]


def _place_of_name(given: LabelSet, rank: int) -> int:
    """A name beside those of the service itself is a part's, unless the rule is about such."""
    told_of_others = given.told is not None or "namespace" in given.scraped
    return rank if told_of_others or kind_of_words(given) else RANK["container"]


def _place_of_unlisted(given: LabelSet, name: str) -> int:
    """A label that the rule's own name speaks of (`TunnelDown{tunnel=…}`) names its subject."""
    words = given.rule.words
    if name == "cluster":
        clustered = given.rule.product in _CLUSTERED or given.own.get("job") in _CLUSTERED
        return RANK["device"] if clustered else _NOWHERE
    if name in DESCRIBING or given.told_kind is MessengerKind.MACHINE:
        return _NOWHERE
    if name == "group" and "topic" in given.own:
        return RANK["queue"]
    if given.told_kind is MessengerKind.CLOUD and name not in _ACCOUNTS:
        return RANK["cloud"] if name.endswith(_RESOURCE_ENDS) else _NOWHERE
    said = name in words or name.removesuffix("name") in words or name.removesuffix("id") in words
    if not said or " " in given.own[name]:
        return _NOWHERE
    # An application's own `pool` is a part of it; a controller's or exporter's is what it keeps.
    own_part = given.told is None and not given.rule.product
    return RANK["container" if own_part else "name"]
