"""API objects of the network (services, endpoints, policies, routes) as typed objects."""

from collections.abc import Callable

from copilot.sources.kubernetes.pod_spec import (
    Json,
    base,
    conditions,
    integer,
    items,
    mapping,
    name_of,
    requirements,
    strings,
    texts,
)
from tools.types import (
    ApiResource,
    ClusterState,
    Endpoints,
    NetworkPolicy,
    PolicyPeer,
    PolicyRule,
    Reference,
    Route,
    Service,
    ServicePort,
    Timestamp,
)

_LOCK = "control-plane.alpha.kubernetes.io/leader"
_SLICE_OF = "kubernetes.io/service-name"
_CARRIED = frozenset({"Accepted", "Programmed", "ResolvedRefs"})


def _service(document: Json, now: Timestamp | None) -> ClusterState:
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
    known = {**base(document, now), "selector": strings(spec.get("selector")), "ports": ports}
    for field, key in (
        ("type", "type"),
        ("cluster_ip", "clusterIP"),
        ("external_name", "externalName"),
    ):
        if spec.get(key):
            known[field] = str(spec[key])
    return ClusterState(services=(Service.model_validate(known),))


def _joined(addresses: list[str], ports: list[Json]) -> tuple[str, ...]:
    """Each address with each port; the address alone where no port is written."""
    written = [f":{port.get('port')}" for port in ports] or [""]
    return tuple(f"{address}{port}" for address in addresses for port in written)


def _endpoints(document: Json, now: Timestamp | None) -> ClusterState:
    def reached(field: str) -> tuple[str, ...]:
        return tuple(
            address
            for subset in items(document.get("subsets"))
            for address in _joined(
                [_address(item) for item in items(subset.get(field))], items(subset.get("ports"))
            )
        )

    found = Endpoints(
        name=name_of(document),
        ready=reached("addresses"),
        not_ready=reached("notReadyAddresses"),
        lock=_LOCK in mapping(mapping(document.get("metadata")).get("annotations")),
    )
    return ClusterState(endpoints=(found,))


def _address(item: Json) -> str:
    return str(item.get("ip") or mapping(item.get("targetRef")).get("name") or "")


def _slice(document: Json, now: Timestamp | None) -> ClusterState:
    """An EndpointSlice; an endpoint without a word on readiness counts as ready, as the API says.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
    """
    reached: dict[bool, list[str]] = {True: [], False: []}
    for endpoint in items(document.get("endpoints")):
        ready = mapping(endpoint.get("conditions")).get("ready") is not False
        reached[ready] += texts(endpoint.get("addresses"))
    ports = items(document.get("ports"))
    labels = strings(mapping(document.get("metadata")).get("labels"))
    found = Endpoints(
        name=labels.get(_SLICE_OF, name_of(document)),
        slice=name_of(document),
        ready=_joined(reached[True], ports),
        not_ready=_joined(reached[False], ports),
    )
    return ClusterState(endpoints=(found,))


def _peer(peer: Json) -> PolicyPeer:
    pods = requirements(peer["podSelector"]) if "podSelector" in peer else None
    return PolicyPeer(pods=pods, elsewhere="namespaceSelector" in peer or "ipBlock" in peer)


def _policy(document: Json, now: Timestamp | None) -> ClusterState:
    """A network policy; without `policyTypes` egress is meant only where egress rules are written.

    Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
    """
    spec = mapping(document.get("spec"))
    rules = {
        field: tuple(
            PolicyRule(peers=tuple(map(_peer, items(rule.get(peers)))))
            for rule in items(spec.get(field))
        )
        for field, peers in (("ingress", "from"), ("egress", "to"))
    }
    found = NetworkPolicy.model_validate(
        {
            **base(document, now),
            "selector": requirements(spec.get("podSelector")),
            "directions": texts(spec.get("policyTypes"))
            or (("Ingress", "Egress") if rules["egress"] else ("Ingress",)),
            **rules,
        }
    )
    return ClusterState(policies=(found,))


def _backend(field: str, written: object) -> Reference | None:
    """The service of an Ingress backend; None where it is another resource."""
    service = mapping(mapping(written).get("service"))
    port = mapping(service.get("port"))
    if not service.get("name"):
        return None
    return Reference(
        field=field, kind="Service", name=str(service["name"]),
        port=str(port.get("number") or port.get("name") or ""),
    )  # fmt: skip


