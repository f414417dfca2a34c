"""The live telemetry that the settings name, put in the place of what is not configured."""

from dataclasses import replace

from copilot.adapters.json_api import Address, JsonApi
from copilot.adapters.prometheus import PrometheusClient, PrometheusSource, queries
from copilot.ports import Clock
from copilot.settings import Settings
from copilot.sources import Sources


def connected(settings: Settings, clock: Clock, sources: Sources) -> Sources:
    """`sources` with the live ones of the settings; nothing is asked of any server yet."""
    if settings.prometheus_url:
        metrics = _prometheus(settings, clock)
        sources = replace(sources, metrics=metrics, graph=metrics)
    return sources


def _prometheus(settings: Settings, clock: Clock) -> PrometheusSource:
    address = Address(settings.prometheus_url, settings.prometheus_token)
    api = JsonApi("Prometheus", address, timeout_s=settings.telemetry_timeout_s)
    return PrometheusSource(
        PrometheusClient(api),
        queries(settings.prometheus_queries),
        clock,
        history_s=settings.prometheus_history_s,
        step_s=settings.prometheus_step_s,
    )
