"""Words for severities and states, of all senders and in their tongues: the one table of both.

Case, spaces, hyphens, underscores and signs do not count: `No Data`, `no-data` and `NO_DATA` are
one word. A number means something only in a sender's own scale, which goes before the common one.
`copilot alerts severities` prints all of it.

Sources of the scales: PagerDuty, Opsgenie and Sentry API references; Zabbix `EVENT.NSEVERITY`;
Nightingale `models/alert_cur_event.go` (1 to 3); Azure common alert schema (Sev0 to Sev4); Huawei
Cloud Eye (1 to 4); Uptime Kuma `server/model/heartbeat.js`; X.733 for critical to warning and
their Chinese names.
"""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from tools.types import AlertStatus, Severity

NOTE = "copilot_note"
"""Annotation that says what of an alert was not understood and how it was taken."""

AlertState = AlertStatus | Literal["quiet"]
"""`quiet`: the words say nothing of an alert that burns or ends: pending, paused, a comment."""

SEVERITIES: Mapping[Severity, str] = {
    "critical": (
        "critical crit fatal emergency emerg alert page disaster catastrophic blocker urgent "
        "p0 p1 sev0 sev1 s0 s1 紧急 致命 灾难 危急 特急 重大 最高 緊急 critique crítico kritisch"
    ),
    "high": (
        "high error err major severe serious p2 sev2 s2 严重 重要 错误 高 高危 重度 élevé alto hoch"
    ),
    "warning": (
        "warning warn minor average medium moderate p3 sev3 s3 "
        "警告 警示 告警 预警 次要 一般 一般严重 中 中等 中危 警報 avertissement advertencia warnung"
    ),
    "info": (
        "info information informational notice note ok none normal p4 sev4 s4 "
        "提示 提醒 通知 信息 消息 普通"
    ),
    "low": "low debug trivial verbose notclassified p5 sev5 s5 低 低危 轻微 未分类 调试",
}
"""Words that mean the same in any field of any sender."""

SENDER_SEVERITIES: Mapping[str, Mapping[str, Severity]] = {
    "zabbix": {
        "0": "low", "1": "info", "2": "warning", "3": "warning", "4": "high", "5": "critical"
    },
    "n9e": {"1": "critical", "2": "warning", "3": "info"},
    "opsgenie": {"P1": "critical", "P2": "high", "P3": "warning", "P4": "low", "P5": "info"},
    "sentry": {"fatal": "critical", "error": "high"},
    "azure": {
        "Sev0": "critical", "Sev1": "high", "Sev2": "warning", "Sev3": "info", "Sev4": "low"
    },
    "huawei": {"1": "critical", "2": "high", "3": "warning", "4": "info"},
    "datadog": {"1": "critical", "2": "high", "3": "warning", "4": "info", "5": "low"},
    "pagerduty": {"high": "high", "low": "low"},
}  # fmt: skip
"""A sender's own scale, by its route."""

STATES: Mapping[AlertState, str] = {
    "firing": (
        "firing fire fired alerting alert alerted alarm alarming inalarm triggered trigger "
        "retriggered triggering open opened reopened reopen active activated problem down new "
        "created create started start unresolved ongoing ng bad breached violated failing failed "
        "failure fault unhealthy degraded critical warning warn error red "
        "触发 已触发 告警 告警中 报警 报警中 异常 故障 未恢复 未解决 发生 発生 障害 발생 "
        "problème ouvert abierto problema offen проблема"
    ),
    "resolved": (
        "resolved resolve ok okay normal recovered recovery recover closed close up inactive "
        "cleared clear cancelled canceled good healthy passing passed success succeeded green "
        "fixed ended end expired solved deactivated back backtonormal notalerting "
        "恢复 已恢复 恢复正常 正常 解决 已解决 关闭 已关闭 消除 已消除 清除 已清除 结束 已结束 "
        "復旧 回復 解決 해결 복구 résolu fermé resuelto cerrado behoben gelöst geschlossen решено"
    ),
    "acknowledged": "acknowledged acknowledge ack acked 确认 已确认 认领 已认领 处理中 対応中",
    "no_data": (
        "nodata unknown datasourcenodata datasourceerror insufficientdata insufficient stale "
        "missing undetermined indeterminate 无数据 数据不足 数据缺失 未知"
    ),
    "quiet": (
        "pending paused muted silenced suppressed snoozed maintenance disabled test "
        "待触发 暂停 已暂停 屏蔽 已屏蔽 维护 维护中 测试"
    ),
}
"""Words for the state of an alert, in any field of any sender."""

