"""Startup and runtime: containers that do not start, end, or are called unhealthy."""

import pytest

from tests.tools.shop_cluster import deployment, ended, pod, service, shop, spec, warning
from tools.cluster_inspector import diagnose, inspect
from tools.types import (
    ClusterQuery,
    ClusterState,
    ConfigValues,
    Container,
    ContainerPort,
    ContainerState,
    EnvVar,
    LogExcerpt,
    Probe,
    ServicePort,
    VolumeSource,
    Workload,
)
from tools.types.cluster_objects import ProbeAction, ProbeKind


def first(state: ClusterState) -> tuple[str, str]:
    """Rule and object of the first prediction."""
    found = diagnose(state).predictions[0]
    return found.rule.id, found.object


def stuck(status: str, reason: str, message: str, **more: object) -> ClusterState:
    """The shop, with cart on a node in that status and with that warning."""
    cart = pod("cart", status=status, ready=(0, 1), phase="Pending")
    return shop(
        pods=(pod("web"), cart),
        workloads=(deployment("web"), deployment("cart", ready=0)),
        events=(warning(reason, message, cart.name),),
        **more,
    )


PULL = 'Failed to pull image "registry/cart:1": '


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        pytest.param("rpc error: code = NotFound desc = cart:1: not found", "image-not-found",
                     id="no such tag"),
        pytest.param("manifest unknown", "image-not-found", id="no such manifest"),
        pytest.param("unexpected status from HEAD request to https://mirror/v2/x: 403 Forbidden",
                     "image-not-found", id="a mirror that hides what it has not"),
        pytest.param("dial tcp: lookup registry.example on 10.0.0.2:53: no such host",
                     "registry-unresolvable", id="no such registry"),
        pytest.param("failed to authorize: failed to fetch anonymous token: 403 Forbidden",
                     "pull-secret-missing", id="no anonymous token"),
        pytest.param("401 Unauthorized", "pull-secret-missing", id="unauthorized"),
        pytest.param("dial tcp 10.0.0.9:443: connect: connection refused",
                     "registry-unreachable", id="registry down"),
    ],
)  # fmt: skip
def test_an_image_that_is_not_pulled(message: str, rule: str) -> None:
    assert first(stuck("ErrImagePull", "Failed", PULL + message)) == (rule, "app/cart")


def test_a_private_image_whose_pull_secret_is_gone() -> None:
    state = stuck("ErrImagePull", "Failed", f"{PULL}pull access denied, repository does not exist")
    gone = warning("FailedToRetrieveImagePullSecret", "Unable to retrieve", pod("cart").name)

    assert first(state) == ("image-not-found", "app/cart")
    assert first(state.plus(ClusterState(events=(gone,)))) == ("pull-secret-missing", "app/cart")


@pytest.mark.parametrize(
    ("status", "reason", "message", "rule"),
    [
        pytest.param("CreateContainerConfigError", "Failed", 'Error: secret "cart-db" not found',
                     "secret-missing", id="secret in the environment"),
        pytest.param("CreateContainerConfigError", "Failed",
                     "Error: couldn't find key url in Secret shop/cart-db", "secret-missing",
                     id="key of a secret"),
        pytest.param("CreateContainerConfigError", "Failed", 'Error: configmap "cart" not found',
                     "config-map-missing", id="config map"),
        pytest.param("ContainerCreating", "FailedMount",
                     'MountVolume.SetUp failed for volume "tls" : secret "cart-tls" not found',
                     "secret-missing", id="secret as a volume"),
        pytest.param("ContainerCreating", "FailedMount",
                     'MountVolume.SetUp failed for volume "data" : permission denied',
                     "volume-permission-denied", id="volume not permitted"),
        pytest.param("ContainerCreating", "FailedAttachVolume", "timed out waiting for the disk",
                     "volume-not-mounted", id="volume not attached"),
        pytest.param("ContainerCreating", "FailedCreatePodSandBox",
                     "container init was OOM-killed (memory limit too low?): unknown",
                     "out-of-memory", id="too little memory to start"),
    ],
)  # fmt: skip
def test_a_container_that_is_not_created(status: str, reason: str, message: str, rule: str) -> None:
    assert first(stuck(status, reason, message)) == (rule, "app/cart")


