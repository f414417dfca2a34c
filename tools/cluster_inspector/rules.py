"""Every rule of the inspector: where it stops an application, and the kind of fault it names.

How looks, state and rules go together: docs/decisions/cluster-inspector.md.
"""

from tools.cluster_inspector.findings import ClusterFinding, InspectorRule, Stage
from tools.log_retriever.sanitize import sanitize
from tools.types import FaultKind


def _stage(stage: Stage, kind: FaultKind, **titles: str) -> dict[str, InspectorRule]:
    return {
        (name := key.replace("_", "-")): InspectorRule(
            id=name, stage=stage, fault_kind=kind, title=title
        )
        for key, title in titles.items()
    }


RULES: dict[str, InspectorRule] = {
    **_stage(
        "admission",
        "admission",
        quota_cpu="the namespace's CPU quota is used up",
        quota_memory="the namespace's memory quota is used up",
        quota_pods="the namespace's pod quota is used up",
        quota_services="the namespace's service quota is used up",
        quota_storage="the namespace's storage quota is used up",
        quota_other="another quota of the namespace is used up",
        quota_unspecified="the quota asks for a request or limit that the pod does not state",
        limit_range="the namespace's limit range does not allow what the pod asks for",
        webhook_dead="an admission webhook's service does not answer",
        service_account_missing="the service account does not exist",
        admission_refused="the API server refused the pod",
    ),
    **_stage(
        "scheduling",
        "scheduling",
        node_cordoned="the nodes it may run on are cordoned",
        node_selector_unmet="no node carries the labels of its node selector",
        node_affinity_unmet="no node satisfies its node affinity",
        pod_affinity_unmet="no node is near the pods it asks for",
        pod_anti_affinity_unmet="its anti-affinity leaves fewer nodes than replicas",
        taint_untolerated="the nodes' taints are not tolerated",
        cpu_insufficient="no node has the CPU it requests",
        memory_insufficient="no node has the memory it requests",
        resource_insufficient="no node has another resource it requests",
        volume_occupied="the volume is bound to another claim",
        claim_selector_unmet="no volume carries the labels the claim selects",
        claim_class_unmet="no volume or provisioner has the claim's storage class",
        claim_access_mode_unmet="no volume offers the claim's access mode",
        claim_capacity_unmet="no volume is as large as the claim",
        claim_missing="the claim does not exist",
        claim_unbound="the claim is not bound",
        volume_elsewhere="the volume is tied to nodes it may not run on",
        claim_lost="the claim's volume is gone",
        volume_failed="the volume could not be reclaimed",
        pod_limit="the nodes hold as many pods as they may",
        scheduling_gated="a scheduling gate holds the pod back",
        unschedulable="the scheduler finds no node",
    ),
    **_stage(
        "startup",
        "startup",
        image_not_found="the image or its tag does not exist",
        image_unpulled="the image cannot be pulled, for a reason not seen",
        pull_rate_limited="the registry limits pulls: credentials or a mirror are needed",
        registry_unresolvable="the registry's name does not resolve",
        registry_unreachable="the registry does not answer",
        pull_secret_missing="the registry asks for credentials that are missing",
        secret_missing="a secret it needs does not exist",
        config_map_missing="a config map it needs does not exist",
        volume_permission_denied="a mounted volume may not be read or written",
        volume_not_mounted="a volume cannot be mounted",
        container_not_created="the container cannot be created",
        pod_not_running="the pod does not run, and nothing says why",
    ),
    **_stage(
        "runtime",
        "memory_pressure",
        out_of_memory="a container was killed at its memory limit",
    ),
    **_stage(
        "runtime",
        "bad_config",
        liveness_protocol="the liveness probe speaks another protocol than the port",
        liveness_port="the liveness probe asks a port nobody listens on",
        liveness_timing="the liveness probe gives less time than the start needs",
        liveness_failed="the liveness probe fails",
        readiness_protocol="the readiness probe speaks another protocol than the port",
        readiness_port="the readiness probe asks a port nobody listens on",
        readiness_timing="the readiness probe gives less time than an answer needs",
        readiness_failed="the readiness probe fails",
        startup_failed="the startup probe fails",
        port_in_use="two containers of the pod want one port",
        database_credentials="the database refuses the user or the password",
        database_port="the database is asked at a port it does not listen on",
        rbac_forbidden="its service account may not do what it tries",
        schedule_invalid="the cron job's schedule is not one",
        schedule_missed="the cron job misses its starts",
        schedule_suspended="it is suspended and starts nothing",
        hpa_target_missing="what the autoscaler should scale does not exist",
        hpa_no_resources="the autoscaler needs requests that the containers do not state",
        hpa_unable="the autoscaler cannot read its metrics or cannot scale",
        disruption_blocked="the disruption budget lets no pod be evicted",
        deletion_held="a finalizer holds its deletion",
    ),
    **_stage("runtime", "bad_deploy", rollout_stuck="the rollout does not come to its end"),
    **_stage("runtime", "cpu_saturation", hpa_limited="the autoscaler is held at its limit"),
    **_stage("runtime", "dependency_down", database_down="the database does not answer"),
    **_stage(
        "runtime",
        "errors",
        database_read_only="the database accepts no writes",
        requests_fail="its requests fail, for a reason not seen from outside",
    ),
    **_stage(
        "runtime", "pool_exhaustion", database_connections="the database has no connection left"
    ),
    **_stage(
        "runtime",
        "process_down",
        zero_replicas="the workload is scaled to zero",
        container_exits="a container exits again and again",
        pod_evicted="the pod was evicted",
        replicas_unavailable="fewer pods are ready than wanted",
        job_failed="the job failed",
    ),
    **_stage(
        "routing",
        "routing",
        service_selector_unmet="the service selects no pod",
        service_target_port="the service sends to a port nobody listens on",
        service_protocol="the service speaks another protocol than the pods",
        service_missing="the service does not exist",
        environment_address="an address in the environment leads nowhere",
        gateway_route="the gateway routes to the wrong place",
        policy_isolates="a network policy isolates the pods",
        no_endpoints="no pod stands behind the service",
        endpoints_not_ready="no pod behind the service is ready",
        ingress_backend_missing="the ingress sends to a service or port that does not exist",
        ingress_class_missing="no controller serves the ingress's class",
        tls_secret_missing="the secret with the certificate does not exist",
        gateway_class_missing="the gateway's class does not exist",
        gateway_not_ready="its controller has not accepted or not set up the gateway",
        route_backend="the route sends to a service or port that does not exist",
        route_parent="no gateway carries the route",
    ),
    **_stage(
        "routing", "certificate_expired", certificate_not_ready="the certificate is not issued"
    ),
    **_stage("routing", "dns_failure", name_resolution="its names do not resolve"),
    **_stage("performance", "cpu_saturation", cpu_saturated="it is throttled or burns its CPU"),
    **_stage("performance", "network_delay", pod_network_delay="its network answers late"),
    **_stage("performance", "network_loss", pod_network_loss="its network loses packets"),
    **_stage("infrastructure", "network_delay", node_network_delay="the node's network is slow"),
    **_stage(
        "infrastructure", "network_loss", node_network_loss="the node's network loses packets"
    ),
    **_stage(
        "infrastructure",
        "node_fault",
        container_runtime_down="the node's container runtime is down",
        kubelet_down="the node's kubelet is down",
        kube_proxy_down="the node's kube-proxy is down",
        scheduler_down="the scheduler is down",
        control_plane_down="a control plane service is down",
        node_service_down="a service of the node is down",
        node_not_ready="the node is not ready",
        node_pressure="the node runs out of a resource",
        node_problem="the node reports a problem of its own",
    ),
}


def broken(
    rule: str,
    subject: str,
    *,
    on: str,
    field: str,
    observed: str,
    expected: str,
    score: float,
    evidence: str = "",
) -> ClusterFinding:
    """A finding of that rule; `on` is `Kind/name`; foreign text is kept short and printable."""
    kind, _, name = on.partition("/")
    scope, _, owner = subject.partition("/")
    owner = sanitize(owner, 253) or "unnamed"
    seen = sanitize(observed, 200)
    return ClusterFinding(
        rule=RULES[rule],
        object=f"{scope}/{owner}",
        kind=kind,
        name=name,
        field=field,
        observed=seen,
        expected=sanitize(expected, 200),
        cause=f"{owner}: {RULES[rule].title} ({field}: {seen})",
        score=score,
        evidence=sanitize(evidence, 400),
    )
