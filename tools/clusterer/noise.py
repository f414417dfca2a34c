"""What the stream itself teaches about an alert: how often it fires without anything following."""

from dataclasses import dataclass, field

from tools.types import Timestamp


@dataclass
class NoiseModel:
    """Counts per fingerprint, updated by the clusterer as alerts arrive."""

    seen: dict[str, int] = field(default_factory=dict)

    def observe(self, fingerprint: str, at: Timestamp) -> None:
        """Take note of one firing."""
        self.seen[fingerprint] = self.seen.get(fingerprint, 0) + 1
