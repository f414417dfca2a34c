"""Words of all senders and tongues for severities and states; unknown ones are said."""

import json
from typing import Any

import pytest

from copilot.alerts import vocabulary
from copilot.alerts.formats import parse
from tools.types import Alert

NOW = 1_790_000_000.0


def one(document: Any, kind: str = "generic") -> Alert:
    (alert,) = parse(json.dumps(document).encode(), kind, {}, NOW)
    return alert


SEVERITY_WORDS: dict[str, tuple[str, str, str | None]] = {
    "an abbreviation": ("CRIT", "", "critical"),
    "a pager's word": ("page", "", "critical"),
    "with a hyphen": ("SEV-2", "", "high"),
    "with a space": ("Sev 3", "", "warning"),
    "a grade with its name": ("P1 - Critical", "", "critical"),
    "the worst in Chinese": ("紧急", "", "critical"),
    "fatal in Chinese": ("致命", "", "critical"),
    "grave in Chinese": ("严重", "", "high"),
    "major in Chinese": ("重要", "", "high"),
    "minor in Chinese": ("次要", "", "warning"),
    "a warning in Chinese": ("警告", "", "warning"),
    "a hint in Chinese": ("提示", "", "info"),
    "zabbix by name": ("Not classified", "", "low"),
    "zabbix by number": ("5", "zabbix", "critical"),
    "n9e by number": ("1", "n9e", "critical"),
    "huawei by number": ("4", "huawei", "info"),
    "azure counts from 0": ("Sev1", "azure", "high"),
    "everybody else from 1": ("Sev1", "", "critical"),
    "opsgenie's lowest but one": ("P4", "opsgenie", "low"),
    "a bare number is nobody's": ("1", "", None),
    "no such word": ("purple", "", None),
    "nothing": ("", "", None),
}


@pytest.mark.parametrize("case", SEVERITY_WORDS)
def test_a_severity_is_understood_in_its_scale_and_tongue(case: str) -> None:
    word, sender, meant = SEVERITY_WORDS[case]
    assert vocabulary.severity_of(word, sender) == meant


STATE_WORDS: dict[str, tuple[str, str, str | None]] = {
    "prometheus": ("firing", "", "firing"),
    "grafana": ("Alerting", "", "firing"),
    "cloudwatch": ("IN_ALARM", "", "firing"),
    "a plant": ("NG", "", "firing"),
    "datadog": ("Re-Triggered", "datadog", "firing"),
    "triggered in Chinese": ("告警中", "", "firing"),
    "good": ("Good", "", "resolved"),
    "normal": ("NORMAL", "", "resolved"),
    "recovered in Chinese": ("已恢复", "", "resolved"),
    "normal in Chinese": ("正常", "", "resolved"),
    "recovered in Japanese": ("復旧", "", "resolved"),
    "zabbix 0": ("0", "zabbix", "resolved"),
    "uptime kuma 0": ("0", "uptimekuma", "firing"),
    "nobody's 0": ("0", "", None),
    "no data, spelt apart": ("No Data", "", "no_data"),
    "insufficient data": ("INSUFFICIENT_DATA", "", "no_data"),
    "seen": ("ACK", "", "acknowledged"),
    "not yet": ("Pending", "", "quiet"),
    "no such word": ("purple", "", None),
}


@pytest.mark.parametrize("case", STATE_WORDS)
def test_a_state_is_understood_in_its_senders_words(case: str) -> None:
    word, sender, meant = STATE_WORDS[case]
    assert vocabulary.state_of(word, sender) == meant


def test_no_word_means_two_things() -> None:
    for table in (vocabulary.SEVERITIES, vocabulary.STATES):
        words = [word.lower() for row in table.values() for word in row.split()]
        assert sorted(words) == sorted(set(words))


def test_a_state_that_nobody_knows_is_firing_and_says_so() -> None:
    alert = one({"name": "a", "state": "purple"})
    assert alert.status == "firing"
    assert (
        "state 'purple' is no state we know; taken as firing" in alert.annotations["copilot_note"]
    )


def test_an_unknown_state_of_what_has_ended_is_not_firing() -> None:
    alert = one({"name": "a", "state": "purple", "ends_at": NOW - 5})
    assert alert.status == "resolved"
    assert "taken as resolved" in alert.annotations["copilot_note"]


def test_a_severity_that_nobody_knows_is_a_warning_and_says_so() -> None:
    for document in ({"name": "a", "severity": "7"}, {"name": "a", "labels": {"severity": "7"}}):
        alert = one(document)
        assert alert.severity == "warning"
        assert "severity '7' is no severity we know" in alert.annotations["copilot_note"]
    assert one({"name": "a", "labels": {"severity": "7", "priority": "P1"}}).annotations == {}


@pytest.mark.parametrize("field", ["is_recovered", "isRecovered", "recovered", "resolved"])
def test_a_truth_value_ends_an_alert_of_anybody(field: str) -> None:
    fired, ended = (one({"name": "a", field: value}) for value in (False, True))
    assert (fired.status, ended.status) == ("firing", "resolved")
    assert fired.fingerprint == ended.fingerprint


def test_times_and_keys_of_anybody_are_found() -> None:
    alert = one({"rule_name": "r", "title": "t", "hash": "h", "trigger_time": 1_789_999_000})
    assert (alert.name, alert.fingerprint, alert.starts_at) == ("r", "h", 1_789_999_000)