def crashed(code: int, *lines: str, reason: str = "Error", **more: object) -> ClusterState:
    """The shop, with cart ending again and again and logging these lines."""
    template = more.pop("template", spec("cart"))
    state = shop(
        pods=(pod("web"), ended("cart", reason, code)),
        workloads=(deployment("web"), deployment("cart", ready=0, template=template)),
        logs=tuple(LogExcerpt(component="cart", message=line) for line in lines),
        looked=(ClusterQuery(verb="errors", name="cart"),),
    )
    return state.plus(ClusterState.model_validate(more))


def test_a_container_killed_at_its_limit() -> None:
    assert first(crashed(137, reason="OOMKilled")) == ("out-of-memory", "app/cart")


def test_two_containers_that_want_one_port() -> None:
    line = "PortInUseException: Port 8080 is already in use"

    assert first(crashed(1, line)) == ("port-in-use", "app/cart")


def test_a_mounted_folder_it_may_not_read() -> None:
    template = spec(
        "cart",
        volumes=(VolumeSource(name="data", kind="host", source="/mnt/data"),),
        mounts=(("data", "/data"),),
    )
    line = "Fatal error: can't open the file /data/dump.rdb: Permission denied"

    assert first(crashed(1, line, template=template)) == ("volume-permission-denied", "app/cart")


def test_permission_denied_without_a_volume_is_no_volumes_fault() -> None:
    rules = [found.rule.id for found in diagnose(crashed(1, "Permission denied")).predictions]

    assert "volume-permission-denied" not in rules


def test_a_deployment_scaled_to_zero() -> None:
    state = shop(pods=(pod("web"),), workloads=(deployment("web"), deployment("cart", desired=0)))

    assert first(state) == ("zero-replicas", "app/cart")


def test_an_unknown_end_still_names_the_container_and_its_last_words() -> None:
    found = diagnose(crashed(3, "the flux capacitor failed")).predictions[0]

    assert (found.rule.id, found.object) == ("container-exits", "app/cart")
    assert "flux capacitor" in found.evidence


DATABASE = (EnvVar(name="DB_HOST", value="store"), EnvVar(name="DB_PORT", value="3306"))


def with_database(*lines: str, port: str = "3306", code: int = 1) -> ClusterState:
    """Cart ending beside a healthy database `store`, whose address it has."""
    container = Container(
        name="server",
        env=(EnvVar(name="DB_HOST", value="store"), EnvVar(name="DB_PORT", value=port)),
    )
    store = service(
        "store", selector={"app": "store"}, ports=(ServicePort(port=3306, target="3306"),)
    )
    state = crashed(code, *lines, template=spec("cart", containers=(container,)))
    return state.plus(
        ClusterState(
            pods=(pod("store", name="store-0", ip="10.1.0.9"),),
            workloads=(Workload(kind="StatefulSet", name="store", desired=1, ready=1),),
            services=(store,),
            listed={"Service": ("web", "cart", "store")},
        )
    )


@pytest.mark.parametrize(
    ("line", "rule", "subject"),
    [
        pytest.param("SQLException: Access denied for user 'ts'@'10.1.0.7' (using password: YES)",
                     "database-credentials", "app/cart", id="credentials"),
        pytest.param('FATAL: password authentication failed for user "cart"',
                     "database-credentials", "app/cart", id="credentials, another database"),
        pytest.param("SQLNonTransientConnectionException: Too many connections",
                     "database-connections", "app/store", id="no connection left"),
        pytest.param("FATAL: sorry, too many clients already",
                     "database-connections", "app/store", id="no connection left, another"),
        pytest.param("The MySQL server is running with the --read-only option so it cannot execute",
                     "database-read-only", "app/store", id="read only"),
        pytest.param("cannot execute INSERT in a read-only transaction",
                     "database-read-only", "app/store", id="read only, another"),
    ],
)  # fmt: skip
def test_what_a_client_says_of_its_database(line: str, rule: str, subject: str) -> None:
    assert first(with_database(line)) == (rule, subject)


