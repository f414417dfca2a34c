"""An alert's labels by meaning: the subject's own, and those of the scrape that they hide."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from copilot.alerts.subjects.families import meaning_of
from copilot.alerts.subjects.messengers import Messenger, MessengerKind, messenger_of, teller
from copilot.alerts.subjects.names import AlertName

_NO_VALUES = frozenset(
    {"", "-", "none", "null", "nil", "n/a", "na", "unknown", "undefined", "<none>", "<no value>"}
)
_PLACES = frozenset({"job", "instance", "endpoint"})
_SCRAPERS = ("job", "service")


@dataclass(slots=True)
class LabelSet:
    """Values by field: `own` are the subject's, `scraped` what `exported_…` labels hide.

    `spelled` is each field's label as it was written, `ranks` its family's place (-1: no family).
    """

    rule: AlertName
    own: dict[str, str] = field(default_factory=dict)
    scraped: dict[str, str] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    told: Messenger | None = None

    @classmethod
    def of(cls, rule: AlertName, labels: Mapping[str, str]) -> "LabelSet":
        """Sort the labels by meaning; of two spellings of one field the shorter counts."""
        given = cls(rule)
        exported: set[str] = set()
        for label, text in labels.items():
            if text.lower() in _NO_VALUES:
                continue
            name, rank, was_exported = meaning_of(label)
            if was_exported and name not in exported:
                exported.add(name)
                if name in given.own:
                    given.scraped[name] = given.own[name]
            elif name in exported:
                given.scraped[name] = text
                continue
            elif name in given.own and len(given.spelled[name]) <= len(label):
                continue
            given.own[name], given.spelled[name], given.ranks[name] = text, label, rank
        given.told = teller(given.scraped, given.own)
        return given

    @property
    def told_kind(self) -> MessengerKind | None:
        """How who told labels; None where nobody told but the subject."""
        return None if self.told is None else self.told.kind

    @property
    def namespace(self) -> str:
        """The subject's namespace as far as labels say."""
        return self.own.get("namespace", "")

    @property
    def scraped_place(self) -> bool:
        """Whether labels of a scrape are left: who told may have set any other."""
        return not _PLACES.isdisjoint(self.own)

    @property
    def passed_on(self) -> bool:
        """Whether the labels of another scrape were kept under `exported_` names."""
        return not _PLACES.isdisjoint(self.scraped)

    def is_messenger(self, name: str) -> bool:
        """Whether the field names who told, and the alert is not about the telling."""
        if self.rule.telling:
            return False
        text = self.own[name]
        if messenger_of(name, text) is not None:
            return True
        # Beside `exported_…` labels stand those of who passed them on: its pod bears its name.
        return name not in self.scraped and any(
            text.startswith(self.scraped[of]) for of in _SCRAPERS if of in self.scraped
        )
