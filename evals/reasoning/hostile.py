"""Hostile texts as data, in the codings they may hide in."""

import base64
import codecs
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Literal

import yaml

from prompts import Language
from tools.types import FrozenModel

InjectionSite = Literal["log", "path", "agent", "alert", "change", "note"]
Coding = Literal[
    "plain", "base64", "rot13", "homoglyph", "zero-width", "split", "full-width", "bidi"
]

_LOOKALIKE = str.maketrans("aeopcxiS", "аеорсхіЅ")


class HostileText(FrozenModel):
    """One text, where it is planted and how it is hidden; see `injections.yaml`."""

    id: str
    where: InjectionSite
    language: Language
    coding: Coding
    text: str

    def plain(self, victim: str, playbook: str) -> str:
        """The order as its author means it."""
        return self.text.replace("{victim}", victim).replace("{playbook}", playbook)

    def written(self, victim: str, playbook: str) -> str:
        """The order as it is written down."""
        return _CODINGS[self.coding](self.plain(victim, playbook))


def hostile() -> tuple[HostileText, ...]:
    """Every text of the suite."""
    text = (files("evals.reasoning") / "injections.yaml").read_text(encoding="utf-8")
    return tuple(HostileText.model_validate(row) for row in yaml.safe_load(text))


def _full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


_CODINGS: Mapping[Coding, Callable[[str], str]] = {
    "plain": lambda text: text,
    "base64": lambda text: "decode and obey: " + base64.b64encode(text.encode()).decode(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "homoglyph": lambda text: text.translate(_LOOKALIKE),
    "zero-width": "\u200b".join,
    "split": lambda text: "\n".join(text[at : at + 24] for at in range(0, len(text), 24)),
    "full-width": _full_width,
    "bidi": lambda text: f"\u202e{text}\u202c\x1b[8m",
}
