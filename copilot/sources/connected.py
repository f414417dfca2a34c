"""The live telemetry that the settings name, put in the place of what is not configured."""

import os
from dataclasses import replace
from typing import TypeVar

from copilot.ports import Clock, LogSource, MetricSource, TopologySource
from copilot.settings import Settings, SettingsError
from copilot.sources import business_metrics
from copilot.sources.alertmanager import AlertmanagerSource
from copilot.sources.business_metrics import BusinessMetrics
from copilot.sources.catalogue import read_catalogue
from copilot.sources.changes import repositories
from copilot.sources.changes.repositories import ForgeAddress, StoredChanges
from copilot.sources.deployment import Sources, UnconfiguredSource
from copilot.sources.elasticsearch import Documents, ElasticsearchSource
from copilot.sources.facts import ConfiguredFacts, from_file, from_url
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.log_slices import Bounds
from copilot.sources.loki import LokiSource, Selector
from copilot.sources.looks.wiring import declared_looks
from copilot.sources.merged import MergedChanges, MergedMetrics, MergedTopology
from copilot.sources.patience import Patience, SharedAnswers
from copilot.sources.prometheus import PrometheusClient, PrometheusSource, queries
from copilot.sources.received import ReceivedTelemetry
from copilot.sources.resources import STEP_S, kind_of
from copilot.sources.traces import SampledTraces
from copilot.sources.traces.jaeger import JaegerStore
from copilot.sources.traces.tempo import TempoStore
from copilot.sources.traces.trace_store import MOST_ANSWER, TraceStore
from copilot.types.trace_settings import TraceSettings

SourceT = TypeVar("SourceT")

GRAPH_S = 1.0
"""A service waits no longer for the call graph: it starts without, and goes by the last one."""


def connected(
    settings: Settings, clock: Clock, sources: Sources, received: ReceivedTelemetry | None = None
) -> Sources:
    """`sources` with the live ones of the settings; nothing is asked of any server yet."""
    metrics = _prometheus(settings, clock) if settings.prometheus_url else None
    traces = _traces(settings, clock, settings.telemetry_timeout_s)
    told: list[TopologySource] = [one for one in (received, traces, metrics) if one is not None]
    if settings.bundle is None:
        patience = Patience(settings.gather_s)
        sources = replace(sources, patience=patience, shared=SharedAnswers())
    return replace(
        sources,
        graph_s=GRAPH_S if received is not None else None,
        metrics=_unless(sources.metrics, _measured(metrics, received)),
        logs=_unless(sources.logs, _logs(settings, clock) or received),
        traces=_unless(sources.traces, traces or received),
        graph=_unless(sources.graph, MergedTopology(told) if told else None),
        configuration=_unless(sources.configuration, _facts(settings)),
        business=_unless(sources.business, _business(settings)),
    )


def with_changes(
    settings: Settings, clock: Clock, sources: Sources, stored: StoredChanges
) -> Sources:
    """`sources` with the changes that are posted to a service, and the commits they brought."""
    github = (
        ForgeAddress(settings.github_url, settings.github_token) if settings.github_token else None
    )
    gitlab = (
        ForgeAddress(settings.gitlab_url, settings.gitlab_token) if settings.gitlab_token else None
    )
    repository = repositories.connected(stored, clock, settings.forge_s, github, gitlab)
    merged = MergedChanges(stored, repository, sources.cluster)
    return replace(
        sources,
        changes=_unless(sources.changes, merged),
        repository=_unless(sources.repository, merged),
    )


def with_declared(settings: Settings, sources: Sources) -> Sources:
    """`sources` with what files declare: further looks, and the owners of services.

    The call graph is the catalogue's where there is none.
    """
    if settings.looks_file is not None:
        sources = replace(sources, looks=declared_looks(settings.looks_file, os.environ))
    if settings.catalogue is not None:
        catalogue = read_catalogue(settings.catalogue)
        sources = replace(sources, owners=catalogue, graph=_unless(sources.graph, catalogue))
    return sources


def alertmanager(settings: Settings, clock: Clock) -> AlertmanagerSource | None:
    """The Alertmanager of the settings, if they name one."""
    if not settings.alertmanager_url:
        return None
    address = ApiEndpoint(settings.alertmanager_url, settings.alertmanager_token)
    return AlertmanagerSource(_api(settings, "Alertmanager", address), clock)


def _measured(
    scraped: MetricSource | None, received: ReceivedTelemetry | None
) -> MetricSource | None:
    """Both where there are both; what Prometheus tells has the first word."""
    if scraped is None or received is None:
        return scraped or received
    return MergedMetrics(scraped, received)


