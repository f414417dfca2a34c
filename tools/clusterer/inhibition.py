"""Declared inhibition: which firing alerts keep which others from being told."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tools.clusterer.mute import Inhibition, matching_labels
from tools.types import Alert, Timestamp

_Key = tuple[str, ...]


class InhibitionSource(NamedTuple):
    """A firing alert that inhibits others, until its lease runs out or nobody repeats it.

    `two_sided`: it matches the target side of its rule, too.
    """

    fingerprint: str
    name: str
    about: str
    until: Timestamp
    two_sided: bool = False

    @property
    def said(self) -> str:
        """What a person calls it."""
        return f"{self.name} of {self.about}" if self.about else self.name


class Inhibitor:
    """The firing sources of every rule, by the values both sides must share."""

    def __init__(self, rules: Sequence[Inhibition]) -> None:
        self._rules = tuple(rules)
        self._sources: list[dict[_Key, dict[str, InhibitionSource]]] = [{} for _ in rules]

    def fire(self, alert: Alert, until: Timestamp) -> None:
        """Remember an alert as a source of the rules it matches; firing again renews `until`."""
        if not self._rules:
            return
        labels = matching_labels(alert)
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if rule.is_source(labels):
                about = alert.subject.shown or alert.service
                sources.setdefault(rule.key(labels), {})[alert.fingerprint] = InhibitionSource(
                    alert.fingerprint, alert.name, about, until, rule.is_target(labels)
                )

    def resolve(self, alert: Alert) -> None:
        """Forget an alert that ended."""
        if not self._rules:
            return
        labels = matching_labels(alert)
        for rule, sources in zip(self._rules, self._sources, strict=True):
            sources.get(rule.key(labels), {}).pop(alert.fingerprint, None)

    def sources_of(self, alert: Alert, now: Timestamp) -> Iterator[InhibitionSource]:
        """The firing sources that inhibit this alert, rule by rule."""
        if not self._rules:
            return
        labels = matching_labels(alert)
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if not rule.is_target(labels):
                continue
            both = rule.is_source(labels)
            for source in sources.get(rule.key(labels), {}).values():
                itself = source.fingerprint == alert.fingerprint
                if now <= source.until and not itself and not (both and source.two_sided):
                    yield source

    def source_of(self, alert: Alert, now: Timestamp) -> InhibitionSource | None:
        """The first of `sources_of`."""
        return next(self.sources_of(alert, now), None)

    def expire(self, now: Timestamp) -> None:
        """Drop sources whose time ran out."""
        for sources in self._sources:
            for key in list(sources):
                kept = {name: one for name, one in sources[key].items() if now <= one.until}
                if kept:
                    sources[key] = kept
                else:
                    del sources[key]
