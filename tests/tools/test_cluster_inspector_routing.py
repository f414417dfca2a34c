"""Service routing and gateways: pods run, and requests do not reach them."""

import pytest

from tests.tools.shop_cluster import deployment, ended, pod, service, shop, spec
from tools.cluster_inspector import diagnose, inspect
from tools.cluster_inspector.constraints import requirement_matches
from tools.types import (
    Alert,
    ClusterState,
    ConfigValues,
    Connection,
    Container,
    ContainerPort,
    Endpoints,
    EnvVar,
    LogExcerpt,
    NetworkPolicy,
    Node,
    Probe,
    Requirement,
    Route,
    ServicePort,
    VolumeSource,
)


def first(state: ClusterState) -> tuple[str, str]:
    """Rule and object of the first prediction."""
    found = diagnose(state).predictions[0]
    return found.rule.id, found.object


def routed(cart: dict[str, object], *endpoints: str, **more: object) -> ClusterState:
    """The shop, with the service of cart changed and these addresses behind it."""
    return shop(
        services=(service("web"), service("cart", **cart)),
        endpoints=(
            Endpoints(name="web", ready=("10.1.0.7:8080",)),
            Endpoints(name="cart", ready=endpoints),
        ),
        **more,
    )


def test_a_healthy_shop_has_no_finding() -> None:
    assert diagnose(shop()).predictions == ()


def test_a_selector_that_no_pod_carries() -> None:
    found = diagnose(routed({"selector": {"app": "cart-v2"}})).predictions[0]

    assert (found.rule.id, found.object) == ("service-selector-unmet", "app/cart")
    assert (found.observed, found.expected) == ("app=cart-v2", "app=cart")


def test_a_service_without_endpoints_because_its_node_died_has_a_right_selector() -> None:
    dead = shop().nodes[1].model_copy(update={"ready": False})
    state = routed({"selector": {"app": "cart-v2"}}, nodes=(dead,))

    assert first(state) == ("node-not-ready", "node/worker-1")


@pytest.mark.parametrize("target", ["9090", "grpc-web"])
def test_a_target_port_that_no_container_has(target: str) -> None:
    state = routed({"ports": (ServicePort(port=80, target=target),)}, f"10.1.0.7:{target}")

    assert first(state) == ("service-target-port", "app/cart")


def test_an_endpoint_without_a_port_betrays_a_name_that_nobody_has() -> None:
    assert first(routed({"ports": (ServicePort(port=80),)}, "10.1.0.7"))[0] == "service-target-port"


def test_a_service_of_another_transport_protocol() -> None:
    port = ServicePort(port=80, target="8080", protocol="UDP")

    assert first(routed({"ports": (port,)}, "10.1.0.7:8080")) == ("service-protocol", "app/cart")


@pytest.mark.parametrize(
    "port",
    [
        pytest.param(ServicePort(port=80, target="8080", app_protocol="http"), id="stated"),
        pytest.param(ServicePort(port=80, target="8080", name="http-web"), id="named"),
    ],
)
def test_a_service_of_another_application_protocol(port: ServicePort) -> None:
    speaks = Container(
        name="server",
        ports=(ContainerPort(port=8080),),
        probes=(Probe(kind="readiness", action="grpc", port="8080"),),
    )
    cart = deployment("cart", template=spec("cart", containers=(speaks,)))
    state = routed({"ports": (port,)}, "10.1.0.7:8080", workloads=(deployment("web"), cart))

    assert first(state) == ("service-protocol", "app/cart")


def addressed(value: str, *lines: str, name: str = "CART_ADDR") -> ClusterState:
    """The shop, with web told that address and logging these lines."""
    container = Container(name="server", env=(EnvVar(name=name, value=value),))
    web = deployment("web", template=spec("web", containers=(container,)))
    return shop(
        workloads=(web, deployment("cart")),
        logs=tuple(LogExcerpt(component="web", message=line) for line in lines),
    )


@pytest.mark.parametrize(
    ("value", "name"),
    [
        pytest.param("cart:8081", "CART_ADDR", id="a port the service has not"),
        pytest.param("carts:80", "CART_ADDR", id="nearly the name"),
        pytest.param("http://cart.shop.svc.cluster.local:81/x", "CART_URL", id="a URL"),
    ],
)
def test_an_address_of_the_environment_that_leads_nowhere(value: str, name: str) -> None:
    assert first(addressed(value, name=name)) == ("environment-address", "app/web")


