"""Rows other people printed for the same public recordings, by system.

The authors' own methods, on both halves of each data set; BARO by its authors' scorer, measured
once on the development half.
"""

# AC@1, AC@3 (None: not reported).
PUBLISHED: dict[str, tuple[tuple[str, float, float | None], ...]] = {
    "ob": (("Nezha, published", 0.93, 0.96), ("BARO, dev half", 0.54, None)),
    "bi": (("BARO, dev half", 0.48, None),),
    "ss": (("BARO, dev half", 0.36, None),),
    "tt": (("Nezha, rerun", 0.87, 0.98), ("BARO, dev half", 0.04, None)),
    "oc": (("ChangeRCA, published", 0.88, 1.00), ("BARO, dev half", 0.19, None)),
    "ps": (("ranked corr., rerun", 0.65, 0.83), ("BARO, dev half", 0.15, None)),
}
