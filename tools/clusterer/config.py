"""The clusterer's settings: one configuration for every stream."""

from typing import Literal

from pydantic import Field

from tools.types import Frozen


class ClustererConfig(Frozen):
    """How alerts are grouped; seconds throughout.

    `arm` chooses between the declared rules alone and the learned noise and similarity;
    `scope_labels` name what two alerts must share to be of one incident where they carry it.
    """

    arm: Literal["rules", "ml"] = "ml"
    scope_labels: tuple[str, ...] = ("cluster", "region", "tenant")
    gap: float = Field(default=600.0, gt=0)
    hops: int = Field(default=2, ge=0)