def _ingress(document: Json, now: Timestamp | None) -> ClusterState:
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    source = f"Ingress/{name_of(document)}"
    backends = [
        (str(path.get("path") or ""), _backend("spec.rules[*].http.paths[*].backend", written))
        for rule in items(spec.get("rules"))
        for path in items(mapping(rule.get("http")).get("paths"))
        for written in [path.get("backend")]
    ]
    backends.append(("", _backend("spec.defaultBackend", spec.get("defaultBackend"))))
    references = [reference for _, reference in backends if reference is not None]
    references += [
        Reference(field="spec.tls[*].secretName", kind="Secret", name=str(tls["secretName"]))
        for tls in items(spec.get("tls"))
        if tls.get("secretName")
    ]
    # The old annotation needs no IngressClass object; the field names one.
    if spec.get("ingressClassName"):
        references.append(
            Reference(
                field="spec.ingressClassName",
                kind="IngressClass",
                name=str(spec["ingressClassName"]),
            )
        )
    known = {
        **base(document, now),
        "kind": "Ingress",
        "references": tuple(dict.fromkeys(references)),
        "served": bool(items(mapping(status.get("loadBalancer")).get("ingress"))),
    }
    routes = tuple(
        Route(source=source, path=path, service=to.name, port=integer(to.port))
        for path, to in backends
        if to is not None
    )
    return ClusterState(routes=routes, resources=(ApiResource.model_validate(known),))


def _route(document: Json, now: Timestamp | None) -> ClusterState:
    """The Gateway API's HTTPRoute and GRPCRoute, and Istio's VirtualService: matches and targets.

    A route's conditions stand beside each parent: one per gateway that it asks to carry it.
    """
    kind, spec = str(document.get("kind")), mapping(document.get("spec"))
    routes, references = [], []
    for rule in (*items(spec.get("rules")), *items(spec.get("http"))):
        wanted = [item for match in items(rule.get("matches")) for item in [match.get("path")]]
        wanted += [match.get("uri") for match in items(rule.get("match"))]
        path = next((str(v) for w in wanted for k, v in mapping(w).items() if k != "type"), "")
        targets = [*items(rule.get("backendRefs"))]
        references += [
            _referred("spec.rules[*].backendRefs", target, "Service") for target in targets
        ]
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
    found = ClusterState(routes=tuple(route for route in routes if route.service))
    if kind == "VirtualService":
        return found
    parents = items(mapping(document.get("status")).get("parents"))
    known = {
        **base(document, now),
        "kind": kind,
        "references": (
            *(
                _referred("spec.parentRefs", one, "Gateway")
                for one in items(spec.get("parentRefs"))
            ),
            *references,
        ),
        "conditions": tuple(
            condition for parent in parents for condition in conditions(parent, now)
        ),
    }
    return found.model_copy(update={"resources": (ApiResource.model_validate(known),)})


def _referred(field: str, written: Json, kind: str) -> Reference:
    return Reference(
        field=field,
        kind=str(written.get("kind") or kind),
        name=str(written.get("name") or ""),
        namespace=str(written.get("namespace") or ""),
        port=str(written.get("port") or ""),
    )


def _gateway(document: Json, now: Timestamp | None) -> ClusterState:
    """A gateway with its own conditions and those of its listeners."""
    spec, status = mapping(document.get("spec")), mapping(document.get("status"))
    known = {
        **base(document, now),
        "kind": "Gateway",
        "conditions": (
            *conditions(status, now),
            *(
                condition
                for listener in items(status.get("listeners"))
                for condition in conditions(listener, now)
                if condition.type in _CARRIED
            ),
        ),
        "references": (
            Reference(
                field="spec.gatewayClassName",
                kind="GatewayClass",
                name=str(spec.get("gatewayClassName") or ""),
            ),
        ),
        "own_namespace_only": _own_only(spec),
    }
    return ClusterState(resources=(ApiResource.model_validate(known),))


def _own_only(spec: Json) -> bool:
    """No listener lets routes of other namespaces attach; `Same` is what is meant unsaid.

    Source: https://gateway-api.sigs.k8s.io/reference/spec/#routenamespaces
    """
    listeners = items(spec.get("listeners"))
    allowed = [
        mapping(mapping(listener.get("allowedRoutes")).get("namespaces")).get("from") or "Same"
        for listener in listeners
    ]
    return bool(listeners) and all(word == "Same" for word in allowed)


def _class(document: Json, now: Timestamp | None) -> ClusterState:
    known = {
        **base(document, now),
        "kind": str(document.get("kind")),
        "conditions": conditions(mapping(document.get("status")), now),
    }
    return ClusterState(resources=(ApiResource.model_validate(known),))


READERS: dict[str, Callable[[Json, Timestamp | None], ClusterState]] = {
    "Service": _service,
    "Endpoints": _endpoints,
    "EndpointSlice": _slice,
    "NetworkPolicy": _policy,
    "Ingress": _ingress,
    "IngressClass": _class,
    "HTTPRoute": _route,
    "GRPCRoute": _route,
    "VirtualService": _route,
    "Gateway": _gateway,
    "GatewayClass": _class,
}
