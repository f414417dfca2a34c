"""Measure components around a known onset: one module per kind of evidence."""

from tools.topology_walker.config import WalkerConfig
from tools.topology_walker.observe.edges import edge_findings, retry_findings
from tools.topology_walker.observe.flows import flow_findings
from tools.topology_walker.observe.metrics import deviations, moved
from tools.topology_walker.observe.reported import alert_findings, change_findings
from tools.topology_walker.observe.traces import trace_findings
from tools.types import Finding, Telemetry, Timestamp

DEFAULT = WalkerConfig()


def observe(
    telemetry: Telemetry, onset: Timestamp, config: WalkerConfig = DEFAULT
) -> list[Finding]:
    """Facts about components since the onset, strongest first.

    Robust deviations of metrics, latency and errors of call edges, own time and time on the wire
    of spans, steps of code no longer reached, changes before the onset with canary against
    stable, and the alerts. Each finding carries the figures the ranking needs.
    """
    series = moved(telemetry, onset)
    found = [
        *deviations(series, telemetry, onset, config),
        *edge_findings(series, telemetry, onset, config),
        *retry_findings(telemetry, onset),
        *trace_findings(telemetry, onset, config),
        *flow_findings(telemetry, onset, config),
        *change_findings(telemetry, onset, config),
        *alert_findings(telemetry, onset, config),
    ]
    found.sort(key=lambda finding: (-finding.strength, finding.subject, finding.name))
    return found[: config.max_findings]