@pytest.mark.parametrize(
    "line",
    [
        "order 71045 refused",
        "user_1045: Authentication failed",
        "starting with max_connections=200",
    ],
)
def test_an_id_a_setting_or_a_users_mistake_accuses_no_database(line: str) -> None:
    rules = {found.rule.id for found in diagnose(with_database(line)).predictions}
    assert not rules & {"database-connections", "database-read-only"}
    assert not any(
        found.rule.id == "database-credentials" and found.score > 0.5
        for found in diagnose(with_database(line)).predictions
    )


def test_a_database_asked_at_a_port_it_does_not_offer() -> None:
    state = with_database("Communications link failure: Connection refused", port="3307")
    found = diagnose(state).predictions[0]

    assert (found.rule.id, found.object) == ("database-port", "app/cart")
    assert (found.observed, found.expected) == ("store:3307", "store:3306")


def test_an_address_from_a_secret_counts_as_well() -> None:
    template = spec("cart", containers=(Container(name="server", env_from=("secret/cart-db",)),))
    before = with_database("Connection refused")
    state = before.plus(
        ClusterState(
            workloads=(deployment("cart", ready=0, template=template),),
            settings=(
                ConfigValues(
                    name="cart-db", kind="secret", values={"DB_HOST": "store", "DB_PORT": "99"}
                ),
            ),
        )
    )

    assert first(state) == ("database-port", "app/cart")


def test_a_silent_end_beside_a_healthy_database_is_a_suspicion_only() -> None:
    found = diagnose(with_database()).predictions[0]

    assert found.rule.id == "database-credentials"
    assert found.score <= 0.5


def test_a_database_whose_own_probe_says_that_it_is_full() -> None:
    said = warning(
        "Unhealthy", "Readiness probe failed: ERROR 1040: Too many connections", "store-0-a"
    )

    assert first(shop(events=(said,)))[0] == "database-connections"


def probed(
    kind: ProbeKind, action: ProbeAction, port: str, message: str, **timing: float
) -> ClusterState:
    """Cart failing a probe; its other probe asks gRPC at 8080, where it listens."""
    other: ProbeKind = "readiness" if kind == "liveness" else "liveness"
    container = Container(
        name="server",
        ports=(ContainerPort(port=8080),),
        probes=(
            Probe.model_validate({"kind": kind, "action": action, "port": port} | timing),
            Probe(kind=other, action="grpc", port="8080", initial_delay=10.0),
        ),
    )
    restarts = 3 if kind == "liveness" else 0
    cart = pod("cart", ready=(0, 1), restarts=restarts, restarted_ago=9.0 if restarts else None)
    return shop(
        pods=(pod("web"), cart),
        workloads=(
            deployment("web"),
            deployment("cart", ready=0, template=spec("cart", containers=(container,))),
        ),
        events=(warning("Unhealthy", f"{kind.title()} probe failed: {message}", cart.name),),
    )


CART = pod("cart").name
LATE = 'timeout: failed to connect service "10.1.0.7:8080" within 1s: context deadline exceeded'
GARBLED = 'Get "http://10.1.0.7:8080/": malformed HTTP response "\\x00\\x00"'


