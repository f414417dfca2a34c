"""What alert sources should not send is refused with its place, and harms nothing."""

import json
import math
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copilot.alerts.formats import (
    MalformedError,
    PayloadError,
    PayloadKind,
    TooManyAlertsError,
    parse,
)
from copilot.testing.payloads import alertmanager, cloud_event, grafana, pagerduty
from tools.types import Alert

NOW = 1_767_225_700.0  # 2026-01-01T00:01:40Z
STARTED = 1_767_225_600.0

Document = Any


def one(document: Document) -> Alert:
    (alert,) = parse(json.dumps(document).encode(), "auto", {}, NOW)
    return alert


# --- refusals ----------------------------------------------------------------------------------

MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"alerts!",
    "half of it": b'{"alerts": [',
    "NaN": b'{"alerts": [], "x": NaN}',
    "infinity": b"[Infinity]",
    "not UTF-8": b'{"a": "\xff"}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "two documents": b"{} {}",
    "a number of ten thousand digits": b"1" * 10_000,
    "a hundred thousand levels": b"[" * 100_000,
    "a hundred thousand closed levels": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_not_json_is_malformed(case: str) -> None:
    with pytest.raises(MalformedError):
        parse(MALFORMED[case], "auto", {}, NOW)


WRONG: dict[str, tuple[PayloadKind, Document, str]] = {
    "no alerts": ("alertmanager", {}, "alerts: expected a value, but the field is missing"),
    "alerts are a number": ("alertmanager", {"alerts": 5}, "alerts: expected a list, got 5"),
    "a list": ("alertmanager", [], "body: expected an object, got a list of 0"),
    "an alert is a number": (
        "alertmanager", {"alerts": [1]}, "alerts[0]: expected an object, got 1"
    ),
    "a label is a number": (
        "alertmanager",
        alertmanager(labels={"a": 1}),
        "alerts[0].labels.a: expected a string, got 1",
    ),
    "labels are a list": (
        "alertmanager",
        alertmanager(labels=["a"]),
        "alerts[0].labels: expected an object, got a list of 1",
    ),
    "a status nobody knows": (
        "alertmanager",
        alertmanager(status="broken"),
        "alerts[0].status: expected 'firing' or 'resolved', got 'broken'",
    ),
    "a start that is no time": (
        "alertmanager",
        alertmanager(startsAt="yesterday"),
        "alerts[0].startsAt: expected a time in RFC 3339 or Unix seconds, got 'yesterday'",
    ),
    "a start that is a truth": (
        "alertmanager",
        alertmanager(startsAt=True),
        "alerts[0].startsAt: expected a time in RFC 3339 or Unix seconds, got True",
    ),
    "a start before computers": (
        "alertmanager",
        alertmanager(startsAt="1815-12-10T00:00:00Z"),
        "alerts[0].startsAt: expected a time after 1970",
    ),
    "a start of hundreds of digits": (
        "alertmanager",
        alertmanager(startsAt=10**400),
        "alerts[0].startsAt: expected a time in RFC 3339 or Unix seconds, got a number",
    ),
    "posted: an object": ("alertmanager_v2", {}, "body: expected a list, got an object"),
    "posted: no labels": ("alertmanager_v2", [{}], "[0].labels: expected a value"),
    "posted: empty labels": (
        "alertmanager_v2", [{"labels": {"a": ""}}], "[0].labels: expected at least one label"
    ),
    "grafana: values": (
        "grafana", grafana(values=[1]), "alerts[0].values: expected an object, got a list of 1"
    ),
    "pagerduty: no key": ("pagerduty", {}, "routing_key: expected a value"),
    "pagerduty: action": (
        "pagerduty", pagerduty("shout"), "event_action: expected 'trigger', 'acknowledge' or"
    ),
    "pagerduty: nothing to trigger": (
        "pagerduty", pagerduty(payload=None), "payload: expected an object"
    ),
    "pagerduty: nothing to resolve": (
        "pagerduty", pagerduty("resolve", dedup_key=None), "dedup_key: expected the key"
    ),
    "pagerduty: severity": (
        "pagerduty",
        pagerduty(payload={"summary": "s", "source": "h", "severity": "bad"}),
        "payload.severity: expected 'critical', 'error', 'warning' or 'info', got 'bad'",
    ),
    "cloud event: no id": ("cloudevents", {"specversion": "1.0"}, "id: expected a value"),
    "cloud event: version": (
        "cloudevents", cloud_event({}, specversion="0.3"), "specversion: expected version 1.0"
    ),
    "cloud event: second of a batch": (
        "cloudevents", [cloud_event({}), cloud_event({}, id=7)], "[1].id: expected a string, got 7"
    ),
    "cloud event: content": (
        "cloudevents", cloud_event(alertmanager(labels=3)), "alerts[0].labels: expected an object"
    ),
    "cloud event: not base64": (
        "cloudevents", cloud_event(None, data_base64="!"), "data_base64: expected base64"
    ),
    "generic: a word": ("generic", "fire", "body: expected an object or a list of objects"),
    "generic: a list of words": ("generic", ["fire"], "[0]: expected an object, got 'fire'"),
    "generic: no name": ("generic", {"x": 1}, "name: expected one of alertname"),
    "generic: a name that is none": ("generic", {"name": {}}, "name: expected a string"),
    "generic: labels": (
        "generic", {"alerts": [{"name": "a", "labels": 1}]}, "alerts[0].labels: expected an object"
    ),
    "generic: a tag": ("generic", {"name": "a", "tags": [1]}, "tags: expected an object, or"),
    "generic: a start": ("generic", {"name": "a", "startsAt": []}, "startsAt: expected a time"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_type_is_refused_with_its_place(case: str) -> None:
    kind, document, says = WRONG[case]
    with pytest.raises(PayloadError) as refusal:
        parse(json.dumps(document).encode(), kind, {}, NOW)
    assert str(refusal.value).startswith(says)
    assert not isinstance(refusal.value, MalformedError)


def test_a_refusal_repeats_little_of_what_was_sent_and_no_control_characters() -> None:
    hostile = "\x1b[31m" + "A" * 100_000
    with pytest.raises(PayloadError) as refusal:
        parse(json.dumps(alertmanager(startsAt=hostile)).encode(), "alertmanager", {}, NOW)
    assert len(str(refusal.value)) < 300
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: {"alerts": a}, lambda a: [cloud_event(a)]])
def test_more_alerts_than_allowed_are_refused(wrap: Any) -> None:
    body = json.dumps(wrap([{"labels": {"alertname": "A"}}] * 11)).encode()
    with pytest.raises(TooManyAlertsError, match="at most 10 alerts"):
        parse(body, "auto", {}, NOW, limit=10)


