"""Rows other people printed for the same public recordings, by system.

The authors' own methods, on both halves of each data set.
"""

# AC@1, AC@3 (None: not reported).
PUBLISHED: dict[str, tuple[tuple[str, float, float | None], ...]] = {
    "ob": (("Nezha, published", 0.93, 0.96),),
    "tt": (("Nezha, rerun", 0.87, 0.98),),
    "oc": (("ChangeRCA, published", 0.88, 1.00),),
    "ps": (("ranked corr., rerun", 0.65, 0.83),),
}
