"""What alert sources send becomes alerts."""

import base64
import json
from typing import Any

import pytest

from copilot.alerts.formats import parse
from copilot.alerts.formats.fields import moment
from copilot.testing.payloads import START, alertmanager, cloud_event, grafana, pagerduty
from tools.clusterer import fingerprint
from tools.types import Alert, Subject

NOW = 1_767_225_700.0  # 2026-01-01T00:01:40Z
STARTED = 1_767_225_600.0

Document = Any


def one(document: Document, headers: dict[str, str] | None = None) -> Alert:
    (alert,) = parse(json.dumps(document).encode(), "auto", headers or {}, NOW)
    return alert


# --- the formats -------------------------------------------------------------------------------


def test_an_alertmanager_notification_becomes_its_alerts() -> None:
    assert one(alertmanager()) == Alert(
        fingerprint="a1b2c3d4e5f60718",
        name="HighLatency",
        status="firing",
        severity="critical",
        service="cart",
        subject=Subject(kind="service", name="cart"),
        why="label service",
        starts_at=STARTED,
        ends_at=None,
        labels={"alertname": "HighLatency", "service": "cart", "severity": "critical"},
        annotations={"summary": "p99 above 2 s"},
        source="alertmanager",
        generator_url="http://prometheus:9090/graph?g0.expr=x",
    )


def test_a_resolved_alert_has_its_end() -> None:
    alert = one(alertmanager(status="resolved", endsAt="2026-01-01T00:01:00Z"))
    assert (alert.status, alert.ends_at) == ("resolved", STARTED + 60)


def test_without_a_fingerprint_it_is_the_one_alertmanager_would_print() -> None:
    alert = one(alertmanager(fingerprint=None))
    assert alert.fingerprint == fingerprint(alert.labels)


@pytest.mark.parametrize(
    ("ends_at", "status"),
    [
        (None, "firing"),
        ("2026-01-01T00:05:00Z", "firing"),
        ("2026-01-01T00:01:40Z", "resolved"),
        ("2026-01-01T00:01:00Z", "resolved"),
        ("0001-01-01T00:00:00Z", "firing"),
    ],
)
def test_what_prometheus_posts_is_resolved_once_its_end_is_past(
    ends_at: str | None, status: str
) -> None:
    alert = one([{"labels": {"alertname": "A", "job": "cart"}, "endsAt": ends_at}])
    assert (alert.status, alert.starts_at, alert.service) == (status, NOW, "cart")


def test_an_end_to_come_is_a_lease_and_a_notification_has_none() -> None:
    posted = one([{"labels": {"alertname": "A"}, "endsAt": "2026-01-01T00:06:00Z"}])
    ended = one([{"labels": {"alertname": "A"}, "endsAt": "2026-01-01T00:01:00Z"}])
    assert (posted.status, posted.lease, posted.ends_at) == ("firing", STARTED + 360, None)
    assert (ended.status, ended.lease, ended.ends_at) == ("resolved", None, STARTED + 60)
    assert one(alertmanager(endsAt="2026-01-01T00:06:00Z")).lease is None


def test_a_grafana_alert_keeps_no_private_labels_and_has_a_value() -> None:
    alert = one(grafana())
    assert alert.labels == {"alertname": "Disk", "app": "db"}
    assert alert.annotations == {"summary": "full"}
    assert (alert.source, alert.service, alert.value) == ("grafana", "db", 93.5)
    assert alert.starts_at == pytest.approx(STARTED + 0.123456)


@pytest.mark.parametrize("values", [None, {}, {"B": None, "C": "NaN"}, {"B": "[no value]"}])
def test_grafana_values_that_are_no_numbers_are_no_value(values: Document) -> None:
    assert one(grafana(values=values)).value is None


@pytest.mark.parametrize("name", ["DatasourceNoData", "DatasourceError"])
def test_grafana_without_data_is_a_fault_of_monitoring_not_of_the_service(name: str) -> None:
    labels = {"alertname": name, "rulename": "Disk"}
    assert one(grafana(labels=labels)).status == "no_data"
    assert one(grafana(labels=labels, status="resolved")).status == "resolved"


def test_the_three_pagerduty_events_are_about_one_alert() -> None:
    trigger, acknowledge, resolve = (
        one(pagerduty(action)) for action in ("trigger", "acknowledge", "resolve")
    )
    assert [a.status for a in (trigger, acknowledge, resolve)] == [
        "firing", "acknowledged", "resolved"
    ]  # fmt: skip
    assert len({a.fingerprint for a in (trigger, acknowledge, resolve)}) == 1
    assert (trigger.name, trigger.severity, trigger.service) == ("cart is slow", "high", "cart")
    assert trigger.starts_at == STARTED
    assert trigger.labels["load"] == "3.5"
    assert "nested" not in trigger.labels


def test_a_pagerduty_resolution_needs_only_its_key() -> None:
    alert = one({"routing_key": "k" * 32, "event_action": "resolve", "dedup_key": "cart-latency"})
    assert alert.fingerprint == one(pagerduty()).fingerprint
    assert "k" * 32 not in alert.model_dump_json()


def test_the_same_key_from_two_pagerduty_services_is_two_alerts() -> None:
    assert one(pagerduty()).fingerprint != one(pagerduty(routing_key="j" * 32)).fingerprint


def test_a_cloud_event_is_unwrapped_and_its_content_recognised() -> None:
    wrapped = one(cloud_event(alertmanager()))
    assert wrapped == one(alertmanager())
    encoded = base64.b64encode(json.dumps(alertmanager()).encode()).decode()
    assert one(cloud_event(None, data_base64=encoded)) == wrapped