# --- hostile input -----------------------------------------------------------------------------


def test_hostile_text_is_capped_and_cleaned_and_never_a_link() -> None:
    many = {f"l{n}": "v" for n in range(500)}
    alert = one(
        alertmanager(
            labels={"alertname": "\x1b]0;owned\x07Disk\u202e", **many},
            annotations={"summary": "x" * 1_000_000, "nul": "a\x00b"},
            generatorURL="javascript:alert(1)",
            fingerprint="f" * 10_000,
        )
    )  # fmt: skip
    assert alert.name == "Disk"
    assert len(alert.labels) <= 100
    assert len(alert.annotations["summary"]) <= 4096
    assert alert.annotations["nul"] == "ab"
    assert alert.generator_url == ""
    assert len(alert.fingerprint) <= 128


def test_templates_in_labels_stay_text() -> None:
    labels = {"alertname": "{{ 7*7 }} %s {0} ${x}", "service": "../../etc/passwd"}
    assert one([{"labels": labels}]).labels == labels


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
KINDS: tuple[PayloadKind, ...] = (
    "alertmanager", "alertmanager_v2", "grafana", "pagerduty", "cloudevents", "generic", "auto"
)  # fmt: skip


def safe(text: str) -> bool:
    """No control character, no lone surrogate, nothing that turns the direction of a line."""
    return not any(category(letter) in ("Cc", "Cs") or letter in "\u202d\u202e" for letter in text)