def test_an_unused_address_is_the_weakest_of_hints_until_the_log_names_it() -> None:
    quiet = diagnose(addressed("assistant:80")).predictions[0]
    loud = diagnose(addressed("assistant:80", "dial tcp: lookup assistant: no such host"))

    assert quiet.score <= 0.3
    assert loud.predictions[0].score >= 0.9


@pytest.mark.parametrize(
    "value", ["cart:80", "api.example.com:443", "debug", "8080", "10.0.0.3:80", "cart"]
)
def test_what_is_no_wrong_address(value: str) -> None:
    assert diagnose(addressed(value)).predictions == ()


def test_a_resolver_of_its_own_that_does_not_know_the_cluster() -> None:
    template = spec("cart", dns_policy="None", nameservers=("10.255.0.1",))
    state = shop(
        pods=(pod("web"), ended("cart", "Error", 1)),
        workloads=(deployment("web"), deployment("cart", template=template)),
        logs=(LogExcerpt(component="cart", message="UnknownHostException: store.shop.svc"),),
    )

    assert first(state) == ("name-resolution", "app/cart")


def test_names_that_did_not_resolve_while_a_healthy_pod_started_are_forgotten() -> None:
    line = LogExcerpt(component="web", message="lookup cart on 10.0.0.2:53: no such host")

    assert diagnose(shop(logs=(line,))).predictions == ()


def test_a_policy_that_lets_nobody_in() -> None:
    policy = NetworkPolicy(
        name="closed", selector=(Requirement(key="app", values=("cart",)),), directions=("Ingress",)
    )

    assert first(shop(policies=(policy,))) == ("policy-isolates", "app/cart")


def gatewayed(*env: EnvVar, **more: object) -> ClusterState:
    """The shop behind an application named gateway."""
    template = spec("gateway", containers=(Container(name="server", env=env),), volumes=(
        VolumeSource(name="conf", kind="configmap", source="gateway-conf"),
    ))  # fmt: skip
    known: dict[str, object] = {
        "workloads": (deployment("gateway", template=template), *shop().workloads),
        "pods": (pod("gateway"), *shop().pods),
        "services": (service("gateway"), *shop().services),
        "endpoints": (Endpoints(name="gateway", ready=("10.1.0.8:8080",)), *shop().endpoints),
        "listed": {"Service": ("gateway", "web", "cart")},
    }
    return shop(**known | more)


def config(text: str) -> ConfigValues:
    return ConfigValues(name="gateway-conf", values={"conf": text})


SPRING = """
- id: cart
  uri: {uri}
  predicates:
    - Path=/api/v1/cart/**
"""


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(gatewayed(
            EnvVar(name="SPRING_CLOUD_GATEWAY_ROUTES_0_URI", value="http://carts:80"),
            EnvVar(name="SPRING_CLOUD_GATEWAY_ROUTES_0_PREDICATES_0", value="Path=/api/v1/cart/**"),
        ), id="a service that is not there, in the environment"),
        pytest.param(gatewayed(
            EnvVar(name="SPRING_CLOUD_GATEWAY_ROUTES_0_URI", value="lb://web"),
            EnvVar(name="SPRING_CLOUD_GATEWAY_ROUTES_0_PREDICATES_0", value="Path=/api/v1/cart/**"),
        ), id="another service than the path names, in the environment"),
        pytest.param(gatewayed(settings=(config(SPRING.format(uri="http://cart:8099")),)),
                     id="a port that is not there, in a config map"),
        pytest.param(gatewayed(settings=(config(SPRING.format(uri="lb://web")),)),
                     id="another service than the path names, in a config map"),
        pytest.param(gatewayed(settings=(config(
            "location /api/cart { proxy_pass http://web:80; }"),)), id="in a proxy's locations"),
        pytest.param(gatewayed(settings=(config(
            '{"routes":[{"id":"w","uri":"lb://web","predicates":["Path=/web/**"]},'
            '{"id":"c","uri":"lb://web","predicates":["Path=/cart/**"]}]}'),)), id="in JSON"),
        pytest.param(gatewayed(EnvVar(name="CART_URL", value="http://cart:8099")),
                     id="an address of its environment"),
        pytest.param(gatewayed(
            routes=(Route(source="VirtualService/i", path="/cart", service="carts"),)),
                     id="in a mesh's routes"),
        pytest.param(gatewayed(logs=(LogExcerpt(
            component="gateway", message="503 Unable to find instance for carts"),)),
            id="said by the gateway's log"),
    ],
)  # fmt: skip
def test_a_gateway_that_sends_requests_to_the_wrong_place(state: ClusterState) -> None:
    assert first(state) == ("gateway-route", "app/gateway")


