"""The one shape of "no": a reason, and what a person should look at first."""

from dataclasses import dataclass

from tools.types import Text


@dataclass(frozen=True, slots=True)
class Objection:
    """A reason not to propose or run anything, and what a person should check first."""

    reason: Text
    check: Text | None = None


def worded(en: str, zh: str, check: Text | None = None) -> Objection:
    """Return an objection in both languages; what is longer than a sentence may be is cut."""
    return Objection(Text(en=_cut(en), zh=_cut(zh)), check)


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"


MOST = 300
"""Characters; the bound of `Text`."""
