"""Prometheus and what speaks its API: series, baseline, and the call graph its metrics tell of."""

from copilot.adapters.prometheus.client import PrometheusClient, Vector
from copilot.adapters.prometheus.promql import Matcher, Query, QueryError
from copilot.adapters.prometheus.queries import queries
from copilot.adapters.prometheus.source import PrometheusSource

__all__ = [
    "Matcher",
    "PrometheusClient",
    "PrometheusSource",
    "Query",
    "QueryError",
    "Vector",
    "queries",
]