@pytest.mark.parametrize("uri", ["http://cart:80", "lb://cart"])
def test_a_gateway_with_right_routes_has_no_finding(uri: str) -> None:
    assert diagnose(gatewayed(settings=(config(SPRING.format(uri=uri)),))).predictions == ()


def test_requests_that_are_unavailable_behind_a_healthy_service_are_a_weaker_sign() -> None:
    alert = Alert(
        fingerprint="a",
        name="FailedCalls",
        service="cart",
        starts_at=0.0,
        annotations={"description": "503 Server Error: Service Unavailable"},
    )
    found = diagnose(gatewayed(alerts=(alert,))).predictions[0]

    assert found.rule.id == "gateway-route"
    assert found.score <= 0.5


def test_a_host_alias_that_gives_a_service_another_address() -> None:
    template = spec("web", host_aliases=(("cart", "10.66.66.66"),))
    state = shop(workloads=(deployment("web", template=template), deployment("cart")))

    assert first(state) == ("name-resolution", "app/web")


def test_a_pair_of_host_and_port_is_an_address_too() -> None:
    env = (EnvVar(name="CART_HOST", value="cart"), EnvVar(name="CART_PORT", value="81"))
    web = deployment("web", template=spec("web", containers=(Container(name="server", env=env),)))

    assert first(shop(workloads=(web, deployment("cart")))) == ("environment-address", "app/web")


def test_requests_that_are_not_found_behind_a_healthy_service_point_at_the_gateway() -> None:
    alert = Alert(
        fingerprint="a",
        name="FailedCalls",
        service="cart",
        starts_at=0.0,
        labels={"path": "/api/v1/cart"},
        annotations={"description": "HTTPError('404 Client Error: Not Found')"},
    )

    assert first(gatewayed(alerts=(alert,))) == ("gateway-route", "app/gateway")


def test_a_node_says_nothing_about_a_service_by_being_there() -> None:
    assert diagnose(shop(nodes=(Node(name="worker-9", ready=True),))).predictions == ()


@pytest.mark.parametrize(
    "line",
    [
        "java.net.UnknownHostException: carts",
        "Failed to resolve 'carts' [A(1)] after 4 queries",
        "No servers available for service: carts",
        "Connection refused: cart/10.9.0.4:8099",
    ],
)
def test_a_gateways_own_words_name_the_wrong_target(line: str) -> None:
    state = gatewayed(logs=(LogExcerpt(component="gateway", message=line),))

    assert first(state) == ("gateway-route", "app/gateway")


def test_a_right_target_that_is_refused_for_a_moment_is_no_wrong_route() -> None:
    line = LogExcerpt(component="gateway", message="Connection refused: cart/10.9.0.4:80")

    assert diagnose(gatewayed(logs=(line,))).predictions == ()


def test_one_route_set_over_those_of_the_program_is_suspicious_even_without_a_path() -> None:
    override = EnvVar(name="SPRING_CLOUD_GATEWAY_ROUTES_3_URI", value="lb://web")
    found = diagnose(gatewayed(override)).predictions[0]

    assert (found.rule.id, found.object) == ("gateway-route", "app/gateway")
    assert found.score < 0.9


def test_a_route_given_as_an_argument() -> None:
    words = ("--spring.cloud.gateway.routes[0].uri=http://carts:80",)
    template = spec("gateway", containers=(Container(name="server", command=words),))
    state = gatewayed(workloads=(deployment("gateway", template=template), *shop().workloads))

    assert first(state) == ("gateway-route", "app/gateway")


def test_numbers_that_are_none_and_names_of_several_lines_break_nothing() -> None:
    wanted = Requirement(key="cores", operator="Gt", values=("--5",))
    assert not requirement_matches(wanted, {"cores": "²"})

    env = (EnvVar(name="DB_HOST", value="db"), EnvVar(name="DB_PORT", value="²"))
    state = shop(
        workloads=(
            deployment("web", template=spec("web", containers=(Container(name="web", env=env),))),
        ),
        connections=(Connection(service="a\nb", port=80, reachable=False),),
    )
    assert "app/a b" in {found.object for found in inspect(state)}
