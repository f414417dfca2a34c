"""What kubectl prints, and what YAML declares, as typed objects."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copilot.ports import SourceError
from copilot.sources.kubernetes import manifest
from copilot.sources.kubernetes.quantities import age, amount
from copilot.sources.kubernetes.redaction import addresses, harmless
from evals.kubernetes.describe import described
from evals.kubernetes.listings import listing, rows


def table(*rows: tuple[str, ...]) -> str:
    """Cells in columns as kubectl pads them."""
    widths = [max(len(row[i]) for row in rows) + 3 for i in range(len(rows[0]))]
    lines = ("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
             for row in rows)  # fmt: skip
    return "\n".join(line.rstrip() for line in lines)


PODS = """\
NAME                READY   STATUS             RESTARTS        AGE    IP          NODE     NOMINATED NODE   READINESS GATES
web-6d9f-4bhwx      1/1     Running            0               73s    10.1.0.7    n1       <none>           <none>
cart-84db-md2wk     0/2     CrashLoopBackOff   4 (1m20s ago)   5m6s   10.1.0.8    n2       <none>           <none>
late-57cf-nk5sm     0/1     Pending            0               3d2h   <none>      <none>   <none>           <none>
"""  # noqa: E501 kubectl's lines are as wide as their longest name

POD = """\
Name:             cart-84db-md2wk
Namespace:        shop
Service Account:  cart
Node:             n2/192.168.0.2
Labels:           app=cart
                  pod-template-hash=84db
Annotations:      note: a: b
Status:           Running
Controlled By:    ReplicaSet/cart-84db
Containers:
  server:
    Image:          registry:5000/cart:1
    Port:           8080/TCP
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       OOMKilled
      Exit Code:    137
    Ready:          False
    Restart Count:  4
    Limits:
      memory:  64Mi
    Requests:
      cpu:      200m
    Liveness:     http-get http://:8080/healthz delay=5s timeout=1s period=10s #success=1 #failure=3
    Readiness:    tcp-socket :web delay=0s timeout=1s period=10s #success=1 #failure=3
    Environment Variables from:
      cart-db  Secret  Optional: false
    Environment:
      DB_ADDR:      store:3306
      DB_PASSWORD:  hunter2
    Mounts:
      /data from data (rw)
Conditions:
  Type           Status
  PodScheduled   True
Volumes:
  data:
    Type:       PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the namespace)
    ClaimName:  cart-data
    ReadOnly:   false
Node-Selectors:  disk=ssd
Events:
  Type     Reason     Age                From     Message
  ----     ------     ----               ----     -------
  Warning  Unhealthy  10s (x8 over 80s)  kubelet  Liveness probe failed: Get "http://x": refused
  second line of the same message
  Normal   Pulled     29s                kubelet  Container image already present