@pytest.mark.parametrize(
    ("kind", "action", "port", "message", "timing", "rule"),
    [
        pytest.param("liveness", "grpc", "9090", LATE, {}, "liveness-port", id="liveness port"),
        pytest.param("readiness", "tcp", "9090", "connection refused", {}, "readiness-port",
                     id="readiness port"),
        pytest.param("liveness", "http", "8080", GARBLED, {}, "liveness-protocol",
                     id="liveness protocol"),
        pytest.param("readiness", "http", "8080", "HTTP probe failed with statuscode: 404", {},
                     "readiness-protocol", id="readiness protocol"),
        pytest.param("liveness", "grpc", "8080", LATE,
                     {"period": 1.0, "failure_threshold": 1}, "liveness-timing",
                     id="liveness that gives up at once"),
        pytest.param("liveness", "grpc", "8080", LATE, {"initial_delay": 60.0},
                     "liveness-timing", id="liveness that is patient and too short"),
        pytest.param("readiness", "grpc", "8080", LATE, {"initial_delay": 60.0},
                     "readiness-failed", id="readiness of a hanging server"),
    ],
)  # fmt: skip
def test_a_failing_probe_is_judged_by_port_protocol_and_time(
    kind: ProbeKind,
    action: ProbeAction,
    port: str,
    message: str,
    timing: dict[str, float],
    rule: str,
) -> None:
    assert first(probed(kind, action, port, message, **timing)) == (rule, "app/cart")


def test_a_probe_that_failed_while_the_pod_started_is_forgotten() -> None:
    said = warning("Unhealthy", f"Liveness probe failed: {LATE}", pod("cart").name)

    assert diagnose(shop(events=(said,))).predictions == ()


def test_a_probe_of_a_container_that_ends_by_itself_is_a_witness() -> None:
    said = warning("Unhealthy", "Readiness probe failed: connection refused", pod("cart").name)

    assert first(crashed(1, "boom").plus(ClusterState(events=(said,))))[0] == "container-exits"


def test_a_probe_that_a_mesh_took_over_is_judged_by_what_the_mesh_was_told() -> None:
    told = '{"/app-health/server/livez": {"grpc": {"port": 9090}}}'
    probe = Probe(kind="liveness", action="http", port="15020", path="/app-health/server/livez")
    server = Container(name="server", ports=(ContainerPort(port=8080),), probes=(probe,))
    sidecar = Container(
        name="istio-proxy", env=(EnvVar(name="ISTIO_KUBE_APP_PROBERS", value=told),)
    )
    cart = pod("cart", ready=(1, 2), restarts=3, restarted_ago=9.0)
    seen = cart.model_copy(update={"spec": spec("cart", containers=(server, sidecar))})
    state = shop(
        pods=(pod("web"), seen),
        workloads=(deployment("web"), deployment("cart", template=spec("cart", containers=()))),
        events=(warning("Unhealthy", "Liveness probe failed: context deadline", cart.name),),
    )

    assert first(state) == ("liveness-port", "app/cart")


def test_a_container_the_kubelet_killed_for_its_probe_does_not_end_by_itself() -> None:
    before = crashed(1)
    events = (
        warning("Killing", "Container server failed liveness probe, will be restarted", CART),
        warning("Unhealthy", f"Liveness probe failed: {GARBLED}", CART),
    )

    assert first(before.plus(ClusterState(events=events))) == ("liveness-protocol", "app/cart")


def test_a_pod_that_serves_again_is_told_as_restarted_not_as_unready() -> None:
    again = pod("cart", restarts=1, restarted_ago=100.0)
    rules = {found.rule.id for found in inspect(shop(pods=(pod("web"), again)))}

    assert rules == {"container-exits"}


def test_a_pull_that_the_registry_limits_is_not_called_a_missing_image() -> None:
    waiting = ContainerState(
        status="waiting", reason="ImagePullBackOff", message="429 Too Many Requests"
    )
    slow = pod("cart", status="ImagePullBackOff", ready=(0, 1), spec=spec("cart", containers=(
        Container(name="server", state=waiting),)))  # fmt: skip

    assert [found.rule.id for found in inspect(shop(pods=(pod("web"), slow)))][0] == (
        "pull-rate-limited"
    )


def test_a_pull_that_nobody_explains_does_not_say_that_the_image_is_missing() -> None:
    slow = pod("cart", status="ImagePullBackOff", ready=(0, 1))

    assert [found.rule.id for found in inspect(shop(pods=(pod("web"), slow)))] == ["image-unpulled"]
