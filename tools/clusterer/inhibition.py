"""Declared inhibition: which firing alerts keep which others from being told."""

from collections.abc import Sequence
from typing import NamedTuple

from tools.clusterer.mute import Inhibition, matching_labels
from tools.types import Alert, Timestamp

_Key = tuple[str, ...]


class InhibitionSource(NamedTuple):
    """A firing alert that inhibits others, until nobody repeated it in time."""

    fingerprint: str
    name: str
    service: str
    until: Timestamp

    @property
    def said(self) -> str:
        """What a person calls it."""
        return f"{self.name} of {self.service}" if self.service else self.name


class Inhibitor:
    """The firing sources of every rule, by the values both sides must share."""

    def __init__(self, rules: Sequence[Inhibition]) -> None:
        self._rules = tuple(rules)
        self._sources: list[dict[_Key, dict[str, InhibitionSource]]] = [{} for _ in rules]

    def fire(self, alert: Alert, until: Timestamp) -> None:
        """Remember an alert as a source of the rules it matches, while it fires."""
        if not self._rules:
            return
        labels = matching_labels(alert)
        source = InhibitionSource(alert.fingerprint, alert.name, alert.service, until)
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if rule.is_source(labels):
                sources.setdefault(rule.key(labels), {})[alert.fingerprint] = source

    def resolve(self, alert: Alert) -> None:
        """Forget an alert that ended."""
        if not self._rules:
            return
        labels = matching_labels(alert)
        for rule, sources in zip(self._rules, self._sources, strict=True):
            sources.get(rule.key(labels), {}).pop(alert.fingerprint, None)

    def source_of(self, alert: Alert, now: Timestamp) -> InhibitionSource | None:
        """A firing source that inhibits this alert."""
        if not self._rules:
            return None
        labels = matching_labels(alert)
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if not rule.is_target(labels) or rule.is_source(labels):
                continue
            for source in sources.get(rule.key(labels), {}).values():
                if source.fingerprint != alert.fingerprint and now <= source.until:
                    return source
        return None

    def expire(self, now: Timestamp) -> None:
        """Drop sources nobody repeated or resolved in time."""
        for sources in self._sources:
            for key in list(sources):
                kept = {name: one for name, one in sources[key].items() if now <= one.until}
                if kept:
                    sources[key] = kept
                else:
                    del sources[key]