"""


def test_a_listing_of_pods() -> None:
    web, cart, late = listing("Pod", PODS).pods

    assert (web.ready, web.restarts, web.node, web.age) == ((1, 1), 0, "n1", 73.0)
    assert (cart.status, cart.restarts, cart.restarted_ago) == ("CrashLoopBackOff", 4, 80.0)
    assert (late.node, late.ip) == ("", "")
    assert listing("Pod", PODS).listed["Pod"] == (web.name, cart.name, late.name)


def test_an_empty_listing_says_that_there_is_nothing() -> None:
    assert listing("Secret", "").listed == {"Secret": ()}


def test_a_described_pod() -> None:
    state = described("Pod", "cart-84db-md2wk", POD)
    pod, container = state.pods[0], state.pods[0].spec.containers[0]

    assert (pod.node, pod.owner, pod.spec.node_selector) == (
        "n2",
        "ReplicaSet/cart-84db",
        {"disk": "ssd"},
    )
    assert pod.labels == {"app": "cart", "pod-template-hash": "84db"}
    assert container.image == "registry:5000/cart:1"
    assert (container.last_state.reason, container.last_state.exit_code) == ("OOMKilled", 137)
    assert container.limits == {"memory": 64 * 2**20}
    assert container.requests == {"cpu": 0.2}
    assert container.env_from == ("secret/cart-db",)
    assert [(v.kind, v.source) for v in pod.spec.volumes] == [("claim", "cart-data")]
    assert pod.spec.mounts == (("data", "/data"),)


def test_the_probes_of_a_described_pod() -> None:
    live, ready = described("Pod", "p", POD).pods[0].spec.containers[0].probes

    assert (live.action, live.port, live.path, live.period) == ("http", "8080", "/healthz", 10.0)
    assert (ready.action, ready.port, ready.failure_threshold) == ("tcp", "web", 3)


def test_a_password_is_not_kept_and_an_address_is() -> None:
    env = {v.name: v.value for v in described("Pod", "p", POD).pods[0].spec.containers[0].env}

    assert env == {"DB_ADDR": "store:3306", "DB_PASSWORD": ""}


def test_an_event_of_several_lines_is_one_event() -> None:
    first, second = described("Pod", "p", POD).events

    assert (first.count, first.age, first.type) == (8, 10.0, "Warning")
    assert first.message.endswith("second line of the same message")
    assert second.reason == "Pulled"


def test_endpoints_without_addresses_and_endpoints_not_ready_are_two_things() -> None:
    text = table(
        ("NAME", "ENDPOINTS", "AGE"),
        ("none", "<none>", "1s"),
        ("late", "", "1s"),
        ("ok", "10.1.0.7:80", "1s"),
    )
    none, late, ok = listing("Endpoints", text).endpoints

    assert (none.ready, none.not_ready) == ((), ())
    assert late.ready == ()
    assert late.not_ready != ()
    assert ok.ready == ("10.1.0.7:80",)


def test_a_quota_listing() -> None:
    text = table(
        ("NAME", "AGE", "REQUEST", "LIMIT"),
        ("q", "1m", "pods: 9/10, requests.memory: 1Gi/2Gi", "limits.cpu: 1/2"),
    )
    quota = listing("ResourceQuota", text).quotas[0]

    assert quota.used["pods"] == 9.0
    assert quota.hard["requests.memory"] == 2 * 2.0**30


def test_services_nodes_claims_and_volumes_are_read() -> None:
    service = listing("Service", table(
        ("NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "SELECTOR"),
        ("web", "NodePort", "10.9.0.1", "<none>", "80:30080/TCP,9/UDP", "1d", "app=web,x=y"),
    ))  # fmt: skip
    node = listing("Node", table(
        ("NAME", "STATUS", "ROLES", "AGE"),
        ("n1", "Ready,SchedulingDisabled", "control-plane", "1d"),
    ))  # fmt: skip
    claim = listing("PersistentVolumeClaim", table(
        ("NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "AGE"),
        ("c", "Pending", "", "", "", "fast", "1d"),
    ))  # fmt: skip

    assert service.services[0].selector == {"app": "web", "x": "y"}
    assert [(p.port, p.node_port, p.protocol) for p in service.services[0].ports] == [
        (80, 30080, "TCP"),
        (9, None, "UDP"),
    ]
    assert (node.nodes[0].ready, node.nodes[0].unschedulable) == (True, True)
    assert "access_modes" not in claim.claims[0].model_fields_set
    assert claim.claims[0].storage_class == "fast"


MANIFEST = """
kind: Deployment
metadata: {name: cart}
spec:
  template:
    metadata: {labels: {app: cart}}
    spec:
      dnsPolicy: None
      dnsConfig: {nameservers: [10.255.0.1]}
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
            - matchExpressions: [{key: disk, operator: In, values: [ssd]}]
      containers:
      - name: server
        envFrom: [{secretRef: {name: cart-db}}]
        livenessProbe: {grpc: {port: 9090}}
---
kind: Secret
metadata: {name: cart-db}
stringData: {DB_HOST: store, DB_PORT: "3307", DB_PASSWORD: hunter2}
---
kind: Ingress
metadata: {name: door}
spec:
  rules:
  - http:
      paths: [{path: /cart, backend: {service: {name: cart, port: {number: 80}}}}]
---
kind: VirtualService
metadata: {name: mesh}
spec:
  http:
  - match: [{uri: {prefix: /web}}]
    route: [{destination: {host: web.shop.svc, port: {number: 81}}}]
