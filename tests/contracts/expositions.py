"""What exporters, libraries and meshes tell, in fragments, and what has to be read of each.

A line is a series and how it goes on: `+9` grows by 9 a second and begins anew once, `=7` stays.
Each fragment is scraped from a target of its own. Names and labels: the source of its set.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

START = 1_700_000_100.0
EVERY_S = 15.0
COUNT = 81  # twenty minutes
RESET = 60
"""The step at which every counter begins anew."""

END = START + EVERY_S * (COUNT - 1)


@dataclass(frozen=True)
class Fragment:
    """The set it is read by, its text, and the values that have to be read, by series."""

    set: str
    text: str
    told: dict[str, float] = field(default_factory=dict)


def _served(name: str, labels: str, ok: str, failed: str, slow: float = 1.0) -> str:
    """8 requests a second of which 2 fail; 95 % take less than `0.2`, all less than `slow`."""
    lines = []
    for status, per_s in ((ok, 6.0), (failed, 2.0)):
        both = f"{labels},{status}"
        lines += [f"{name}_count{{{both}}} +{per_s}", f"{name}_sum{{{both}}} +{0.1 * slow * per_s}"]
        for bound, share in ((0.2 * slow, 0.95), (slow, 1.0)):
            lines.append(f'{name}_bucket{{{both},le="{bound:g}"}} +{share * per_s}')
        lines.append(f'{name}_bucket{{{both},le="+Inf"}} +{per_s}')
    return "\n".join(lines)


def _red(owner: str, rate: str = "request_rate") -> dict[str, float]:
    return {
        f"{owner}|{rate}": 8.0,
        f"{owner}|error_pct": 25.0,
        f"{owner}|latency_p95_ms": 200.0,
        f"{owner}|latency_avg_ms": 100.0,
    }


FRAGMENTS: dict[str, Fragment] = {
    "OpenTelemetry HTTP, new names": Fragment(
        "OpenTelemetry HTTP",
        _served(
            "http_server_request_duration_seconds",
            'job="crm/letters",http_route="/send"',
            'http_response_status_code="200"',
            'http_response_status_code="503",error_type="503"',
        ),
        _red("letters"),
    ),
    "OpenTelemetry HTTP, old names, through a collector": Fragment(
        "OpenTelemetry HTTP",
        _served(
            "http_server_duration_milliseconds",
            'exported_job="stamps",service="otel-collector",pod="otel-collector-0"',
            'http_status_code="200"',
            'http_status_code="500"',
            slow=1000.0,
        ),
        _red("stamps"),
    ),
    "OpenTelemetry HTTP, calls": Fragment(
        "OpenTelemetry HTTP",
        _served(
            "http_client_request_duration_seconds",
            'service_name="letters",server_address="stamps.crm.svc.cluster.local",server_port="80"',
            'http_response_status_code="404"',
            'http_response_status_code="",error_type="timeout"',
        ),
        _red("letters->stamps", "calls"),
    ),
    "OpenTelemetry RPC, new names": Fragment(
        "OpenTelemetry RPC",
        _served(
            "rpc_server_call_duration_seconds",
            'service_name="quotes"',
            'rpc_response_status_code="OK"',
            'rpc_response_status_code="UNAVAILABLE",error_type="UNAVAILABLE"',
        ),
        _red("quotes"),
    ),
    "OpenTelemetry RPC, old names": Fragment(
        "OpenTelemetry RPC",
        _served(
            "rpc_server_duration_milliseconds",
            'service_name="rates",rpc_system="grpc"',
            'rpc_grpc_status_code="0"',
            'rpc_grpc_status_code="13"',
            slow=1000.0,
        ),
        _red("rates"),
    ),
    "gRPC middleware": Fragment(
        "gRPC middleware",
        'grpc_server_handled_total{service="atlas",grpc_code="OK",grpc_service="m.Maps"} +6\n'
        'grpc_server_handled_total{service="atlas",grpc_code="Unavailable"} +2\n'
        'grpc_server_handling_seconds_count{service="atlas"} +8\n'
        'grpc_server_handling_seconds_sum{service="atlas"} +0.8',
        {
            "atlas|request_rate": 8.0,
            "atlas|error_pct": 25.0,
            "atlas|latency_avg_ms": 100.0,
        },
    ),
    "client libraries": Fragment(
        "HTTP of client libraries",
        'http_requests_total{app="blog",code="200"} +6\n'
        'http_requests_total{app="blog",code="502"} +2',
        {"blog|request_rate": 8.0, "blog|error_pct": 25.0},
    ),
    "a summary of a client library": Fragment(
        "HTTP of client libraries",
        'http_request_duration_seconds{app="wiki",quantile="0.95"} =0.2\n'
        'http_request_duration_seconds_count{app="wiki",code="200"} +8\n'
        'http_request_duration_seconds_sum{app="wiki",code="200"} +0.8',
        {"wiki|latency_p95_ms": 200.0, "wiki|latency_avg_ms": 100.0, "wiki|error_pct": 0.0},
    ),
    "retries": Fragment(
        "retries", 'retries_total{service="blog",target="wiki"} +3', {"blog->wiki|retries": 3.0}
    ),
    "process": Fragment(
        "process",
        'process_cpu_seconds_total{service="blog"} +0.5\n'
        'process_resident_memory_bytes{service="blog"} =1e8\n'
        'process_open_fds{service="blog"} =900\nprocess_max_fds{service="blog"} =1000',
        {
            "blog|cpu_cores": 0.5,
            "blog|memory_bytes": 1e8,
            "blog|descriptors_used_pct": 90.0,
            "blog|instances_up": 1.0,
        },
    ),
    "pools": Fragment(
        "pools and queues",
        'pool_connections_in_use{service="blog"} =9\npool_connections_max{service="blog"} =10\n'
        'cache_hits_total{service="blog"} +3\ncache_misses_total{service="blog"} +1',
        {"blog|pool_used_pct": 90.0, "blog|cache_miss_pct": 25.0},
    ),
    "Spring Boot": Fragment(
        "Spring Boot",
        _served(
            "http_server_requests_seconds",
            'application="ledger",uri="/entries"',
            'status="200",outcome="SUCCESS"',
            'status="500",outcome="SERVER_ERROR"',
        )
        + '\nhikaricp_connections_active{application="ledger",pool="main"} =9\n'
        'hikaricp_connections_max{application="ledger",pool="main"} =10\n'
        'hikaricp_connections_pending{application="ledger",pool="main"} =4\n'
        'logback_events_total{application="ledger",level="error"} +5\n'
        'logback_events_total{application="ledger",level="info"} +50',
        _red("ledger")
        | {"ledger|pool_used_pct": 90.0, "ledger|pool_pending": 4.0, "ledger|log_errors": 5.0},
    ),
    "OpenTelemetry databases, new names": Fragment(
        "OpenTelemetry databases",
        _served(
            "db_client_operation_duration_seconds",
            'service_name="letters",server_address="crm-db"',
            'db_operation_name="SELECT"',
            'db_operation_name="UPDATE",error_type="57014"',
        )
        + "\n"
        + "\n".join(
            f'db_client_connection_{name}{{service_name="letters",'
            f'db_client_connection_pool_name="p"{more}}} ={value}'
            for name, more, value in (
                ("count", ',db_client_connection_state="used"', 8),
                ("count", ',db_client_connection_state="idle"', 2),
                ("max", "", 10),
            )
        ),
        _red("letters->crm-db", "calls") | {"letters|pool_used_pct": 80.0},
    ),
    "OpenTelemetry databases, old names": Fragment(
        "OpenTelemetry databases",
        'db_client_connections_usage{service_name="stamps",pool_name="p",state="used"} =7\n'
        'db_client_connections_usage{service_name="stamps",pool_name="p",state="idle"} =3\n'
        'db_client_connections_max{service_name="stamps",pool_name="p"} =10\n'
        'db_client_connections_wait_time_milliseconds_bucket{service_name="stamps",le="40"} +9\n'
        'db_client_connections_wait_time_milliseconds_bucket{service_name="stamps",le="+Inf"} +9',
        {"stamps|pool_used_pct": 70.0, "stamps|pool_wait_p95_ms": 38.0},
    ),
    "OpenTelemetry messaging": Fragment(
        "OpenTelemetry messaging",
        _served(
            "messaging_process_duration_seconds",
            'service_name="printer",messaging_destination_name="jobs"',
            'messaging_system="kafka"',
            'messaging_system="kafka",error_type="java.io.IOException"',
        ),
        _red("printer"),
    ),
    "metrics of spans": Fragment(
        "metrics of spans",
        _served(
            "traces_spanmetrics_latency",
            'service="parcels",span_kind="SPAN_KIND_SERVER"',
            'status_code="STATUS_CODE_UNSET"',
            'status_code="STATUS_CODE_ERROR"',
        )
        + '\ntraces_spanmetrics_calls_total{service="parcels",span_kind="SPAN_KIND_CLIENT"} +90\n'
        'traces_service_graph_request_total{client="shopfront",server="parcels"} +8\n'
        'traces_service_graph_request_failed_total{client="shopfront",server="parcels"} +2',
        _red("parcels") | {"shopfront->parcels|calls": 8.0, "shopfront->parcels|error_pct": 25.0},
    ),
    "Istio": Fragment(
        "Istio",
        "\n".join(
            f'istio_requests_total{{reporter="{reporter}",source_workload="till",'
            f'source_workload_namespace="front",destination_workload="stock",'
            f'destination_workload_namespace="back",destination_service_name="stock",'
            f'destination_service_namespace="back",response_code="{code}"}} +{per_s}'
            for reporter in ("source", "destination")
            for code, per_s in (("200", 6), ("503", 2))
        ),
        {
            "till->stock|calls": 8.0,
            "till->stock|error_pct": 25.0,
            "stock|request_rate": 8.0,
            "stock|error_pct": 25.0,
        },
    ),
    "Linkerd": Fragment(
        "Linkerd",
        "\n".join(
            f'response_total{{direction="{direction}",namespace="l",deployment="{own}",'
            f'{peer}classification="{outcome}"}} +{per_s}'
            for direction, own, peer in (
                ("outbound", "kiosk", 'dst_deployment="tickets",dst_namespace="l",'),
                ("inbound", "tickets", ""),
            )
            for outcome, per_s in (("success", 6), ("failure", 2))
        )
        + '\nresponse_latency_ms_bucket{direction="inbound",deployment="tickets",le="40"} +8\n'
        'response_latency_ms_bucket{direction="inbound",deployment="tickets",le="+Inf"} +8',
        {
            "kiosk->tickets|calls": 8.0,
            "kiosk->tickets|error_pct": 25.0,
            "tickets|request_rate": 8.0,
            "tickets|error_pct": 25.0,
            "tickets|latency_p95_ms": 38.0,
        },
    ),
    "ingress-nginx": Fragment(
        "ingress-nginx",
        "\n".join(
            'nginx_ingress_controller_requests{service="ingress-nginx-controller-metrics",'
            'namespace="ingress-nginx",controller_namespace="ingress-nginx",'
            'controller_pod="ingress-nginx-controller-7c489dc7b7-ccrf6",'
            f'exported_namespace="web",exported_service="landing",status="{code}"}} +{per_s}'
            for code, per_s in (("200", 6), ("502", 2))
        ),
        {
            "ingress-nginx-controller->landing|calls": 8.0,
            "ingress-nginx-controller->landing|error_pct": 25.0,
        },
    ),
    "Traefik": Fragment(
        "Traefik",
        _served(
            "traefik_service_request_duration_seconds",
            'app="traefik",service="photos@docker",protocol="http"',
            'code="200"',
            'code="504"',
        ),
        _red("traefik->photos", "calls"),
    ),
    "Envoy": Fragment(
        "Envoy",
        'envoy_cluster_upstream_rq_xx{app="edge",envoy_cluster_name="outbound|80||lens.o.svc",'
        'envoy_response_code_class="2"} +6\n'
        'envoy_cluster_upstream_rq_xx{app="edge",envoy_cluster_name="outbound|80||lens.o.svc",'
        'envoy_response_code_class="5"} +2\n'
        'envoy_cluster_upstream_rq_time_bucket{app="edge",envoy_cluster_name="lens",le="40"} +8\n'
        'envoy_cluster_upstream_rq_time_bucket{app="edge",envoy_cluster_name="lens",le="+Inf"} +8',
        {
            "edge->lens|calls": 8.0,
            "edge->lens|error_pct": 25.0,
            "edge->lens|latency_p95_ms": 38.0,
        },
    ),
    "cAdvisor: one container's name in two workloads": Fragment(
        "cAdvisor",
        'container_cpu_usage_seconds_total{container="app",namespace="shop",pod="cart-1"} +1\n'
        'container_cpu_usage_seconds_total{container="app",namespace="pay",pod="book-1"} +9\n'
        'container_cpu_usage_seconds_total{container="",namespace="pay",pod="book-1"} +10\n'
        'container_memory_working_set_bytes{container="app",namespace="shop",pod="cart-1"} =90\n'
        'container_spec_memory_limit_bytes{container="app",namespace="shop",pod="cart-1"} =100\n'
        'container_memory_working_set_bytes{container="app",namespace="pay",pod="book-1"} =90\n'
        'container_spec_memory_limit_bytes{container="app",namespace="pay",pod="book-1"} =0',
        {
            "cart|container_cpu_cores": 1.0,
            "book|container_cpu_cores": 9.0,
            "cart|memory_used_pct": 90.0,
        },
    ),
    "cAdvisor: one workload's name in two namespaces": Fragment(
        "cAdvisor",
        'container_cpu_usage_seconds_total{container="app",namespace="eu",pod="desk-0"} +2\n'
        'container_cpu_usage_seconds_total{container="app",namespace="us",pod="desk-0"} +3',
        {"eu/desk|container_cpu_cores": 2.0, "us/desk|container_cpu_cores": 3.0},
    ),
    "cAdvisor: throttled is the worst container": Fragment(
        "cAdvisor",
        "\n".join(
            f'container_cpu_cfs_{name}_total{{container="{container}",namespace="shop",'
            f'pod="maps-6d44dcd7dc-l229x"}} +{per_s}'
            for name, container, per_s in (
                ("periods", "app", 10),
                ("throttled_periods", "app", 9),
                ("periods", "proxy", 10),
                ("throttled_periods", "proxy", 0),
            )
        ),
        {"maps|cpu_throttled_pct": 90.0},
    ),
    "kube-state-metrics": Fragment(
        "kube-state-metrics",
        'kube_deployment_status_replicas_available{namespace="shop",deployment="maps"} =3\n'
        'kube_deployment_spec_replicas{namespace="shop",deployment="maps"} =4\n'
        'kube_statefulset_status_replicas_ready{namespace="shop",statefulset="vault"} =1\n'
        'kube_statefulset_replicas{namespace="shop",statefulset="vault"} =2\n'
        'kube_daemonset_status_number_available{namespace="shop",daemonset="logs"} =5\n'
        'kube_daemonset_status_desired_number_scheduled{namespace="shop",daemonset="logs"} =5\n'
        'kube_pod_container_status_restarts_total{namespace="shop",pod="logs-x7k2q"} +0.1\n'
        'kube_pod_container_status_waiting_reason{namespace="shop",pod="vault-1",'
        'reason="CrashLoopBackOff"} =1\n'
        'kube_pod_container_status_waiting_reason{namespace="shop",pod="vault-0",'
        'reason="ContainerCreating"} =1\n'
        'kube_job_status_failed{namespace="shop",job_name="backup-28391820"} =2',
        {
            "maps|replicas_available_pct": 75.0,
            "vault|replicas_available_pct": 50.0,
            "logs|replicas_available_pct": 100.0,
            "logs|container_restarts": 0.1,
            "vault|containers_failing": 1.0,
            "backup|job_failed": 2.0,
        },
    ),
    "kube-state-metrics without honor_labels": Fragment(
        "kube-state-metrics",
        'kube_pod_container_status_restarts_total{namespace="monitoring",pod="ksm-0",'
        'service="ksm",exported_namespace="shop",exported_pod="vans-7c489dc7b7-8z66x"} +0.2',
        {"vans|container_restarts": 0.2},
    ),
    "volumes": Fragment(
        "volumes of the kubelet",
        'kubelet_volume_stats_available_bytes{namespace="shop",persistentvolumeclaim="d-0"} =10\n'
        'kubelet_volume_stats_capacity_bytes{namespace="shop",persistentvolumeclaim="d-0"} =100',
        {"d-0|disk_used_pct": 90.0},
    ),
    "MySQL": Fragment(
        "MySQL",
        'mysql_global_status_questions{job="crm-mysql-exporter"} +40\n'
        'mysql_global_status_threads_connected{job="crm-mysql-exporter"} =90\n'
        'mysql_global_variables_max_connections{job="crm-mysql-exporter"} =100\n'
        'mysql_slave_status_seconds_behind_master{job="crm-mysql-exporter"} =12\n'
        'mysql_global_status_innodb_row_lock_current_waits{job="crm-mysql-exporter"} =3\n'
        'mysql_global_status_handlers_total{job="crm-mysql-exporter",handler="commit"} +9\n'
        'mysql_global_status_handlers_total{job="crm-mysql-exporter",handler="read_rnd_next"} +70\n'
        'mysql_global_status_innodb_row_ops_total{job="crm-mysql-exporter",operation="read"} +50\n'
        "mysql_global_status_innodb_row_ops_total"
        '{job="crm-mysql-exporter",operation="updated"} +5\n'
        "mysql_global_status_innodb_row_ops_total"
        '{job="crm-mysql-exporter",operation="deleted"} +1\n'
        'mysql_global_status_buffer_pool_pages{job="crm-mysql-exporter",state="data"} =800\n'
        'mysql_global_status_buffer_pool_pages{job="crm-mysql-exporter",state="dirty"} =80\n'
        'mysql_up{job="crm-mysql-exporter"} =1',
        {
            "crm-mysql|request_rate": 40.0,
            "crm-mysql|connections_used_pct": 90.0,
            "crm-mysql|replication_lag_s": 12.0,
            "crm-mysql|locks_waiting": 3.0,
            "crm-mysql|commits": 9.0,
            "crm-mysql|rows_scanned": 70.0,
            "crm-mysql|rows_changed": 6.0,
            "crm-mysql|pages_dirty": 80.0,
            "crm-mysql|instances_up": 1.0,
        },
    ),
    "PostgreSQL": Fragment(
        "PostgreSQL",
        'pg_stat_activity_count{job="books-postgres-exporter",datname="b",state="active"} =50\n'
        'pg_stat_activity_count{job="books-postgres-exporter",datname="b",state="idle"} =40\n'
        'pg_settings_max_connections{job="books-postgres-exporter"} =100\n'
        'pg_stat_database_deadlocks{job="books-postgres-exporter",datname="b"} +2\n'
        'pg_stat_database_numbackends{job="books-postgres-exporter",datname="b"} =7\n'
        'pg_stat_database_tup_returned{job="books-postgres-exporter",datname="b"} +30\n'
        'pg_stat_database_blks_hit{job="books-postgres-exporter",datname="b"} +3\n'
        'pg_stat_database_blks_read{job="books-postgres-exporter",datname="b"} +1',
        {
            "books-postgres|connections_used_pct": 90.0,
            "books-postgres|lock_deadlocks": 2.0,
            "books-postgres|numbackends": 7.0,
            "books-postgres|rows_scanned": 30.0,
            "books-postgres|cache_miss_pct": 25.0,
        },
    ),
    "Redis": Fragment(
        "Redis",
        'redis_commands_processed_total{service="sessions-redis-exporter"} +40\n'
        'redis_memory_used_bytes{service="sessions-redis-exporter"} =90\n'
        'redis_memory_max_bytes{service="sessions-redis-exporter"} =100\n'
        'redis_evicted_keys_total{service="sessions-redis-exporter"} +7',
        {
            "sessions-redis|request_rate": 40.0,
            "sessions-redis|memory_used_pct": 90.0,
            "sessions-redis|mem_evictions": 7.0,
        },
    ),
    "Kafka": Fragment(
        "Kafka",
        "\n".join(
            f'kafka_consumergroup_lag{{job="kafka-exporter",consumergroup="mailer",topic="mail",'
            f'partition="{partition}"}} =500'
            for partition in (0, 1)
        )
        + '\nkafka_brokers{job="kafka-exporter"} =3',
        {"mailer|consumer_lag": 1000.0, "kafka|instances_up": 3.0},
    ),
    "RabbitMQ": Fragment(
        "RabbitMQ",
        'rabbitmq_queue_messages_ready{service="rabbit"} =400\n'
        'rabbitmq_process_resident_memory_bytes{service="rabbit"} =90\n'
        'rabbitmq_resident_memory_limit_bytes{service="rabbit"} =100\n'
        'rabbitmq_global_messages_received_total{service="rabbit",protocol="amqp091"} +30',
        {
            "rabbit|queue_depth": 400.0,
            "rabbit|memory_used_pct": 90.0,
            "rabbit|request_rate": 30.0,
        },
    ),
    "Elasticsearch": Fragment(
        "Elasticsearch",
        'elasticsearch_cluster_health_unassigned_shards{job="search-elasticsearch-exporter"} =4\n'
        'elasticsearch_jvm_memory_used_bytes{job="search-elasticsearch-exporter",area="heap"} =9\n'
        'elasticsearch_jvm_memory_max_bytes{job="search-elasticsearch-exporter",area="heap"} =10\n'
        'elasticsearch_filesystem_data_available_bytes{job="search-elasticsearch-exporter"} =5\n'
        'elasticsearch_filesystem_data_size_bytes{job="search-elasticsearch-exporter"} =100',
        {
            "search-elasticsearch|shards_failed": 4.0,
            "search-elasticsearch|heap_used_pct": 90.0,
            "search-elasticsearch|disk_used_pct": 95.0,
        },
    ),
    "JVM of Micrometer": Fragment(
        "JVM",
        'jvm_memory_used_bytes{application="ledger",area="heap",id="G1 Eden Space"} =20\n'
        'jvm_memory_used_bytes{application="ledger",area="heap",id="G1 Old Gen"} =70\n'
        'jvm_memory_max_bytes{application="ledger",area="heap",id="G1 Eden Space"} =-1\n'
        'jvm_memory_max_bytes{application="ledger",area="heap",id="G1 Old Gen"} =100\n'
        'jvm_gc_pause_seconds_sum{application="ledger",cause="G1"} +0.2',
        {"ledger|heap_used_pct": 90.0, "ledger|gc_time_pct": 20.0},
    ),
    "JVM of OpenTelemetry": Fragment(
        "JVM",
        'jvm_memory_used_bytes{service_name="letters",jvm_memory_type="heap"} =30\n'
        'jvm_memory_limit_bytes{service_name="letters",jvm_memory_type="heap"} =100\n'
        'jvm_gc_duration_seconds_sum{service_name="letters"} +0.1',
        {"letters|heap_used_pct": 30.0, "letters|gc_time_pct": 10.0},
    ),
    "Go": Fragment(
        "Go",
        'go_goroutines{service="atlas"} =4000\ngo_gc_duration_seconds_sum{service="atlas"} +0.05',
        {"atlas|threads_goroutines": 4000.0, "atlas|gc_time_pct": 5.0},
    ),
    "Node.js": Fragment(
        "Node.js",
        'nodejs_eventloop_lag_p99_seconds{app="chat"} =0.25\n'
        'nodejs_heap_size_used_bytes{app="chat"} =90\n'
        'nodejs_heap_size_total_bytes{app="chat"} =100',
        {"chat|event_loop_lag_ms": 250.0, "chat|heap_used_pct": 90.0},
    ),
    "node-exporter": Fragment(
        "node-exporter",
        'node_cpu_seconds_total{node="n1",mode="idle",cpu="0"} +0.25\n'
        'node_cpu_seconds_total{node="n1",mode="user",cpu="0"} +0.75\n'
        'node_memory_MemAvailable_bytes{node="n1"} =10\n'
        'node_memory_MemTotal_bytes{node="n1"} =100\n'
        'node_disk_io_time_seconds_total{node="n1",device="sda"} +0.8\n'
        'node_disk_io_time_seconds_total{node="n1",device="sdb"} +0.7',
        {
            "node:n1|node_cpu_pct": 75.0,
            "node:n1|node_memory_pct": 90.0,
            "node:n1|node_disk_io_pct": 80.0,
        },
    ),
    "blackbox": Fragment(
        "blackbox",
        f'probe_ssl_earliest_cert_expiry{{service="landing"}} ={END + 86_400}',
        {"landing|certificate_left_s": 86_400.0},
    ),
    "GPU": Fragment(
        "GPU (DCGM)",
        'DCGM_FI_DEV_GPU_UTIL{gpu="0",Hostname="g1"} =97\nDCGM_FI_DEV_XID_ERRORS{gpu="0",'
        'Hostname="g1"} =79\nDCGM_FI_DEV_PCIE_REPLAY_COUNTER{gpu="0",Hostname="g1"} +4',
        {
            "node:g1|node_gpu_util_pct": 97.0,
            "node:g1|node_gpu_xid_errors": 79.0,
            "node:g1|node_gpu_retries": 4.0,
        },
    ),
}


def openmetrics() -> str:
    """Twenty minutes of all fragments as text, one target per fragment."""
    lines = [line for number, name in enumerate(FRAGMENTS) for line in _scraped(number, name)]
    return "\n".join([*sorted(lines, key=_metric), "# EOF", ""])


def _metric(line: str) -> str:
    """What lines have to lie together by; the sort keeps the order of a series' moments."""
    return line.partition("{")[0]


def _scraped(number: int, name: str) -> Iterator[str]:
    instance = f"target-{number}:9100"
    told = [
        *FRAGMENTS[name].text.splitlines(),
        'up{service="blog"} =1' if name == "process" else "",
    ]
    for line in filter(None, told):
        series, _, going = line.rpartition(" ")
        metric, _, labels = series.rstrip("}").partition("{")
        job = "" if ",job=" in f",{labels}" else f',job="scrape-{number}"'
        for step in range(COUNT):
            at = START + EVERY_S * step
            grown = EVERY_S * (step - (RESET if step >= RESET else 0))
            value = float(going[1:]) * (grown if going[0] == "+" else 1.0)
            yield f'{metric}{{{labels}{job},instance="{instance}"}} {value:.12g} {at:.3f}'