SENDER_STATES: Mapping[str, Mapping[str, AlertState]] = {
    "zabbix": {"0": "resolved", "1": "firing"},
    "n9e": {"0": "firing", "1": "resolved", "false": "firing", "true": "resolved"},
    "uptimekuma": {"0": "firing", "1": "resolved", "2": "quiet", "3": "quiet"},
    "tencent": {"0": "resolved", "1": "firing", "2": "no_data"},
    "opsgenie": {
        "Create": "firing", "UnAcknowledge": "firing", "Close": "resolved", "Delete": "resolved",
        "Acknowledge": "acknowledged", "AddNote": "quiet", "AddTags": "quiet",
        "RemoveTags": "quiet", "AddRecipient": "quiet", "AddTeam": "quiet",
        "AddResponder": "quiet", "AssignOwnership": "quiet", "TakeOwnership": "quiet",
        "AddDetails": "quiet", "RemoveDetails": "quiet", "UpdatePriority": "quiet",
        "UpdateMessage": "quiet", "UpdateDescription": "quiet", "Escalate": "quiet",
        "EscalateNext": "quiet", "Snooze": "quiet", "SnoozeEnded": "quiet",
        "AutoRenotified": "firing", "CustomAction": "quiet",
    },
    "sentry": {
        "created": "firing", "unresolved": "firing", "triggered": "firing",
        "resolved": "resolved", "archived": "acknowledged", "ignored": "acknowledged",
        "assigned": "quiet",
    },
    "pagerduty": {
        "trigger": "firing", "triggered": "firing", "unacknowledged": "firing",
        "reopened": "firing", "acknowledge": "acknowledged", "resolve": "resolved",
    },
    "newrelic": {"activated": "firing", "created": "firing"},
    "datadog": {"retriggered": "firing", "renotify": "firing", "warn": "firing"},
}  # fmt: skip
"""A sender's own words and numbers, by its route."""

_SIGNS = re.compile(r"[\W_]+")
_GRADED = re.compile(r"(?:p|s|sev)\d", re.IGNORECASE)


def _bare(word: str) -> str:
    """`No-Data` and `no_data` are `nodata`; letters of any tongue and digits stay."""
    return _SIGNS.sub("", word[:64]).lower()


_SEVERITY: dict[str, Severity] = {
    _bare(word): meant for meant, words in SEVERITIES.items() for word in words.split()
}
_STATE: dict[str, AlertState] = {
    _bare(word): meant for meant, words in STATES.items() for word in words.split()
}
_OWN_SEVERITY = {
    sender: {_bare(word): meant for word, meant in own.items()}
    for sender, own in SENDER_SEVERITIES.items()
}
_OWN_STATE = {
    sender: {_bare(word): meant for word, meant in own.items()}
    for sender, own in SENDER_STATES.items()
}


class StateReading(NamedTuple):
    """The state that a word stands for, and what to tell people where it is not known."""

    state: AlertState
    note: str = ""


def severity_of(word: str, sender: str = "") -> Severity | None:
    """`crit`, `P1` or `紧急` is critical, and so on; None for a word of no such meaning.

    >>> severity_of("SEV-1"), severity_of("1"), severity_of("1", "n9e")
    ('critical', None, 'critical')
    """
    bare = _bare(word)
    own = _OWN_SEVERITY.get(sender, {}).get(bare)
    if own is not None or bare in _SEVERITY:
        return own or _SEVERITY[bare]
    # `P1 - Critical`, `Sev2 (major)`: the grade stands first.
    graded = _GRADED.match(word.strip())
    return _SEVERITY.get(graded.group().lower()) if graded else None


def state_of(word: str, sender: str = "") -> AlertState | None:
    """`alerting` or `open` is firing, `ok` or `已恢复` is resolved; None for other words.

    >>> state_of("Re-Triggered"), state_of("0"), state_of("0", "zabbix")
    ('firing', None, 'resolved')
    """
    bare = _bare(word)
    return _OWN_STATE.get(sender, {}).get(bare) or _STATE.get(bare)


def read_state(
    field: str, word: str, sender: str = "", *, otherwise: AlertStatus = "firing"
) -> StateReading:
    """The state of a word; an unknown one is taken as `otherwise`, and that is said.

    To refuse would lose an alert, and to call it firing in silence might keep an ended one open.
    """
    known = state_of(word, sender)
    if known is not None:
        return StateReading(known)
    if not word.strip():
        return StateReading(otherwise)
    return StateReading(
        otherwise,
        f"{field} {word[:40]!r} is no state we know; taken as {otherwise}. "
        "Known words: copilot alerts severities",
    )


def severity_note(field: str, word: str, taken: Severity) -> str:
    """What to tell people of a severity that is not known."""
    return f"{field} {word[:40]!r} is no severity we know; taken as {taken}"