"""


def test_a_manifest_declares_typed_objects() -> None:
    state = manifest(MANIFEST)
    template = state.workloads[0].template

    assert state.declared[0] == "Deployment/cart"
    assert (template.dns_policy, template.nameservers) == ("None", ("10.255.0.1",))
    assert template.node_affinity[0][0].values == ("ssd",)
    assert template.containers[0].probes[0].port == "9090"
    assert [(r.path, r.service, r.port) for r in state.routes] == [
        ("/cart", "cart", 80),
        ("/web", "web", 81),
    ]


def test_of_a_secret_only_addresses_are_kept() -> None:
    assert manifest(MANIFEST).settings[0].values == {"DB_HOST": "store", "DB_PORT": "3307"}
    assert "hunter2" not in manifest(MANIFEST).model_dump_json()


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("MYSQL_PASSWORD", "x", ""),
        ("apiToken", "x", ""),
        ("TLS_KEY", "x", ""),
        ("AUTH_MYSQL_HOST", "store", "store"),
        ("DB_URL", "mysql://user:pw@store:3306/x", "mysql://store:3306/x"),
    ],
)
def test_what_is_harmless(name: str, value: str, kept: str) -> None:
    assert harmless(name, value) == kept


def test_a_secret_without_addresses_leaves_nothing() -> None:
    assert addresses({"licence": "abc", "password": "x"}) == {}


def test_text_that_is_no_yaml_is_refused_with_the_reason() -> None:
    with pytest.raises(SourceError, match="not YAML"):
        manifest("{")


@pytest.mark.parametrize(
    ("text", "number"),
    [("200m", 0.2), ("1Gi", 2.0**30), ("3", 3.0), ("1e3", 1000.0), ("x", None), ("", None)],
)
def test_quantities(text: str, number: float | None) -> None:
    assert amount(text) == number


@pytest.mark.parametrize(("text", "seconds"), [("5m6s", 306.0), ("3d2h", 266_400.0), ("-", None)])
def test_ages(text: str, seconds: float | None) -> None:
    assert age(text) == seconds


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=600), kind=st.sampled_from(["Pod", "Node", "Deployment", "Event"]))
def test_no_text_breaks_the_readers(text: str, kind: str) -> None:
    described(kind, "x", text)
    described(kind, "x", f"Name: x\nEvents:\n{text}")
    listing(kind, f"NAME   STATUS   OBJECT\n{text}")
    assert isinstance(rows(text), list)


def test_what_kubectl_says_before_its_table_is_passed_over() -> None:
    told = "Warning: v1 Endpoints is deprecated\nNAME   ENDPOINTS   AGE\nweb    10.0.0.1:80   5m\n"
    assert listing("Endpoints", told).endpoints[0].ready == ("10.0.0.1:80",)
    assert listing("Pod", "Error from server (Forbidden):\npods is forbidden\n").pods == ()


@pytest.mark.parametrize("written", ["", "many", "[1]", "²"])
def test_a_field_that_should_be_a_number_is_as_if_absent(written: str) -> None:
    deployment = f"kind: Deployment\nmetadata: {{name: web}}\nspec: {{replicas: {written}}}"
    pod = f"""kind: Pod
metadata: {{name: web-1}}
spec:
  securityContext: {{runAsUser: {written}}}
  containers: [{{name: web, ports: [{{containerPort: {written}}}],
    livenessProbe: {{tcpSocket: {{port: 80}}, periodSeconds: {written}}}}}]
status:
  containerStatuses: [{{name: web, restartCount: {written}}}]"""
    policy = f"kind: NetworkPolicy\nmetadata: {{name: deny}}\nspec: {{ingress: {written}}}"

    assert manifest(deployment).workloads[0].desired is None
    assert manifest(pod).pods[0].spec.containers[0].probes[0].period == 10.0
    assert manifest(policy).policies[0].ingress == ()


@pytest.mark.parametrize(
    "text",
    ["{" * 5000, "kind: List\nitems: &all\n- {kind: List, items: *all}"],
    ids=["deep", "loop"],
)
def test_yaml_without_a_bottom_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="not YAML"):
        manifest(text)


def test_a_secret_that_is_not_base64_has_no_address() -> None:
    secret = "kind: Secret\nmetadata: {name: s}\ndata: {DB_HOST: '²'}"
    assert manifest(secret).settings[0].values == {}


def test_a_listing_over_all_namespaces_has_its_heading_too() -> None:
    told = "NAMESPACE   NAME    READY   STATUS\nshop        web-1   1/1     Running\n"
    assert [pod.name for pod in listing("Pod", told).pods] == ["web-1"]