def read_or_refused(body: bytes, kind: PayloadKind) -> tuple[Alert, ...]:
    said = ""
    try:
        return parse(body, kind, {}, NOW)
    except PayloadError as refusal:
        said = str(refusal)
    assert safe(said)
    assert len(said) < 600
    return ()


def check(document: Document, kind: PayloadKind) -> None:
    """Either refused in one sentence, or alerts that can be stored and shown."""
    for alert in read_or_refused(json.dumps(document).encode(), kind):
        assert Alert.model_validate_json(alert.model_dump_json()) == alert
        assert safe(alert.name)
        assert alert.fingerprint
        assert math.isfinite(alert.starts_at)


@settings(max_examples=50, deadline=None)
@given(json_values, st.sampled_from(KINDS))
def test_any_json_is_read_or_refused(document: Document, kind: PayloadKind) -> None:
    check(document, kind)


FIELDS = sorted(
    {
        *alertmanager()["alerts"][0],
        *grafana()["alerts"][0],
        *pagerduty()["payload"],
        *cloud_event({}),
    }
    | {"name", "tags", "status", "value", "events", "alerts", "time", "dedup_key", "data_base64"}
)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([alertmanager, grafana, pagerduty, cloud_event]),
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4),
    st.sampled_from(KINDS),
)
def test_a_document_with_some_fields_replaced_is_read_or_refused(
    make: Any, fields: dict[str, Document], kind: PayloadKind
) -> None:
    document = make({}) if make is cloud_event else make()
    check({**document, **fields}, kind)
    if "alerts" in document:
        check(make(**fields), kind)
    check(fields, kind)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_any_bytes_are_read_or_refused(body: bytes, kind: PayloadKind) -> None:
    assert all(alert.fingerprint for alert in read_or_refused(body, kind))


def test_of_ten_thousand_labels_those_that_tell_the_alert_are_kept() -> None:
    crowd = {f"a{number}": "x" for number in range(10_000)}
    named = {"alertname": "Down", "severity": "critical", "service": "cart"}

    read = one(alertmanager(labels=crowd | named))

    assert (read.name, read.severity, read.service) == ("Down", "critical", "cart")
    assert len(read.labels) == 100
    assert read.annotations["copilot_note"] == "100 of 10003 labels are kept"


POSTED_WRONG: dict[str, tuple[Document, str]] = {
    "it ends before it starts": (
        {
            "labels": {"a": "b"},
            "startsAt": "2026-01-01T02:00:00Z",
            "endsAt": "2026-01-01T01:00:00Z",
        },
        "[1].endsAt: expected an end that is not before startsAt, got '2026-01-01T01:00:00Z'",
    ),
    "a label without a name": ({"labels": {"": "b"}}, "[1].labels: expected labels whose names"),
    "a label of a name that is blank": ({"labels": {" ": "b", "c": "d"}}, "[1].labels: expected"),
    "no labels": ({"annotations": {}}, "[1].labels: expected a value"),
    "null": (None, "[1]: expected an object"),
    "labels are null": ({"labels": None}, "[1].labels: expected at least one label"),
}


@pytest.mark.parametrize("case", POSTED_WRONG)
def test_the_alert_of_a_posted_batch_that_is_wrong_is_named(case: str) -> None:
    wrong, says = POSTED_WRONG[case]
    batch = [{"labels": {"alertname": "A"}}, wrong, {"labels": {"alertname": "B"}}]
    with pytest.raises(PayloadError) as refused:
        parse(json.dumps(batch).encode(), "alertmanager_v2", {}, NOW)
    assert str(refused.value).startswith(says)


def test_a_posted_batch_that_is_no_list_is_refused_whole() -> None:
    with pytest.raises(PayloadError, match="body: expected a list"):
        parse(b"{}", "alertmanager_v2", {}, NOW)
    with pytest.raises(MalformedError):
        parse(b"[", "alertmanager_v2", {}, NOW)
    with pytest.raises(TooManyAlertsError):
        parse(b"[1, 2, 3]", "alertmanager_v2", {}, NOW, limit=2)
