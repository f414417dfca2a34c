"""Cloud-OpsBench: its cases, and its recorded diagnostic calls as a cluster to look at."""

from evals.kubernetes.cache import ToolCache
from evals.kubernetes.cases import OpsBenchCase, cases

__all__ = ["OpsBenchCase", "ToolCache", "cases"]
