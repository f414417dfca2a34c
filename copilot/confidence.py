"""A probability in the three words a person reads."""

from copilot.incident import Confidence

HIGH, MEDIUM = 0.75, 0.45
"""Lower bounds; an abstained ranking is never more than `low`."""


def in_words(probability: float, abstained: bool = False) -> Confidence:
    """`high`, `medium` or `low`."""
    if abstained or probability < MEDIUM:
        return "low"
    return "high" if probability >= HIGH else "medium"
