"""One episode of each sender: what it posts when trouble begins, and what differs at its end."""

import copy
import json
from dataclasses import dataclass, field
from typing import Any

NOW = 1_790_000_400.0
BEGAN = 1_790_000_000.0  # 2026-09-21T14:13:20Z
BEGAN_TEXT = "2026-09-21T14:13:20Z"

Document = Any


@dataclass(frozen=True)
class Episode:
    """The document of a firing alert, what differs when it has ended, and what is read of it."""

    route: str
    firing: Document
    ended: dict[str, Any]
    reads: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)


def sns(message: dict[str, Any], kind: str = "Notification") -> dict[str, Any]:
    return {
        "Type": kind, "MessageId": "m1", "TopicArn": "arn:aws:sns:eu-west-1:1:pager",
        "Message": json.dumps(message), "Timestamp": BEGAN_TEXT,
    }  # fmt: skip


QUEUE = {
    "AlarmName": "queue-old", "AlarmDescription": "oldest message", "AWSAccountId": "1",
    "NewStateValue": "ALARM", "NewStateReason": "crossed",
    "StateChangeTime": "2026-09-21T14:13:20.000+0000",
    "Region": "EU (Ireland)", "AlarmArn": "arn:aws:cloudwatch:eu-west-1:1:alarm:queue-old",
    "Trigger": {
        "MetricName": "ApproximateAgeOfOldestMessage", "Namespace": "AWS/SQS",
        "Dimensions": [{"name": "QueueName", "value": "mails"}],
    },
}  # fmt: skip

ALIYUN = {
    "alertName": "连接数过高", "alertState": "ALERT", "triggerLevel": "CRITICAL", "curValue": "951",
    "dimensions": "{instanceId=rm-1, userId=7}", "expression": "$Average>=900", "unit": "个",
    "metricName": "连接数", "namespace": "acs_rds_dashboard", "ruleId": "rule-1",
    "regionId": "null",
    "timestamp": "1790000000000", "preTriggerLevel": "null", "instanceName": "orders-db",
}  # fmt: skip

