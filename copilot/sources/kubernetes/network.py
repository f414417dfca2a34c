"""API objects of the network (services, endpoints, policies, routes) as typed objects."""

from collections.abc import Callable

from copilot.sources.kubernetes.pod_spec import (
    Json,
    base,
    integer,
    items,
    mapping,
    name_of,
    strings,
    texts,
)
from tools.types import ClusterState, Endpoints, NetworkPolicy, Route, Service, ServicePort


def _service(document: Json) -> ClusterState:
    spec = mapping(document.get("spec"))
    ports = tuple(
        ServicePort(
            port=number,
            target=str(port.get("targetPort") or number),
            name=str(port.get("name") or ""),
            protocol=str(port.get("protocol") or "TCP"),
            app_protocol=str(port.get("appProtocol") or ""),
            node_port=integer(port.get("nodePort")),
        )
        for port in items(spec.get("ports"))
        if (number := integer(port.get("port"))) is not None
    )
    known = {**base(document), "selector": strings(spec.get("selector")), "ports": ports}
    for field, key in (
        ("type", "type"),
        ("cluster_ip", "clusterIP"),
        ("external_name", "externalName"),
    ):
        if spec.get(key):
            known[field] = str(spec[key])
    return ClusterState(services=(Service.model_validate(known),))


def _endpoints(document: Json) -> ClusterState:
    def reached(field: str) -> tuple[str, ...]:
        return tuple(
            f"{address.get('ip')}:{port.get('port')}"
            for subset in items(document.get("subsets"))
            for address in items(subset.get(field))
            for port in items(subset.get("ports"))
        )

    found = Endpoints(
        name=name_of(document), ready=reached("addresses"), not_ready=reached("notReadyAddresses")
    )
    return ClusterState(endpoints=(found,))


def _policy(document: Json) -> ClusterState:
    spec = mapping(document.get("spec"))
    found = NetworkPolicy(
        name=name_of(document),
        selector=strings(mapping(spec.get("podSelector")).get("matchLabels")),
        directions=texts(spec.get("policyTypes")) or ("Ingress",),
        ingress_rules=len(items(spec.get("ingress"))),
        egress_rules=len(items(spec.get("egress"))),
    )
    return ClusterState(policies=(found,))


def _ingress(document: Json) -> ClusterState:
    spec = mapping(document.get("spec"))
    source = f"Ingress/{name_of(document)}"
    paths = [
        path
        for rule in items(spec.get("rules"))
        for path in items(mapping(rule.get("http")).get("paths"))
    ]
    if "defaultBackend" in spec:
        paths.append({"path": "", "backend": spec["defaultBackend"]})
    routes = []
    for path in paths:
        backend = mapping(mapping(path.get("backend")).get("service"))
        port = integer(mapping(backend.get("port")).get("number"))
        routes.append(
            Route(
                source=source,
                path=str(path.get("path") or ""),
                service=str(backend.get("name", "")),
                port=port,
            )
        )
    return ClusterState(routes=tuple(route for route in routes if route.service))


def _http_route(document: Json) -> ClusterState:
    """The Gateway API's HTTPRoute and Istio's VirtualService: rules of matches and targets."""
    kind, spec = str(document.get("kind")), mapping(document.get("spec"))
    routes = []
    for rule in (*items(spec.get("rules")), *items(spec.get("http"))):
        wanted = [item for match in items(rule.get("matches")) for item in [match.get("path")]]
        wanted += [match.get("uri") for match in items(rule.get("match"))]
        path = next((str(v) for w in wanted for k, v in mapping(w).items() if k != "type"), "")
        targets = [*items(rule.get("backendRefs"))]
        targets += [mapping(item.get("destination")) for item in items(rule.get("route"))]
        for target in targets:
            port = target.get("port")
            routes.append(
                Route(
                    source=f"{kind}/{name_of(document)}",
                    path=path,
                    service=str(target.get("name") or target.get("host") or "").partition(".")[0],
                    port=integer(mapping(port).get("number") if isinstance(port, dict) else port),
                )
            )
    return ClusterState(routes=tuple(route for route in routes if route.service))


READERS: dict[str, Callable[[Json], ClusterState]] = {
    "Service": _service,
    "Endpoints": _endpoints,
    "NetworkPolicy": _policy,
    "Ingress": _ingress,
    "HTTPRoute": _http_route,
    "VirtualService": _http_route,
}
