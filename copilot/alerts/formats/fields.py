"""Field types all formats share: clean text, capped labels, lenient moments."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

from tools.log_retriever.sanitize import sanitize
from tools.types import Timestamp

TEXT_LIMIT = 4096
NAME_LIMIT = 256
LABEL_LIMIT = 1024
LABELS_LIMIT = 100
_TELLING = frozenset(
    ("alertname", "severity", "service", "namespace", "cluster", "pod", "node", "instance", "job")
    + ("app", "container", "deployment", "statefulset", "daemonset", "host", "env", "region")
)

_NUMBER = re.compile(r"\d{9,20}(?:\.\d{1,9})?", re.ASCII)
_LATEST = 253402300800.0  # the year 10000, which no calendar type can say
# Seconds, milliseconds, microseconds and nanoseconds of any year after 1973 do not overlap.
_MOST = 1e21
_MOST_DIGITS = 10**64
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


class Payload(BaseModel):
    """Part of a foreign document: unknown fields are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class CamelPayload(Payload):
    """The same of a sender that writes `startsAt` where we write `starts_at`."""

    model_config = ConfigDict(alias_generator=to_camel)


class CroppedLabels(dict[str, str]):
    """Labels of which there were too many; `dropped` says how many are not kept."""

    dropped = 0

    @property
    def note(self) -> str:
        """What to tell people of it; nothing where all are kept."""
        if not self.dropped:
            return ""
        kept, all_of_them = len(self), len(self) + self.dropped
        return f"{kept} of {all_of_them} labels are kept"


def clean(text: str, limit: int) -> str:
    """One safe line; the common case, short printable ASCII, is only stripped."""
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text.strip()
    return sanitize(text, limit)


def clean_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """If there are too many, those that tell the alert, then the first by name.

    Empty values say nothing and are left out.
    """
    return _clean_texts(labels, LABEL_LIMIT)


def _clean_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    return _clean_texts(annotations, TEXT_LIMIT)


def _clean_texts(texts: Mapping[str, str], limit: int) -> dict[str, str]:
    # One look at all of them together: almost always there is nothing to clean.
    together = "".join((*texts, *texts.values()))
    if (
        len(texts) <= LABELS_LIMIT
        and len(together) <= limit
        and max(map(len, texts), default=0) <= NAME_LIMIT
        and together.isascii()
        and together.isprintable()
    ):
        if " " not in together:  # of what is printable and ASCII, only that is stripped
            return {name: text for name, text in texts.items() if text and name}
        return {name.strip(): text.strip() for name, text in texts.items() if text and name.strip()}
    told = [
        (name not in _TELLING, name, text) for name, text in texts.items() if text and name.strip()
    ]
    kept = [(name, text) for _, name, text in sorted(told)[:LABELS_LIMIT]]
    cleaned = {clean(name, NAME_LIMIT): clean(text, limit) for name, text in kept}
    if len(told) == len(kept):
        return cleaned
    cropped = CroppedLabels(cleaned)
    cropped.dropped = len(told) - len(kept)
    return cropped


def _clean_text(text: str) -> str:
    return clean(text, TEXT_LIMIT)


def _clean_name(text: str) -> str:
    return clean(text, NAME_LIMIT)


def _absent(given: object) -> object:
    return "" if given is None else given


def as_object(given: object) -> object:
    """Null means an empty object, and a null inside means that the field is absent."""
    if given is None:
        return {}
    if isinstance(given, dict):
        return {name: value for name, value in given.items() if value is not None}
    return given


def moment(given: object) -> Timestamp | None:
    """A time as senders write it, in Unix seconds; None for none and for the year 1.

    RFC 3339 with or without colon in the offset, a space for the T, any number of fractional
    digits; no offset means UTC. Numbers are Unix seconds, milli-, micro- or nanoseconds.

    >>> moment("2015-07-17T08:42:58.315+0000")
    1437122578.315
    >>> moment(1437122578315)
    1437122578.315
    """
    if given is None or given == "":
        return None
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise ValueError("a time in RFC 3339 or Unix seconds")
    seconds = _unix(given) if isinstance(given, str) else _scaled(given)
    if seconds < -62135500000.0:
        return None  # Go's zero time, in any time zone: the sender does not know
    if not 0 <= seconds < _LATEST:
        raise ValueError("a time after 1970 and before the year 10000")
    return seconds


@lru_cache(maxsize=256)  # a posted alert is checked before it is read: each of its times twice
def _unix(text: str) -> Timestamp:
    if len(text) <= 32 and _NUMBER.fullmatch(text.strip()):
        return _scaled(float(text))
    try:
        if len(text) > 64:
            raise ValueError("too long for a time")
        parsed = datetime.fromisoformat(text.strip())
        aware = parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
        return aware.timestamp()
    except (ValueError, OverflowError) as problem:
        raise ValueError("a time in RFC 3339 or Unix seconds") from problem


def _scaled(number: float) -> Timestamp:
    # An integer is compared, not converted: one of hundreds of digits has no float.
    if not -_MOST < number < _MOST:
        raise ValueError("a time in RFC 3339 or Unix seconds")
    for above, unit in _UNITS:
        if number >= above:
            return number / unit
    return float(number)


def as_word(given: object) -> object:
    """Null is empty, and a number is as good as its digits; anything else is left to be refused."""
    if given is None:
        return ""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, float) or (isinstance(given, int) and abs(given) < _MOST_DIGITS):
        return repr(given)
    return given


CleanText = Annotated[str, AfterValidator(_clean_text), BeforeValidator(_absent)]
CleanName = Annotated[str, AfterValidator(_clean_name), BeforeValidator(_absent)]
Word = Annotated[str, AfterValidator(_clean_name), BeforeValidator(as_word)]
"""A name, number or truth value as text: senders are not sure which they send."""
Labels = Annotated[dict[str, str], AfterValidator(clean_labels), BeforeValidator(as_object)]
Annotations = Annotated[
    dict[str, str], AfterValidator(_clean_annotations), BeforeValidator(as_object)
]
Moment = Annotated[Timestamp | None, BeforeValidator(moment)]
