"""What filled-in text names, where the labels name nobody: only well-formed names count."""

import re
from collections.abc import Mapping

from tools.types import Subject, SubjectKind

_KINDS: dict[str, SubjectKind] = {
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
_NAMED = re.compile(
    rf"\b(?P<kind>{'|'.join(_KINDS)})\s+['\"`]?"
    r"(?:(?P<namespace>[a-z0-9][a-z0-9-]{0,62})/(?P<within>[a-z0-9][a-z0-9.-]{0,252})"
    r"|(?P<name>(?=[\w.-]*\d)(?=[\w.]*-|\w*\.\w)[A-Za-z][\w.-]{1,252}))",
    re.IGNORECASE,
)
_TEXTS = ("description", "message", "summary", "title")
_READ = 400


def written_subject(annotations: Mapping[str, str]) -> tuple[str, Subject] | None:
    """The annotation that names it, and what it names; None where no text does.

    >>> written_subject({"summary": "disk full on db-3"})[1].name
    'db-3'
    >>> written_subject({"summary": "a service is slow"}) is None
    True
    """
    for annotation in _TEXTS:
        matched = _NAMED.search(annotations.get(annotation, "")[:_READ])
        if matched:
            name = (matched["within"] or matched["name"]).rstrip(".-")
            kind = _KINDS[matched["kind"].lower()]
            return annotation, Subject(kind=kind, name=name, namespace=matched["namespace"] or "")
    return None
