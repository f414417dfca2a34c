"""The live telemetry that the settings name, put in the place of what is not configured."""

from dataclasses import replace
from typing import TypeVar

from pydantic import SecretStr

from copilot.adapters.alertmanager import AlertmanagerSource
from copilot.adapters.facts import ToldFacts, from_file, from_url
from copilot.adapters.json_api import Address, JsonApi
from copilot.adapters.prometheus import PrometheusClient, PrometheusSource, queries
from copilot.ports import Clock, TopologySource
from copilot.received import Received
from copilot.settings import Settings, SettingsError
from copilot.sources import NotConfigured, Sources
from copilot.topologies import Joined

Source = TypeVar("Source")


def connected(
    settings: Settings, clock: Clock, sources: Sources, received: Received | None = None
) -> Sources:
    """`sources` with the live ones of the settings; nothing is asked of any server yet."""
    metrics = _prometheus(settings, clock) if settings.prometheus_url else None
    told: list[TopologySource] = [one for one in (received, metrics) if one is not None]
    return replace(
        sources,
        metrics=_unless(sources.metrics, metrics),
        logs=_unless(sources.logs, received),
        traces=_unless(sources.traces, received),
        graph=_unless(sources.graph, Joined(told) if told else None),
        configuration=_unless(sources.configuration, _facts(settings)),
    )


def alertmanager(settings: Settings, clock: Clock) -> AlertmanagerSource | None:
    """The Alertmanager of the settings, if they name one."""
    if not settings.alertmanager_url:
        return None
    api = _api(settings, "Alertmanager", settings.alertmanager_url, settings.alertmanager_token)
    return AlertmanagerSource(api, clock)


def _unless(configured: Source, live: Source | None) -> Source:
    """What is configured stays, and what nobody named stays not configured."""
    return live if live is not None and isinstance(configured, NotConfigured) else configured


def _api(settings: Settings, name: str, url: str, token: SecretStr | None) -> JsonApi:
    return JsonApi(name, Address(url, token), timeout_s=settings.telemetry_timeout_s)


def _prometheus(settings: Settings, clock: Clock) -> PrometheusSource:
    api = _api(settings, "Prometheus", settings.prometheus_url, settings.prometheus_token)
    return PrometheusSource(
        PrometheusClient(api),
        queries(settings.prometheus_queries),
        clock,
        history_s=settings.prometheus_history_s,
        step_s=settings.prometheus_step_s,
    )


def _facts(settings: Settings) -> ToldFacts | None:
    if settings.facts_url and settings.facts_file is not None:
        raise SettingsError("facts_url and facts_file are both set; facts have one source")
    if settings.facts_url:
        return from_url(_api(settings, "facts", settings.facts_url, settings.facts_token))
    return None if settings.facts_file is None else from_file(settings.facts_file)
