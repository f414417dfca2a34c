"""Declared inhibition: which firing alerts keep which others from being told."""

from collections.abc import Sequence

from tools.clusterer.mute import Inhibition
from tools.types import Timestamp

_Key = tuple[str, ...]


class Inhibitor:
    """The firing sources of every rule, by the values both sides must share."""

    def __init__(self, rules: Sequence[Inhibition]) -> None:
        self._rules = tuple(rules)
        self._sources: list[dict[_Key, dict[str, Timestamp]]] = [{} for _ in rules]

    def fire(self, fingerprint: str, labels: dict[str, str], until: Timestamp) -> None:
        """Remember an alert as a source of the rules it matches, while it fires."""
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if rule.is_source(labels):
                sources.setdefault(rule.key(labels), {})[fingerprint] = until

    def resolve(self, fingerprint: str, labels: dict[str, str]) -> None:
        """Forget an alert that ended."""
        for rule, sources in zip(self._rules, self._sources, strict=True):
            sources.get(rule.key(labels), {}).pop(fingerprint, None)

    def source_of(self, fingerprint: str, labels: dict[str, str], now: Timestamp) -> str:
        """The fingerprint of a firing source that inhibits this label set, or ""."""
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if not rule.is_target(labels) or rule.is_source(labels):
                continue
            for source, until in sources.get(rule.key(labels), {}).items():
                if source != fingerprint and now <= until:
                    return source
        return ""

    def expire(self, now: Timestamp) -> None:
        """Drop sources nobody repeated or resolved in time."""
        for sources in self._sources:
            for key in list(sources):
                kept = {name: until for name, until in sources[key].items() if now <= until}
                if kept:
                    sources[key] = kept
                else:
                    del sources[key]
