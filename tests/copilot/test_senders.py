"""What senders post is read: one alert, one identity, from its first document to its last."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copilot.alerts.formats import KINDS, SENDERS, PayloadError, parse, recognised
from tests.copilot.sender_episodes import ALIYUN, EPISODES, NOW, Document, changed, sns
from tools.types import Alert


def one(document: Document, kind: str) -> Alert:
    (alert,) = parse(json.dumps(document).encode(), kind, {}, NOW)
    return alert


@pytest.mark.parametrize("route", ["its own", "auto", "generic"])
@pytest.mark.parametrize("case", EPISODES)
def test_an_episode_is_one_alert_that_fires_and_is_resolved(case: str, route: str) -> None:
    episode = EPISODES[case]
    kind = episode.route if route == "its own" else route
    firing = one(episode.firing, kind)
    ended = one(changed(episode.firing, episode.ended), kind)

    assert (firing.status, ended.status) == ("firing", "resolved")
    assert firing.fingerprint == ended.fingerprint
    assert firing.name == ended.name
    assert ended.ends_at is not None
    assert {name: getattr(firing, name) for name in episode.reads} == episode.reads
    assert firing.labels | episode.labels == firing.labels
    assert "copilot_note" not in firing.annotations | ended.annotations


def test_every_shape_has_an_episode_and_is_told_by_its_own_mark() -> None:
    told = {recognised(episode.firing) for episode in EPISODES.values()}
    shown_elsewhere = {"alertmanager", "alertmanager_v2", "grafana", "pagerduty"}
    assert {one.route for one in SENDERS if one not in told} <= shown_elsewhere
    assert {episode.route for episode in EPISODES.values()} <= set(KINDS)


def test_two_objects_of_one_rule_are_two_alerts() -> None:
    others: dict[str, dict[str, Any]] = {
        "datadog": {"alert_scope": "host:web-4", "aggreg_key": "77aa"},
        "aliyun": {"dimensions": "{instanceId=rm-2, userId=7}"},
        "tencent": {"alarmObjInfo.dimensions": {"unInstanceId": "ins-2"}},
        "zabbix": {"trigger_id": "56"},
        "huawei by a template": {"resourceId": "r-2"},
    }
    for case, changes in others.items():
        episode = EPISODES[case]
        other = one(changed(episode.firing, changes), episode.route)
        assert one(episode.firing, episode.route).fingerprint != other.fingerprint, case


STATES: dict[str, tuple[str, dict[str, Any], str]] = {
    "datadog, again": ("datadog", {"alert_transition": "Re-Triggered"}, "firing"),
    "datadog, a warning": ("datadog", {"alert_transition": "Warn"}, "firing"),
    "datadog, no data": ("datadog", {"alert_transition": "No Data"}, "no_data"),
    "pagerduty, seen by somebody": (
        "pagerduty webhook", {"event.event_type": "incident.acknowledged"}, "acknowledged"
    ),
    "pagerduty, opened again": (
        "pagerduty webhook", {"event.event_type": "incident.reopened"}, "firing"
    ),
    "pagerduty, of another priority": (
        "pagerduty webhook", {"event.event_type": "incident.priority_updated"}, "firing"
    ),
    "opsgenie, seen by somebody": ("opsgenie", {"action": "Acknowledge"}, "acknowledged"),
    "zabbix, seen by somebody": (
        "zabbix",
        {"event_update_status": "1", "event_update_action": "acknowledged"},
        "acknowledged",
    ),
    "tencent, no data": ("tencent", {"alarmStatus": "2"}, "no_data"),
    "aliyun, no data": ("aliyun", {"alertState": "INSUFFICIENT_DATA"}, "no_data"),
    "eventbridge, no data": ("eventbridge", {"detail.state.value": "INSUFFICIENT_DATA"}, "no_data"),
    "grafana legacy, no data": ("grafana legacy", {"state": "no_data"}, "no_data"),
    "sentry, archived": ("sentry issue", {"action": "archived"}, "acknowledged"),
    "new relic, seen by somebody": (
        "new relic workflow", {"state": "ACKNOWLEDGED"}, "acknowledged"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STATES)
def test_other_states_of_a_sender_are_what_they_are(case: str) -> None:
    episode, changes, status = STATES[case]
    told = EPISODES[episode]
    assert one(changed(told.firing, changes), told.route).status == status


SILENT: dict[str, tuple[str, Document]] = {
    "a note in opsgenie": ("opsgenie", changed(EPISODES["opsgenie"].firing, {"action": "AddNote"})),
    "a comment in pagerduty": (
        "pagerduty",
        {"event": {"event_type": "incident.annotated", "data": {"id": "N", "content": "hm"}}},
    ),
    "a service of pagerduty": (
        "pagerduty", {"event": {"event_type": "service.updated", "data": {"id": "S"}}}
    ),
    "the test of uptime kuma": (
        "uptimekuma", {"heartbeat": None, "monitor": None, "msg": "Testing"}
    ),
    "maintenance in uptime kuma": (
        "uptimekuma", changed(EPISODES["uptime kuma"].firing, {"heartbeat.status": 3})
    ),
    "a rule that waits in grafana": (
        "grafana", changed(EPISODES["grafana legacy"].firing, {"state": "pending"})
    ),
    "an assignment in sentry": (
        "sentry", changed(EPISODES["sentry issue"].firing, {"action": "assigned"})
    ),
    "the end of a subscription": ("sns", sns({}, "UnsubscribeConfirmation")),
    "a configuration in eventbridge": (
        "eventbridge",
        {"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm Configuration Change"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SILENT)
def test_what_says_nothing_of_a_state_makes_no_alert(case: str) -> None:
    kind, document = SILENT[case]
    assert parse(json.dumps(document).encode(), kind, {}, NOW) == ()


def test_an_issue_of_sentry_ends_what_its_alert_began() -> None:
    event = {"title": "KeyError", "level": "error", "issue_url": "https://s/api/0/issues/77/"}
    fired = one({"action": "triggered", "data": {"event": event}}, "sentry")
    resolved = one(changed(EPISODES["sentry issue"].firing, {"action": "resolved"}), "sentry")
    assert (fired.fingerprint, resolved.status) == (resolved.fingerprint, "resolved")


def test_nightingale_sends_lists_too() -> None:
    event = EPISODES["nightingale"].firing
    for document in ([event, {**event, "hash": "x"}], {"events": [event, {**event, "hash": "x"}]}):
        read = parse(json.dumps(document).encode(), "auto", {}, NOW)
        assert [alert.fingerprint for alert in read] == ["abc123", "x"]


def test_aliyun_calls_back_with_a_form() -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    for kind in ("aliyun", "auto"):
        (alert,) = parse(urlencode(ALIYUN).encode(), kind, headers, NOW)
        assert alert == one(ALIYUN, "aliyun")


def test_sns_carries_an_event_of_eventbridge_too() -> None:
    event = EPISODES["eventbridge"].firing
    assert one(sns(event), "sns") == one(event, "eventbridge")


WRONG_ROUTE: dict[str, tuple[str, Document, str]] = {
    "a webhook at the events API": (
        "alertmanager", EPISODES["pagerduty webhook"].firing, "post it to /webhooks/pagerduty"
    ),
    "kuma at grafana": ("grafana", EPISODES["uptime kuma"].firing, "to /webhooks/uptimekuma"),
    "a notification at the API": (
        "alertmanager_v2", EPISODES["arms"].firing, "this looks like Alibaba Cloud ARMS webhook"
    ),
    "posted alerts at sns": ("sns", [{"labels": {"a": "b"}}], "post it to /api/v2/alerts"),
    "nobody's document": ("azure", {"x": 1}, "read as Azure common alert schema; see docs/alert-"),
    "nobody's document, for anybody": ("auto", {"zone": 1, "b": 2}, "it has b, zone. Senders, and"),
    "an alarm that is none": ("sns", sns({"hello": "there"}), "Message: expected a CloudWatch"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_ROUTE)
def test_a_refusal_names_the_product_and_what_to_do(case: str) -> None:
    kind, document, says = WRONG_ROUTE[case]
    with pytest.raises(PayloadError) as refusal:
        parse(json.dumps(document).encode(), kind, {}, NOW)
    assert says in str(refusal.value)
    assert len(str(refusal.value)) < 600


# --- nothing of it can break a reader -----------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(document: Document) -> Iterator[tuple[Any, Any]]:
    """Every container of a document with a key of it."""
    keys = document if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield document, key
        if isinstance(document[key], dict | list):
            yield from places(document[key])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_document_with_anything_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    episode = EPISODES[data.draw(st.sampled_from(sorted(EPISODES)))]
    document = copy.deepcopy(episode.firing)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(list(places(document))))
        container[key] = data.draw(json_values)
        if not list(places(document)):
            break
    kind = data.draw(st.sampled_from((episode.route, "auto")))
    try:
        alerts = parse(json.dumps(document).encode(), kind, {}, NOW)
    except PayloadError:
        return
    for alert in alerts:
        assert Alert.model_validate_json(alert.model_dump_json()) == alert
        assert alert.name
        assert alert.fingerprint


@settings(max_examples=200, deadline=None)
@given(json_values, st.sampled_from(KINDS))
def test_any_json_at_any_route_is_read_or_refused(document: Document, kind: str) -> None:
    try:
        alerts = parse(json.dumps(document).encode(), kind, {}, NOW)
    except PayloadError:
        return
    assert all(alert.fingerprint for alert in alerts)


@pytest.mark.parametrize("case", EPISODES)
def test_every_field_may_be_null_without_breaking_anything(case: str) -> None:
    episode = EPISODES[case]
    for position in range(len(list(places(episode.firing)))):
        document = copy.deepcopy(episode.firing)
        container, key = list(places(document))[position]
        container[key] = None
        with suppress(PayloadError):  # only what an alert cannot be without may be missed
            parse(json.dumps(document).encode(), episode.route, {}, NOW)
