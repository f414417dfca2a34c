"""From a source's words to ours: severity, service, name, identity, links."""

import hashlib
import math
from collections.abc import Mapping

from copilot.alerts import subjects, vocabulary
from copilot.alerts.formats.fields import clean
from tools.clusterer import fingerprint
from tools.types import Severity

_SEVERITY_LABELS = ("severity", "priority", "level", "urgency", "alert_severity", "sev")


_HASHED_BYTE_BY_BYTE = 2048
_IDENTITY_LIMIT = 128
_MOST_DIGITS = 10**64


def severity(labels: Mapping[str, str], default: Severity = "warning") -> Severity:
    """The severity that the labels name, in any of the trade's usual words."""
    return severity_named(labels) or default


def severity_named(labels: Mapping[str, str]) -> Severity | None:
    """The same, or None where the labels name none that is known."""
    named = (vocabulary.severity_of(labels[one]) for one in _SEVERITY_LABELS if labels.get(one))
    return next((known for known in named if known is not None), None)


def severity_doubt(labels: Mapping[str, str]) -> str:
    """What to tell people where the labels name a severity, and none in a word that is known."""
    named = [(label, labels[label]) for label in _SEVERITY_LABELS if labels.get(label)]
    if not named or any(vocabulary.severity_of(word) for _, word in named):
        return ""
    return vocabulary.severity_note(*named[0], severity(labels))


def service(labels: Mapping[str, str]) -> str:
    """The component that the labels are about; empty for machines, volumes and nobody."""
    return subjects.component(subjects.read(labels.get("alertname", ""), labels, {}).subject)


def name(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """What to call an alert: its rule, else its summary, else that it has no name."""
    for source, keys in (
        (labels, ("alertname", "rulename", "alert", "name")),
        (annotations, ("summary", "title", "message", "description")),
    ):
        for key in keys:
            if source.get(key):
                return clean(source[key], 200)
    return "unnamed alert"


def identity(given: str, labels: Mapping[str, str]) -> str:
    """The source's own fingerprint, or Alertmanager's hash of the labels."""
    if given:
        return given if len(given) <= _IDENTITY_LIMIT else digest(given)
    if sum(map(len, labels.values())) + sum(map(len, labels)) > _HASHED_BYTE_BY_BYTE:
        return digest(*(part for pair in sorted(labels.items()) for part in pair))
    return fingerprint(labels)


def digest(*parts: str) -> str:
    """16 hex digits for parts that no Alertmanager hash exists for."""
    text = b"\xff".join(part.encode("utf-8", "replace") for part in parts)
    return hashlib.sha256(text).hexdigest()[:16]


def link(url: str) -> str:
    """The address if a person may follow it: http or https, since consoles make links of it."""
    return url[:2048] if url.startswith(("http://", "https://")) else ""


def text(given: object) -> str | None:
    """A string as it is, a number of up to 64 digits as it reads; None for anything else."""
    if isinstance(given, str):
        return given
    if isinstance(given, float) or (isinstance(given, int) and abs(given) < _MOST_DIGITS):
        return None if isinstance(given, bool) else repr(given)
    return None


def figure(given: object) -> float | None:
    """A number, also as text; None for anything else, NaN and infinities."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        value = float(given[:64]) if isinstance(given, str) else float(given)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