def _unless(configured: SourceT, live: SourceT | None) -> SourceT:
    """What is configured stays, and what nobody named stays not configured."""
    return live if live is not None and isinstance(configured, UnconfiguredSource) else configured


def _api(settings: Settings, name: str, address: ApiEndpoint) -> JsonApi:
    return JsonApi(name, address, timeout_s=settings.telemetry_timeout_s)


def _prometheus(settings: Settings, clock: Clock) -> PrometheusSource:
    address = ApiEndpoint(settings.prometheus_url, settings.prometheus_token)
    return PrometheusSource(
        PrometheusClient(_api(settings, "Prometheus", address)),
        queries(settings.prometheus_queries),
        clock,
        history_s=settings.prometheus_history_s,
        step_s=settings.prometheus_step_s,
    )


def resources(settings: Settings, clock: Clock) -> tuple[PrometheusSource, PrometheusClient]:
    """The queries of resources with a limit alone, in coarse steps; and the server."""
    address = ApiEndpoint(settings.prometheus_url, settings.prometheus_token)
    client = PrometheusClient(_api(settings, "Prometheus", address))
    limited = [one for one in queries(settings.prometheus_queries) if kind_of(one.metric)]
    return PrometheusSource(client, limited, clock, step_s=STEP_S), client


def _logs(settings: Settings, clock: Clock) -> LogSource | None:
    if settings.loki_url and settings.elasticsearch_url:
        raise SettingsError("loki_url and elasticsearch_url are both set; logs have one source")
    bounds = Bounds(settings.logs_history_s, settings.logs_most_lines)
    if settings.loki_url:
        tenant = {"X-Scope-OrgID": settings.loki_tenant} if settings.loki_tenant else None
        address = ApiEndpoint(settings.loki_url, settings.loki_token, headers=tenant)
        selector = Selector(settings.loki_service_label, settings.loki_match)
        return LokiSource(_api(settings, "Loki", address), selector, clock, bounds)
    if settings.elasticsearch_url:
        documents = Documents(settings.elasticsearch_index, terms=settings.elasticsearch_match)
        api = _api(settings, "Elasticsearch", _elasticsearch(settings))
        return ElasticsearchSource(api, documents, clock, bounds)
    return None


def _traces(settings: TraceSettings, clock: Clock, timeout_s: float) -> SampledTraces | None:
    if settings.tempo_url and settings.jaeger_url:
        raise SettingsError("tempo_url and jaeger_url are both set; traces have one source")
    if settings.tempo_url:
        tenant = {"X-Scope-OrgID": settings.tempo_tenant} if settings.tempo_tenant else None
        address = ApiEndpoint(
            settings.tempo_url,
            settings.tempo_token,
            user=settings.tempo_user,
            password=settings.tempo_password,
            headers=tenant,
        )
        store: TraceStore = TempoStore(
            JsonApi("Tempo", address, timeout_s=timeout_s, most_bytes=MOST_ANSWER)
        )
    elif settings.jaeger_url:
        address = ApiEndpoint(
            settings.jaeger_url,
            settings.jaeger_token,
            user=settings.jaeger_user,
            password=settings.jaeger_password,
        )
        store = JaegerStore(JsonApi("Jaeger", address, timeout_s=timeout_s, most_bytes=MOST_ANSWER))
    else:
        return None
    return SampledTraces(store, clock, most_traces=settings.traces_most)


def _elasticsearch(settings: Settings) -> ApiEndpoint:
    return ApiEndpoint(
        settings.elasticsearch_url,
        settings.elasticsearch_api_key,
        scheme="ApiKey",
        user=settings.elasticsearch_user,
        password=settings.elasticsearch_password,
    )


def _business(settings: Settings) -> BusinessMetrics | None:
    if settings.business_file is None:
        return None
    address = ApiEndpoint(settings.prometheus_url, settings.prometheus_token)
    named = settings.prometheus_url
    client = PrometheusClient(_api(settings, "Prometheus", address)) if named else None
    return business_metrics.declared(settings.business_file, os.environ, client)


def _facts(settings: Settings) -> ConfiguredFacts | None:
    if settings.facts_url and settings.facts_file is not None:
        raise SettingsError("facts_url and facts_file are both set; facts have one source")
    if settings.facts_url:
        address = ApiEndpoint(settings.facts_url, settings.facts_token)
        return from_url(_api(settings, "facts", address))
    return None if settings.facts_file is None else from_file(settings.facts_file)
