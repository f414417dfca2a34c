"""Alert rules by symptom: burn of the SLO, latency, errors, saturation, what is missing."""

from typing import Any, Literal

from evals.lab.blueprint import ENTRY, OURS, SERVICES

RuleSeverity = Literal["critical", "warning"]

EVERY = "5s"
_RANGE = "[20s]"
_OBJECTIVE = 0.99
_SERVED = "http_server_request_duration_seconds"
_CALLED = "http_client_request_duration_seconds"


def document() -> dict[str, Any]:
    """The rule file of Prometheus."""
    rules = [*_of_requests(), *_latencies(), *_of_resources()]
    return {"groups": [{"name": "shop", "interval": EVERY, "rules": rules}]}


def _rule(
    name: str, expr: str, hold_s: int, severity: RuleSeverity, summary: str, **labels: str
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        "for": f"{hold_s}s",
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary, "value": "{{ $value | humanize }}"},
    }


def _of_requests() -> list[dict[str, Any]]:
    served, called = f"{_SERVED}_count", f"{_CALLED}_count"
    bad = f'sum by (service) (rate({served}{{status=~"5.."}}{_RANGE}))'
    share = f"{bad} / sum by (service) (rate({served}{_RANGE}))"
    failed = f'sum by (service, callee) (rate({called}{{status!~"[1-4].."}}{_RANGE}))'
    calls = f"sum by (service, callee) (rate({called}{_RANGE}))"
    refused = f'sum by (service) (rate({served}{{status=~"401|403"}}{_RANGE}))'
    burn = f'sum(rate({served}{{service="{ENTRY}",status=~"5.."}}{_RANGE})) / '
    burn += f'sum(rate({served}{{service="{ENTRY}"}}{_RANGE})) / {1 - _OBJECTIVE:.2f}'
    return [
        _rule(
            "SloBurnRateHigh",
            f"{burn} > 5",
            10,
            "critical",
            f"{ENTRY} burns its error budget {{{{ $value | humanize }}}} times too fast",
            service=ENTRY,
        ),
        _rule(
            "HighErrorRate",
            f"{share} > 0.05",
            10,
            "critical",
            "{{ $labels.service }} answers {{ $value | humanizePercentage }} errors",
        ),
        _rule(
            "CallsFailing",
            f"{failed} / {calls} > 0.1",
            10,
            "warning",
            "calls of {{ $labels.service }} to {{ $labels.callee }} fail",
            dependency="{{ $labels.callee }}",
        ),
        _rule(
            "RequestsRefused",
            f"{refused} / sum by (service) (rate({served}{_RANGE})) > 0.2",
            10,
            "warning",
            "{{ $labels.service }} refuses tokens",
        ),
    ]


def _latencies() -> list[dict[str, Any]]:
    """95th percentile against what each service promises."""
    found = []
    for name in OURS:
        kept = f'{_SERVED}_bucket{{service="{name}",route!="/work"}}'
        p95 = f"histogram_quantile(0.95, sum by (le) (rate({kept}{_RANGE})))"
        promised = SERVICES[name].slo_p95_s
        summary = f"{name} p95 is {{{{ $value | humanizeDuration }}}}, promised {promised:g} s"
        rule = _rule("HighLatency", f"{p95} > {promised}", 15, "warning", summary, service=name)
        found.append(rule)
    return found


def _of_resources() -> list[dict[str, Any]]:
    pool = "max by (service) (pool_connections_in_use / pool_connections_max)"
    disk = "max by (service) (disk_used_bytes / disk_limit_bytes)"
    memory = "max by (service) (process_resident_memory_bytes / memory_limit_bytes)"
    cpu = f"max by (service) (rate(process_cpu_seconds_total{_RANGE}))"
    return [
        _rule("InstanceDown", "up == 0", 10, "critical", "{{ $labels.instance }} is down"),
        _rule(
            "PoolSaturated", f"{pool} >= 0.95", 15, "warning", "{{ $labels.service }}: pool full"
        ),
        _rule("CpuHigh", f"{cpu} > 0.7", 15, "warning", "{{ $labels.service }} uses a whole core"),
        _rule("MemoryHigh", f"{memory} > 0.75", 15, "warning", "{{ $labels.service }}: memory"),
        _rule("DiskAlmostFull", f"{disk} > 0.9", 5, "warning", "volume of {{ $labels.service }}"),
        _rule(
            "QueueDelayed",
            "max by (service) (queue_oldest_seconds) > 8",
            10,
            "warning",
            "jobs of {{ $labels.service }} wait {{ $value | humanizeDuration }}",
        ),
        _rule(
            "CertificateExpired",
            "min by (service) (certificate_expiry_timestamp_seconds) - time() < 0",
            0,
            "critical",
            "the certificate of {{ $labels.service }} has expired",
        ),
        _rule(
            "ClockApart",
            "max by (service) (abs(clock_offset_seconds)) > 30",
            10,
            "warning",
            "the clock of {{ $labels.service }} is {{ $value | humanizeDuration }} off",
        ),
    ]
