"""How sure to sound: whether instruments, retrieval and model agree; computed, never asked for."""

from collections.abc import Sequence

from copilot.confidence import in_words
from copilot.incident import Confidence, Opinion, Remembered
from tools.types import Ranking

_STEPS: tuple[Confidence, ...] = ("low", "medium", "high")


def agreed(ranking: Ranking, recalled: Sequence[Remembered], opinion: Opinion | None) -> Confidence:
    """The word for the leading candidate.

    The instruments' probability says where it begins. A model that holds another component for the
    cause, and cites something measured there, takes one step off. A model that agrees adds one only
    if a trusted document about the located cause fits the symptoms as well. Where the instruments
    abstain nothing lifts it.
    """
    if not ranking.candidates:
        return "low"
    word = in_words(ranking.candidates[0].probability, ranking.abstained)
    if ranking.abstained or opinion is None or not opinion.hypotheses:
        return word
    if not opinion.agrees:
        if not opinion.measured:
            return word
        return _STEPS[max(0, _STEPS.index(word) - 1)]
    fits = any(
        one.agreement == "symptoms and cause" and one.trust != "unreviewed" for one in recalled
    )
    return _STEPS[min(2, _STEPS.index(word) + 1)] if fits else word