EPISODES: dict[str, Episode] = {
    "grafana legacy": Episode(
        "grafana",
        {"ruleId": 7, "orgId": 1, "ruleName": "Queue depth", "state": "alerting", "tags": {},
         "title": "[Alerting] Queue depth", "message": "too deep", "ruleUrl": "http://g/d/q",
         "evalMatches": [{"value": 412.5, "metric": "depth", "tags": {"queue": "mails"}}]},
        {"state": "ok", "title": "[OK] Queue depth", "evalMatches": None, "message": None},
        {"name": "Queue depth", "value": 412.5, "generator_url": "http://g/d/q"},
        {"queue": "mails"},
    ),
    "pagerduty webhook": Episode(
        "pagerduty",
        {"event": {"id": "01", "event_type": "incident.triggered", "resource_type": "incident",
                   "occurred_at": BEGAN_TEXT, "agent": None, "client": None,
                   "data": {"id": "Q1", "type": "incident", "incident_key": "k", "number": 9,
                            "status": "triggered", "title": "Mails are late", "urgency": "low",
                            "created_at": BEGAN_TEXT, "html_url": "https://pd/Q1",
                            "service": {"id": "S1", "summary": "mailer"}, "priority": None}}},
        {"event.event_type": "incident.resolved", "event.data.status": "resolved",
         "event.occurred_at": "2026-09-21T14:15:20Z"},
        {"name": "Mails are late", "severity": "low", "service": "mailer", "starts_at": BEGAN},
    ),
    "datadog": Episode(
        "datadog",
        {"title": "[Triggered on {host:web-3}] High load", "alert_transition": "Triggered",
         "alert_id": "1234", "aggreg_key": "9bd4", "alert_scope": "host:web-3", "priority": "P2",
         "tags": "env:prod,monitor,service:web", "link": "https://dd/1", "date": 1790000000000,
         "hostname": "web-3", "body": "load above 9"},
        {"alert_transition": "Recovered", "title": "[Recovered on {host:web-3}] High load",
         "date": 1790000200000},
        {"name": "High load", "severity": "high", "service": "web", "starts_at": BEGAN},
        {"env": "prod", "host": "web-3", "service": "web"},
    ),
    "datadog without a template": Episode(
        "datadog",
        {"body": "b", "last_updated": "1790000000000", "event_type": "metric_alert_monitor",
         "title": "[P1] [Triggered] Checkout is slow", "date": "1790000000000",
         "org": {"id": "1", "name": "o"}, "id": "99"},
        {"title": "[P1] [Recovered] Checkout is slow", "id": "100"},
        {"name": "Checkout is slow", "severity": "warning"},
    ),
    "nightingale": Episode(
        "n9e",
        {"id": 5, "hash": "abc123", "rule_id": 3, "rule_name": "磁盘将满", "severity": 2,
         "is_recovered": False, "tags": ["ident=db-1", "path=/var=x"], "target_ident": "db-1",
         "trigger_time": 1790000100, "first_trigger_time": 1790000000, "trigger_value": "93",
         "rule_note": None, "annotations": None, "last_eval_time": 1790000100},
        {"is_recovered": True, "last_eval_time": 1790000300},
        {"name": "磁盘将满", "severity": "warning", "starts_at": BEGAN, "value": 93.0,
         "fingerprint": "abc123"},
        {"ident": "db-1", "path": "/var=x"},
    ),
    "zabbix": Episode(
        "zabbix",
        {"event_id": "901", "trigger_id": "55", "event_name": "Swap is used", "event_value": "1",
         "event_nseverity": "5", "event_severity": "Disaster", "host_name": "db-1",
         "host_ip": "10.0.0.9", "event_tags": '[{"tag":"scope","value":"capacity"}]',
         "event_timestamp": "1790000000", "event_update_status": "0",
         "trigger_description": "{TRIGGER.DESCRIPTION}"},
        {"event_value": "0"},
        {"name": "Swap is used", "severity": "critical", "starts_at": BEGAN},
        {"host": "db-1", "scope": "capacity"},
    ),
    "zabbix in the macros' own names": Episode(
        "zabbix",
        {"EVENT.ID": 901, "TRIGGER.ID": 55, "EVENT.NAME": "Swap is used", "EVENT.VALUE": 1,
         "TRIGGER.SEVERITY": "平均", "EVENT.NSEVERITY": 3, "HOST.NAME": "db-1",
         "EVENT.TAGS": "a:b"},
        {"EVENT.VALUE": 0},
        {"name": "Swap is used", "severity": "warning"},
    ),
    "opsgenie": Episode(
        "opsgenie",
        {"action": "Create", "integrationName": "hook", "source": {"name": "web"},
         "alert": {"alias": "mailer-late", "alertId": "a-1", "tinyId": "7", "message": "Mails late",
                   "tags": ["env:prod", "urgent"], "details": {"service": "mailer"},
                   "priority": "P2", "createdAt": 1790000000000, "entity": "",
                   "updatedAt": 1790000000000000000}},
        {"action": "Close", "alert.updatedAt": 1790000300000000000},
        {"name": "Mails late", "severity": "high", "service": "mailer", "starts_at": BEGAN},
        {"env": "prod", "urgent": "true"},
    ),
    "sentry metric alert": Episode(
        "sentry",
        {"action": "critical", "installation": {"uuid": "u"},
         "data": {"metric_alert": {"id": "4", "title": "Sleepy Otter", "date_started": BEGAN_TEXT,
                                   "date_closed": None,
                                   "alert_rule": {"name": "Errors", "projects": ["mailer"]}},
                  "description_title": "Critical: Errors", "web_url": "https://s/4"}},
        {"action": "resolved", "data.description_title": "Resolved: Errors"},
        {"name": "Errors", "severity": "critical", "starts_at": BEGAN},
        {"project": "mailer"},
    ),
    "sentry issue": Episode(
        "sentry",
        {"action": "created", "installation": {"uuid": "u"},
         "data": {"issue": {"id": "77", "title": "KeyError: 'to'", "level": "fatal",
                            "firstSeen": BEGAN_TEXT, "project": {"slug": "mailer"}}}},
        {"action": "resolved"},
        {"name": "KeyError: 'to'", "severity": "critical", "starts_at": BEGAN},
    ),
    "new relic workflow": Episode(
        "newrelic",
        {"id": "i-1", "issueUrl": "https://nr/i-1", "title": "Apdex < 0.7", "priority": "HIGH",
         "state": "ACTIVATED", "createdAt": 1790000000000, "updatedAt": 1790000000000,
         "alertConditionNames": ["Apdex"], "alertPolicyNames": ["Web"],
         "impactedEntities": ["web"], "totalIncidents": 1},
        {"state": "CLOSED", "updatedAt": 1790000300000},
        {"name": "Apdex", "severity": "high", "service": "web", "starts_at": BEGAN},
    ),
    "new relic channel": Episode(
        "newrelic",
        {"current_state": "open", "condition_name": "Disk", "policy_name": "Hosts",
         "incident_id": 12, "severity": "CRITICAL", "details": "disk > 90",
         "timestamp": 1790000000000,
         "targets": [{"id": "1", "name": "db-1", "product": "INFRASTRUCTURE", "labels": {}}]},
        {"current_state": "closed", "timestamp": 1790000300000},
        {"name": "Disk", "severity": "critical", "starts_at": BEGAN},
        {"host": "db-1"},
    ),
    "sns": Episode(
        "sns",
        sns(QUEUE),
        {"Message": json.dumps({**QUEUE, "NewStateValue": "OK"})},
        {"name": "queue-old", "starts_at": BEGAN},
        {"queue": "mails", "QueueName": "mails", "region": "eu-west-1"},
    ),
    "eventbridge": Episode(
        "eventbridge",
        {"version": "0", "id": "e", "detail-type": "CloudWatch Alarm State Change",
         "source": "aws.cloudwatch", "account": "1", "time": BEGAN_TEXT, "region": "eu-west-1",
         "resources": ["arn:aws:cloudwatch:eu-west-1:1:alarm:cpu"],
         "detail": {"alarmName": "cpu", "state": {"value": "ALARM", "reason": "r",
                                                  "timestamp": "2026-09-21T14:13:20.000+0000"},
                    "configuration": {"description": "d", "metrics": [
                        {"id": "m", "metricStat": {"metric": {
                            "name": "CPUUtilization", "namespace": "AWS/EC2",
                            "dimensions": {"InstanceId": "i-1"}}}}]}}},
        {"detail.state.value": "OK", "detail.state.timestamp": "2026-09-21T14:18:20.000+0000"},
        {"name": "cpu", "starts_at": BEGAN},
        {"host": "i-1", "metric": "CPUUtilization"},
    ),
    "azure": Episode(
        "azure",
        {"schemaId": "azureMonitorCommonAlertSchema",
         "data": {"essentials": {
             "alertId": "/subscriptions/s/providers/Microsoft.AlertsManagement/alerts/1",
             "alertRule": "mail-queue", "severity": "Sev0", "monitorCondition": "Fired",
             "signalType": "Metric", "firedDateTime": "2026-09-21T14:13:20.0000000Z",
             "alertTargetIDs": ["/subscriptions/s/resourcegroups/rg/providers/microsoft.servicebus/"
                                "namespaces/mails"], "configurationItems": ["mails"]},
             "alertContext": {"condition": {"allOf": [{"metricName": "Active", "metricValue": 812.0,
                                                      "dimensions": [{"name": "Q",
                                                      "value": "a"}]}]}},
             "customProperties": {"team": "mail"}}},
        {"data.essentials.monitorCondition": "Resolved",
         "data.essentials.resolvedDateTime": "2026-09-21T14:18:20.0000000Z"},
        {"name": "mail-queue", "severity": "critical", "starts_at": BEGAN, "value": 812.0},
        {"resource": "mails", "resource_group": "rg", "Q": "a", "team": "mail"},
    ),
    "google cloud": Episode(
        "gcp",
        {"version": "1.2",
         "incident": {"incident_id": "0.x", "scoping_project_id": "shop", "state": "open",
                      "started_at": 1790000000, "ended_at": None, "policy_name": "Restarts",
                      "condition_name": "c", "severity": "No severity", "summary": "restarts",
                      "resource": {"type": "k8s_container", "labels": {
                          "pod_name": "mailer-1", "namespace_name": "mail", "container_name": "m"}},
                      "observed_value": "6.000", "url": "https://console/0.x"}},
        {"incident.state": "closed", "incident.ended_at": 1790000300},
        {"name": "Restarts", "severity": "warning", "starts_at": BEGAN, "value": 6.0},
        {"pod": "mailer-1", "namespace": "mail", "container": "m", "project": "shop"},
    ),
    "aliyun": Episode(
        "aliyun",
        ALIYUN,
        {"alertState": "OK", "triggerLevel": "OK", "preTriggerLevel": "CRITICAL",
         "timestamp": "1790000300000"},
        {"name": "连接数过高", "severity": "critical", "starts_at": BEGAN, "value": 951.0},
        {"instanceId": "rm-1"},
    ),
    "tencent": Episode(
        "tencent",
        {"sessionId": "s1", "alarmStatus": "1", "alarmType": "metric",
         "alarmObjInfo": {"region": "gz", "namespace": "qce/cvm",
                          "dimensions": {"unInstanceId": "ins-1", "objId": "o",
                          "objName": "10.0.0.1"}},
         "alarmPolicyInfo": {"policyId": "policy-1", "policyName": "主机",
         "policyType": "cvm_device",
                             "conditions": {"metricName": "cpu_usage",
                             "metricShowName": "CPU利用率",
                                            "calcType": ">", "calcValue": "90",
                                            "currentValue": "97",
                                            "unit": "%"}},
         "firstOccurTime": "2026-09-21 22:13:20", "durationTime": 60, "recoverTime": "0"},
        {"alarmStatus": 0, "sessionId": "s2", "recoverTime": "2026-09-21 22:18:20"},
        {"name": "主机: CPU利用率", "starts_at": BEGAN, "value": 97.0},
        {"host": "ins-1", "region": "gz"},
    ),
    "huawei by smn": Episode(
        "huawei",
        {"type": "Notification", "topic_urn": "urn:smn:cn-north-4:1:pager", "message_id": "m",
         "message": json.dumps({"alarm_id": "al1", "alarm_name": "内存", "alarm_status": "alarm",
                                "alarm_level": 2, "namespace": "SYS.ECS", "metric_name": "mem_util",
                                "dimension": "instance_id:i-1", "resource_name": "web-1",
                                "time": 1790000000000})},
        {"message": json.dumps({"alarm_id": "al1", "alarm_name": "内存", "alarm_status": "ok",
                                "alarm_level": 2, "namespace": "SYS.ECS",
                                "dimension": "instance_id:i-1", "resource_name": "web-1"})},
        {"name": "内存", "severity": "high", "starts_at": BEGAN},
        {"host": "web-1", "instance_id": "i-1"},
    ),
    "huawei by a template": Episode(
        "huawei",
        {"alarmId": "al1", "alarmName": "cpu", "alarmStatus": "alarm", "alarmLevel": "Critical",
         "resourceId": "r-1", "resourceName": "web-1", "regionId": "cn-north-4",
         "nameSpace": "SYS.RDS",
         "time": 1790000000000, "alarmDesc": None},
        {"alarmStatus": "ok"},
        {"name": "cpu", "severity": "critical", "starts_at": BEGAN},
        {"resource": "web-1"},
    ),
    "uptime kuma": Episode(
        "uptimekuma",
        {"heartbeat": {"monitorID": 3, "status": 0, "time": "2026-09-21 14:13:20.000",
                       "msg": "timeout", "important": True, "ping": None},
         "monitor": {"id": 3, "name": "Mail relay", "url": "https://", "hostname": "relay.example",
                     "port": 25, "type": "port", "tags": [{"name": "team", "value": "mail"}]},
         "msg": "[Mail relay] [🔴 Down] timeout"},
        {"heartbeat.status": 1, "msg": "[Mail relay] [✅ Up]"},
        {"name": "Mail relay", "severity": "critical", "starts_at": BEGAN},
        {"instance": "relay.example:25", "team": "mail"},
    ),
    "arms": Episode(
        "arms",
        {"version": "4", "groupKey": "g", "status": "firing", "receiver": "r",
         "alerts": [{"status": "firing", "startsAt": BEGAN_TEXT, "endsAt": "2026-09-21T14:20:00Z",
                     "labels": {"alertname": "内存", "_aliyun_arms_alert_level": "ERROR",
                     "pod": "p-1"},
                     "annotations": {"value": "15.5"}, "fingerprint": "f1"}]},
        {"alerts.0.status": "resolved"},
        {"name": "内存", "severity": "high", "starts_at": BEGAN, "value": 15.5,
        "fingerprint": "f1"},
    ),
}  # fmt: skip


def changed(document: Document, changes: dict[str, Any]) -> Document:
    """A copy with values at dotted paths replaced; a key with a dot of its own is found whole."""
    fresh = copy.deepcopy(document)
    for path, value in changes.items():
        parts = [path] if path in fresh else path.split(".")
        place = fresh
        for part in parts[:-1]:
            place = place[int(part)] if isinstance(place, list) else place[part]
        place[parts[-1]] = value
    return fresh
