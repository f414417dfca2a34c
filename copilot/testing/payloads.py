"""One delivery of each source as it sends it, to try the service, the parsers and the load with."""

from typing import Any

SamplePayload = dict[str, Any]
"""A foreign JSON object, before it is read."""

START = "2026-01-01T00:00:00Z"
"""When the trouble of every sample began."""


def alertmanager(**fields: Any) -> SamplePayload:
    """A notification of Alertmanager's webhook; `fields` replace those of its one alert."""
    alert = {
        "status": "firing",
        "labels": {"alertname": "HighLatency", "service": "cart", "severity": "critical"},
        "annotations": {"summary": "p99 above 2 s"},
        "startsAt": START,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
        "fingerprint": "a1b2c3d4e5f60718",
    }
    return {
        "version": "4",
        "groupKey": '{}:{alertname="HighLatency"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "copilot",
        "notification_reason": "new_alerts",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": [{**alert, **fields}],
    }


def grafana(**fields: Any) -> SamplePayload:
    alert = {
        "status": "firing",
        "labels": {"alertname": "Disk", "app": "db", "__alert_rule_uid__": "x"},
        "annotations": {"summary": "full", "__dashboardUid__": "y"},
        "startsAt": "2026-01-01T08:00:00.123456789+08:00",
        "endsAt": "0001-01-01T00:00:00Z",
        "values": {"B": 93.5, "C": 1},
        "valueString": "[ var='B' value=93.5 ]",
        "silenceURL": "https://grafana/silence",
        "imageURL": "https://grafana/image.png",
        "fingerprint": "57c6d9296de2ad39",
        "orgId": 1,
    }
    return {
        "version": "1",
        "orgId": 1,
        "title": "[FIRING:1]",
        "state": "alerting",
        "status": "firing",
        "alerts": [{**alert, **fields}],
    }


def pagerduty(action: str = "trigger", **fields: Any) -> SamplePayload:
    event = {
        "routing_key": "k" * 32,
        "event_action": action,
        "dedup_key": "cart-latency",
        "payload": {
            "summary": "cart is slow",
            "source": "host-1",
            "severity": "error",
            "timestamp": "2026-01-01T00:00:00.000+0000",
            "component": "cart",
            "custom_details": {"namespace": "shop", "load": 3.5, "nested": {"x": 1}},
        },
        "links": [{"href": "https://example.org"}],
    }
    return {**event, **fields}


def cloud_event(data: Any, **fields: Any) -> SamplePayload:
    event = {
        "specversion": "1.0",
        "id": "42",
        "source": "/monitoring/eu",
        "type": "org.example.alert.raised",
        "time": START,
        "data": data,
    }
    return {**event, **fields}
