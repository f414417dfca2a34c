"""Prometheus and what speaks its API: series, baseline, and the call graph its metrics tell of."""

from copilot.sources.prometheus.client import PrometheusClient, Vector
from copilot.sources.prometheus.matchers import QueryMatcher
from copilot.sources.prometheus.promql import Query, QueryError
from copilot.sources.prometheus.queries import queries
from copilot.sources.prometheus.source import PrometheusSource

__all__ = [
    "QueryMatcher",
    "PrometheusClient",
    "PrometheusSource",
    "Query",
    "QueryError",
    "Vector",
    "queries",
]
