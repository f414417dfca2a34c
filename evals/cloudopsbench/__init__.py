"""Cloud-OpsBench: its cases, and its recorded diagnostic calls as a cluster to look at."""

from evals.cloudopsbench.cache import ToolCache
from evals.cloudopsbench.cases import Case, cases

__all__ = ["Case", "ToolCache", "cases"]
