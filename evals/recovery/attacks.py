"""Every attack of the adversarial suite, in one place for the suite and for the tests."""

from evals.recovery.attack import Attack
from evals.recovery.contested import contested_attacks
from evals.recovery.forged import forged_attacks
from evals.recovery.hostile import parameter_attacks


def attacks() -> tuple[Attack, ...]:
    """All of them; each must be refused with no step run."""
    return (*parameter_attacks(), *forged_attacks(), *contested_attacks())
