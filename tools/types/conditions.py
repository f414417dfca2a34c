"""What must be true before a plan runs and after it ran."""

from typing import Literal

from pydantic import Field

from tools.types.base import FrozenModel

Comparison = Literal["<", "<=", "==", ">=", ">"]

Fact = str | float
"""What is known of a component: a number or a word, under the key `<fact>:<component>`."""


class Precondition(FrozenModel):
    """A fact about the component that must hold before a plan is proposed and before it runs.

    `missing` says what an unknown fact means; by default it does not hold.
    """

    fact: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    comparison: Comparison
    value: str | float
    missing: Literal["fails", "holds"] = "fails"


class MetricCheck(FrozenModel):
    """One series against a fixed bound, judged on the median over the holding time."""

    owner: str
    metric: str
    comparison: Literal["<", ">"]
    value: float


class Verification(FrozenModel):
    """What must be true of which series, for how long, within what, for a plan to have worked.

    `watch` names whose anomalous series must be normal again: the component's own (with its edges
    and versions), those at the front door, or every anomalous series of the incident.
    """

    watch: tuple[Literal["component", "entry", "all"], ...] = Field(default=("all",), min_length=1)
    ignore: tuple[str, ...] = ()
    checks: tuple[MetricCheck, ...] = ()
    hold_s: float = Field(default=60.0, ge=0, le=3600)
    within_s: float = Field(default=600.0, gt=0, le=86_400)
