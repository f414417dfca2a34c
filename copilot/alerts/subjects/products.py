"""Kinds of software by name: what rules begin with, and what scrape jobs are named after."""

import re
from functools import lru_cache

WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
"""A word of a name in CamelCase, snake_case or plain text, in any script."""

# Components of which a system mostly has one, as the names of rules begin with them. What is not
# named after itself stands with its name behind a colon.
_PRODUCTS = """
    kubeapi:apiserver kubeapiserver:apiserver kubernetesapi:apiserver apiserver
    k8sapiserver:apiserver k8sapi:apiserver kubernetesapiserver:apiserver
    kubeaggregatedapi:apiserver
    kubescheduler:kube-scheduler kubecontrollermanager:kube-controller-manager
    kubeproxy:kube-proxy kubelet kubestatemetrics:kube-state-metrics coredns kubedns:kube-dns
    nodelocaldns:node-local-dns etcd clusterautoscaler:cluster-autoscaler
    prometheusoperator:prometheus-operator configreloader:config-reloader prometheus alertmanager
    pushgateway nodeexporter:node-exporter grafana loki mimir cortex tempo thanos
    thanoscompact:thanos-compact thanosquery:thanos-query thanosreceive:thanos-receive
    thanosrule:thanos-rule thanosstore:thanos-store thanossidecar:thanos-sidecar
    thanosbucketreplicate:thanos-bucket-replicate thanosruler:thanos-ruler
    jaeger zipkin vector promtail alloy telegraf opentelemetry:opentelemetry-collector
    otel:opentelemetry-collector otelcollector:opentelemetry-collector fluentd fluentbit:fluent-bit
    logstash graylog sentry victoriametrics vmagent vmalert vmstorage vminsert vmselect vmauth
    influxdb graphite netdata zabbix
    certmanager:cert-manager externaldns:external-dns externalsecrets:external-secrets
    argocd:argocd argo argoworkflows:argo-workflows flux tekton velero keda karpenter crossplane
    descheduler metallb kyverno gatekeeper falco trivy kured longhorn openebs rook
    cilium ciliumoperator:cilium-operator calico typha:calico-typha felix:calico-felix
    flannel weave antrea istio istiod istiopilot:istiod linkerd consul nomad vault kuma kong
    traefik haproxy nginx ingressnginx:ingress-nginx envoy contour caddy apache varnish squid
    ambassador emissary apisix tyk
    nats kafka kafkaconnect:kafka-connect connect:kafka-connect mirrormaker:mirror-maker
    mesos zookeeper zk:zookeeper rabbitmq pulsar rocketmq activemq
    artemis mosquitto emqx celery sidekiq gitlabsidekiq:sidekiq airflow spark flink hadoop hdfs
    yarn hbase hive trino presto druid
    mysql mariadb galera postgresql:postgresql postgres pgbouncer patroni cloudnativepg cnpg
    redis redissentinel:redis-sentinel valkey dragonfly memcached mongodb mongos cassandra scylla
    couchbase couchdb cockroach:cockroachdb cockroachdb tidb tikv pd:pd tiflash tispark clickhouse
    elasticsearch elastic:elasticsearch opensearch solr meilisearch neo4j oracle mssql sqlserver
    singlestore yugabyte vitess proxysql timescale questdb milvus weaviate qdrant aerospike
    ceph cephfs minio seaweedfs gluster nfs zfs ganesha juicefs swift
    jenkins gitlab gitea github harbor nexus artifactory sonarqube drone woodpecker argoevents
    keycloak dex oauth2proxy:oauth2-proxy authentik openldap ldap bind unbound powerdns dnsmasq
    ntp chrony postfix dovecot rspamd freeswitch asterisk openstack nova neutron keystone cinder
    glance proxmox vcenter xenserver kvm libvirt docker containerd crio
    php phpfpm:php-fpm tomcat jetty jboss wildfly puma unicorn uwsgi gunicorn
    cloudflare cloudflared fastly akamai dgraph hazelcast ignite infinispan ovn ovs ovnkube
    django bigip ibmmq saphana discourse spinnaker syncthing tailscale promscale wireguard nsq iis
    sealedsecrets:sealed-secrets jira confluence snowflake flagger unifi litellm vllm ollama
    multus machineconfig sriov nginxingress:ingress-nginx awx kubevirt spicedb temporal tetragon
"""
PRODUCTS = {
    squashed: shown or squashed
    for squashed, _, shown in (entry.partition(":") for entry in _PRODUCTS.split())
}


def leading_product(parts: tuple[str, ...]) -> str:
    """The longest run of first words that a component is called by."""
    for count in range(min(4, len(parts)), 0, -1):
        known = PRODUCTS.get("".join(parts[:count]))
        if known:
            return known
    return ""


# Collectors and protocols that jobs are named after, though their exporters have longer names.
_COLLECTOR_NAMES = """
    smartctl smart nut ups apcupsd ipmi vmware esxi vsphere pve process processes statsd jmx
    jvm dcgm gpu nvidia textfile script systemd lm modbus mqtt netflow ssh ssl http https tcp
    dns web static servers hosts app apps api backend services db database databases exporter
"""
_COLLECTORS = frozenset(_COLLECTOR_NAMES.split())

_ROLE_WORDS = "job jobs server servers cluster svc service public internal prod k8s"
_ROLES = frozenset(_ROLE_WORDS.split())


@lru_cache(maxsize=4096)
def is_product(name: str) -> bool:
    """Whether a job of this name is named for a kind of software, of which there may be many."""
    parts = [part for part in WORD.findall(name.lower()) if part not in _ROLES]
    squashed = "".join(parts)
    return squashed in PRODUCTS or squashed in _COLLECTORS or not parts