def test_a_cloud_event_of_its_own_kind_is_an_alert_of_its_type() -> None:
    alert = one(cloud_event({"host": "h1", "severity": "P1", "status": "open"}))
    assert (alert.name, alert.severity, alert.status) == (
        "org.example.alert.raised", "critical", "firing"
    )  # fmt: skip
    assert alert.starts_at == STARTED
    assert alert.labels["source"] == "/monitoring/eu"


def test_cloud_events_come_in_batches_and_in_headers_too() -> None:
    batch = [cloud_event(alertmanager()), cloud_event({"title": "b"}, id="43")]
    alerts = parse(json.dumps(batch).encode(), "cloudevents", {}, NOW)
    assert [a.name for a in alerts] == ["HighLatency", "b"]
    headers = {
        "Ce-Specversion": "1.0", "ce-id": "1", "CE-Source": "/x", "ce-type": "t", "ce-time": START
    }  # fmt: skip
    assert one(alertmanager(), headers) == one(alertmanager())
    assert one({"title": "b"}, headers).starts_at == STARTED


def test_any_other_json_that_names_an_alert_is_one() -> None:
    alert = one(
        {
            "title": "CPU high",
            "state": "ALERTING",
            "priority": "P2",
            "tags": ["env:prod", "team=shop", "urgent"],
            "host": "h1",
            "timestamp": 1_767_225_600_000,
            "description": "cpu above 90 %",
            "value": "93.5",
            "url": "https://monitoring.example/1",
        }
    )
    assert (alert.name, alert.status, alert.severity) == ("CPU high", "firing", "high")
    assert alert.labels == {"env": "prod", "team": "shop", "urgent": "true", "host": "h1"}
    assert (alert.starts_at, alert.value) == (STARTED, 93.5)
    assert alert.generator_url == "https://monitoring.example/1"


@pytest.mark.parametrize("key", ["alerts", "events"])
def test_generic_alerts_come_in_lists_too(key: str) -> None:
    items = [{"name": "a", "status": "ok"}, {"name": "b", "endsAt": START}]
    for document in (items, {key: items}):
        alerts = parse(json.dumps(document).encode(), "generic", {}, NOW)
        assert [(a.name, a.status) for a in alerts] == [("a", "resolved"), ("b", "resolved")]


def test_two_generic_alerts_of_one_name_differ_by_their_service() -> None:
    first, second, again = (
        one({"name": "slow", "service": service}) for service in ("a", "b", "a")
    )
    assert first.fingerprint != second.fingerprint
    assert first.fingerprint == again.fingerprint


SNIFFED: dict[str, tuple[Document, str]] = {
    "alertmanager webhook": (alertmanager(), "alertmanager"),
    "posted to the API": ([{"labels": {"alertname": "A"}}], "prometheus"),
    "grafana": (grafana(), "grafana"),
    "grafana by its organisation": ({**grafana(), "version": None}, "grafana"),
    "pagerduty": (pagerduty(), "pagerduty"),
    "cloud event": (cloud_event({"name": "a"}), "cloudevents"),
    "anything else": ({"name": "a"}, "generic"),
}


@pytest.mark.parametrize("case", SNIFFED)
def test_the_format_is_recognised(case: str) -> None:
    document, source = SNIFFED[case]
    assert one(document).source == source


@pytest.mark.parametrize(
    "document", [alertmanager(), grafana(), pagerduty(), cloud_event({"name": "x"})]
)
def test_unknown_fields_and_nulls_are_passed_over(document: Document) -> None:
    strange = {"notInTheFormat": [1, {"x": None}], "another": {"deep": "er"}, **document}
    strange |= dict.fromkeys(("receiver", "externalURL", "commonLabels", "client", "subject"))
    assert one(strange) == one(document)


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "severity"),
    [
        ({"severity": "page"}, "critical"),
        ({"severity": "CRIT"}, "critical"),
        ({"severity": "major"}, "high"),
        ({"severity": "sev-3"}, "warning"),
        ({"severity": "weird", "priority": "P4"}, "info"),
        ({"level": "debug"}, "low"),
        ({}, "warning"),
    ],
)
def test_severities_are_understood(labels: dict[str, str], severity: str) -> None:
    assert one([{"labels": {"alertname": "A", **labels}}]).severity == severity


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "cart", "job": "kube-state-metrics"}, "cart"),
        ({"deployment": "cart", "job": "kube-state-metrics"}, "cart"),
        ({"app": "cart", "service": ""}, "cart"),
        ({"app.kubernetes.io/name": "cart"}, "cart"),
        ({"instance": "10.0.0.1:9100"}, ""),
    ],
)
def test_the_service_is_found_in_the_labels(labels: dict[str, str], service: str) -> None:
    assert one([{"labels": {"alertname": "A", **labels}}]).service == service


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("2015-07-17T08:42:58.315+0000", 1_437_122_578.315),
        ("2015-07-17 08:42:58Z", 1_437_122_578),
        ("2015-07-17T08:42:58.315999999Z", 1_437_122_578.315999),
        (1_437_122_578, 1_437_122_578),
        (1_437_122_578_315, 1_437_122_578.315),
        ("1437122578315", 1_437_122_578.315),
        (1_437_122_578_315_000_000, 1_437_122_578.315),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+08:00", None),
        ("", None),
        (None, None),
    ],
)
def test_moments_are_read_leniently(given: object, seconds: float | None) -> None:
    assert moment(given) == seconds
