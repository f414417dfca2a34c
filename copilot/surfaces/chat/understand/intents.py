"""What a question wants, by rules: words and phrases in English and Chinese, in `intents.yaml`."""

import re
from functools import cache
from importlib import resources
from typing import Literal

import yaml

from tools.types import FrozenModel

Intent = Literal[
    "approve",  # wants something decided or run: not here
    "help",
    "why_not",
    "cause",
    "changes",
    "health",
    "logs",
    "timeline",
    "alerts",
    "compare",
    "plan",
    "knowledge",
    "clocks",
    "incidents",
    "topology",
    "metrics",
    "cluster",
    "status",
]

MOST_INTENTS = 3


class IntentRule(FrozenModel):
    """How an intent is said in each language, and which others it says more precisely."""

    en: tuple[str, ...]
    zh: tuple[str, ...]
    hides: frozenset[Intent] = frozenset()

    @property
    def pattern(self) -> re.Pattern[str]:
        """Any of the phrases."""
        return re.compile("|".join((*self.en, *self.zh)), re.IGNORECASE)


@cache
def rules() -> dict[Intent, tuple[re.Pattern[str], frozenset[Intent]]]:
    """The rules that ship, in the order of the file."""
    path = resources.files("copilot.surfaces.chat.understand") / "intents.yaml"
    read: dict[Intent, object] = yaml.safe_load(path.read_text(encoding="utf-8"))
    parsed = {intent: IntentRule.model_validate(rule) for intent, rule in read.items()}
    return {intent: (rule.pattern, rule.hides) for intent, rule in parsed.items()}


def intents(question: str) -> tuple[Intent, ...]:
    """What the question wants, in the order of the rules, three at most; empty: not understood.

    >>> intents("what changed before 14:02?")
    ('changes',)
    >>> intents("和上次有什么不同?")
    ('compare',)
    >>> intents("lorem ipsum")
    ()
    """
    found = [intent for intent, (pattern, _) in rules().items() if pattern.search(question)]
    hidden = frozenset(other for one in found for other in rules()[one][1])
    return tuple(one for one in found if one not in hidden)[:MOST_INTENTS]
