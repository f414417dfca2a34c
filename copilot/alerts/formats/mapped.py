"""Alerts of any other sender, by a mapping that the operator declares in one strict TOML file.

[[mapping]]                          # POST /webhooks/mapped/backups
name = "backups"
match = "kind == 'backup.report'"    # left out: every document; else it has to hold
each = "runs"                        # a list, one alert each; left out: the document is one

[mapping.fields]                     # JMESPath (jmespath.org), read from one alert
name = "join(' ', ['backup', job])"  # the only field that there has to be
state = "outcome"
severity = "grade"
service = "app"
starts_at = "began"
ends_at = "finished"
fingerprint = "job"                  # left out: a hash of the labels and the name
labels = "{job: job, host: machine.name}"
annotations = "{summary: report}"

[mapping.states]                     # words that are not among those everybody knows
broken = "firing"                    # firing, resolved, acknowledged or no_data
done = "resolved"

[mapping.severities]
bad = "critical"                     # critical, high, warning, info or low
"""

from pathlib import Path
from typing import Self

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import Field, field_validator, model_validator

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import NAME_LIMIT, TEXT_LIMIT, clean, clean_labels, moment
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import as_pairs
from copilot.types import strict_toml
from tools.types import Alert, AlertStatus, FrozenModel, Severity, Timestamp


class MappingsFileError(strict_toml.FileError):
    """The file of mappings is wrong; the message says in which file, at which key, and what."""

    setting = "alert_mappings_file"


def _compiles(expression: str) -> str:
    try:
        if expression:
            jmespath.compile(expression)
    except JMESPathError as problem:
        said = " ".join(str(problem).split())
        raise ValueError(f"is no JMESPath expression: {said}") from problem
    return expression


class MappingFields(FrozenModel):
    """Where each field of an alert is found."""

    name: str = Field(min_length=1)
    state: str = ""
    severity: str = ""
    service: str = ""
    starts_at: str = ""
    ends_at: str = ""
    fingerprint: str = ""
    labels: str = ""
    annotations: str = ""

    @field_validator("*")
    @classmethod
    def _expressions(cls, expression: str) -> str:
        return _compiles(expression)


class AlertMapping(FrozenModel):
    """How the documents of one sender are read."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    match: str = ""
    each: str = ""
    fields: MappingFields
    states: dict[str, AlertStatus] = Field(default_factory=dict)
    severities: dict[str, Severity] = Field(default_factory=dict)

    @field_validator("match", "each")
    @classmethod
    def _expressions(cls, expression: str) -> str:
        return _compiles(expression)

    def read(self, document: object, now: Timestamp) -> tuple[Alert, ...]:
        """The alerts of a document; one that the mapping is not for is refused."""
        if self.match and not _found(self.match, document, "match"):
            raise PayloadError("", f"a document of which {self.match!r} is true ({self.name})")
        items = _found(self.each, document, "each") if self.each else [document]
        if not isinstance(items, list):
            raise PayloadError("", f"a list under {self.each!r} ({self.name})", items)
        read = (self._alert(item, f"[{place}]", now) for place, item in enumerate(items))
        return tuple(alert for alert in read if alert is not None)

    def _alert(self, item: object, path: str, now: Timestamp) -> Alert | None:
        fields = self.fields
        name = _text(fields.name, item, f"{path}.name")
        if not name:
            raise PayloadError(f"{path}.name", f"a text under {fields.name!r} ({self.name})")
        ended = _moment(fields.ends_at, item, f"{path}.ends_at")
        state = self._state(item, path, ended=ended is not None and ended <= now)
        if state.state == "quiet":
            return None
        grade = _text(fields.severity, item, f"{path}.severity")
        severity = self.severities.get(grade) or vocabulary.severity_of(grade)
        doubt = (
            vocabulary.severity_note("severity", grade, "warning")
            if grade and severity is None
            else ""
        )
        labels = clean_labels(_pairs(fields.labels, item, f"{path}.labels"))
        service = _text(fields.service, item, f"{path}.service") or meaning.service(labels)
        key = _text(fields.fingerprint, item, f"{path}.fingerprint")
        told_apart = clean_labels({"alertname": name, "service": service, **labels})
        began = _moment(fields.starts_at, item, f"{path}.starts_at")
        return normalised(
            labels,
            _pairs(fields.annotations, item, f"{path}.annotations"),
            status=state.state,
            starts_at=now if began is None else began,
            ends_at=now if ended is None else ended,
            source=self.name,
            fingerprint=meaning.digest(self.name, key or meaning.identity("", told_apart)),
            name=name[:200],
            severity=severity,
            service=service,
            note="; ".join(note for note in (state.note, doubt) if note),
        )

    def _state(self, item: object, path: str, *, ended: bool) -> vocabulary.StateReading:
        word = _text(self.fields.state, item, f"{path}.state")
        if word in self.states:
            return vocabulary.StateReading(self.states[word])
        return vocabulary.read_state("state", word, otherwise="resolved" if ended else "firing")


class MappingsFile(FrozenModel):
    """The file, read."""

    mapping: tuple[AlertMapping, ...] = ()

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [one.name for one in self.mapping]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two mappings are named {name!r}; each has a route of its own")
        return self

    def named(self, name: str) -> AlertMapping | None:
        """The mapping of a route."""
        return next((one for one in self.mapping if one.name == name), None)


def read(path: Path | None) -> MappingsFile:
    """The declared mappings; none without a file."""
    if path is None:
        return MappingsFile()
    return strict_toml.read(path, MappingsFile, MappingsFileError)


def _found(expression: str, item: object, path: str) -> object:
    try:
        found: object = jmespath.search(expression, item)
    except (JMESPathError, RecursionError, TypeError, OverflowError) as problem:
        said = clean(" ".join(str(problem).split()), 200)
        raise PayloadError(path, f"what {expression!r} can read: {said}") from problem
    return found


def _text(expression: str, item: object, path: str) -> str:
    found = _found(expression, item, path) if expression else None
    if found is None:
        return ""
    text = ("true" if found else "false") if isinstance(found, bool) else meaning.text(found)
    if text is None:
        raise PayloadError(path, "a string or a number", found)
    return clean(text, NAME_LIMIT)


def _moment(expression: str, item: object, path: str) -> Timestamp | None:
    found = _found(expression, item, path) if expression else None
    try:
        return moment(found)
    except ValueError as problem:
        raise PayloadError(path, str(problem), found) from problem


def _pairs(expression: str, item: object, path: str) -> dict[str, str]:
    found = _found(expression, item, path) if expression else None
    try:
        return {name: clean(text, TEXT_LIMIT) for name, text in as_pairs(found).items()}
    except ValueError as problem:
        raise PayloadError(path, str(problem), found) from problem
