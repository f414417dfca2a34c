"""Service routing and network policies: pods run, and their callers do not reach them."""

import re
from collections import defaultdict
from collections.abc import Iterator

from tools.cluster_inspector.addresses import Address, addresses, similar
from tools.cluster_inspector.analyzers.database import stores
from tools.cluster_inspector.analyzers.gateway import is_gateway
from tools.cluster_inspector.findings import HINT, INFERRED, NOTE, SYMPTOM, ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View, matches, serves
from tools.types import (
    Container,
    Endpoints,
    LogExcerpt,
    NetworkPolicy,
    Pod,
    PolicyPeer,
    PolicyRule,
    Requirement,
    Service,
    ServicePort,
)

_UNRESOLVED = re.compile(
    r"no such host|UnknownHost|name resolution|Name or service not known|ENOTFOUND|EAI_AGAIN|"
    r"getaddrinfo|lookup [\w.\-]+ on [\w.:\[\]]+: .*timeout|NXDOMAIN|could not resolve",
    re.IGNORECASE,
)


def _unanswered(view: View) -> Iterator[tuple[Service, Endpoints | None]]:
    """Services that choose pods and have no ready address, as far as their endpoints were read."""
    for service in view.state.services:
        found = view.endpoints.get(service.name)
        if not service.selector or (found is not None and (found.ready or found.lock)):
            continue
        if found is not None or view.complete("Endpoints") or view.complete("EndpointSlice"):
            yield service, found


def selectors(view: View) -> Iterator[ClusterFinding]:
    """Services that select no pod although the pods meant for them run.

    Meant are the pods of the application of the service's name; or, where the service is called
    otherwise and all pods are known, those that serve behind no service at all.
    """
    for service, endpoints in _unanswered(view):
        if endpoints is not None and endpoints.not_ready:
            continue
        pods = view.pods_by_application.get(service.name, ())
        serving = [pod for pod in pods if serves(pod) and _attended(view, pod)]
        named = bool(serving)
        if not named and view.complete("Pod") and not _awaited(view, service):
            serving = [pod for pod in _unreached(view, service) if _attended(view, pod)]
        if not serving:
            continue
        application = service.name if named else view.application(serving[0].name)
        labels = view.labels(application)
        if labels and matches(service.selector, labels):
            continue
        yield broken(
            "service-selector-unmet",
            f"app/{service.name}",
            on=f"Service/{service.name}",
            field="spec.selector",
            observed=_pairs(service.selector),
            expected=_pairs(labels) or f"labels of {serving[0].name}",
            score=(0.95 if labels else 0.8) if named else INFERRED,
            evidence=f"service {service.name} has no endpoints, {len(serving)} of its pods serve"
            if named
            else f"service {service.name} selects no pod; {serving[0].name} serves behind none",
        )


def _pairs(labels: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def _awaited(view: View, service: Service) -> bool:
    """Pods or a workload carry the selector: the service chooses well, its pods do not answer."""
    templates = (view.spec(name).labels for name in view.workloads)
    return bool(view.selected(service.selector)) or any(
        matches(service.selector, labels) for labels in templates if labels
    )


def _unreached(view: View, service: Service) -> list[Pod]:
    """Pods of workloads that serve, that no service selects, and that offer what this one asks."""
    asked = {port.target or str(port.port) for port in service.ports}
    chosen = [service.selector for service in view.state.services if service.selector]
    return [
        pod
        for pod in view.current
        if serves(pod)
        and pod.labels
        and any({str(p.port), p.name} & asked for c in pod.spec.containers for p in c.ports)
        and view.application(pod.name) in view.workloads
        and not any(matches(selector, pod.labels) for selector in chosen)
    ]


def endpoints(view: View) -> Iterator[ClusterFinding]:
    """Services that nobody answers for, where their pods do not tell more."""
    for service, found in _unanswered(view):
        waiting = found.not_ready if found is not None else ()
        if any(not serves(pod) for pod in view.selected(service.selector)):
            continue
        if not waiting and (view.selected(service.selector) or _idle(view, service)):
            continue
        yield broken(
            "endpoints-not-ready" if waiting else "no-endpoints", f"app/{service.name}",
            on=f"Service/{service.name}", field="endpoints",
            observed=f"addresses not ready: {len(waiting)}, ready: none",
            expected=f"a ready pod with {_pairs(service.selector)}",
            score=SYMPTOM if waiting else NOTE,
            evidence=f"service {service.name} has no ready endpoint",
        )  # fmt: skip


def _idle(view: View, service: Service) -> bool:
    """The workload behind the service was scaled to zero: another rule tells that."""
    return any(
        item.desired == 0 and item.template.labels and matches(
            service.selector, item.template.labels
        )
        for item in view.workloads.values()
    )  # fmt: skip


def _attended(view: View, pod: Pod) -> bool:
    """Its node's kubelet still reports: what a dead one said last of a pod is out of date."""
    node = view.nodes.get(pod.node)
    return node is None or node.ready is not False


def _containers(view: View, service: Service) -> tuple[str, list[Container]]:
    """The application behind a service and its containers."""
    pairs = tuple(Requirement(key=k, values=(v,)) for k, v in service.selector.items())
    for application in (service.name, *(view.carriers(pairs) if pairs else ())):
        labels = view.labels(application)
        if service.selector and labels and matches(service.selector, labels):
            containers = [c for c in view.spec(application).containers if not c.init]
            return application, containers
    return service.name, []


def ports(view: View) -> Iterator[ClusterFinding]:
    """Service ports that lead to a port or a protocol no container offers."""
    for service in view.state.services:
        application, containers = _containers(view, service)
        declared = [port for container in containers for port in container.ports]
        for port in service.ports:
            yield from _unnamed(view, service, port, application)
            if not declared:
                continue
            target = port.target or str(port.port)
            same = [item for item in declared if target in (str(item.port), item.name)]
            if not same and port.target:
                yield broken(
                    "service-target-port", f"app/{application}", on=f"Service/{service.name}",
                    field="spec.ports[*].targetPort", observed=target,
                    expected=", ".join(str(item.port) for item in declared), score=0.93,
                    evidence=f"{service.name}:{port.port} goes to {target}",
                )  # fmt: skip
            elif same and all(item.protocol != port.protocol for item in same):
                yield _protocol(service, application, port, port.protocol, same[0].protocol, 0.94)
            elif same:
                yield from _application_protocol(view, service, application, port)


def _unnamed(
    view: View, service: Service, port: ServicePort, application: str
) -> Iterator[ClusterFinding]:
    """A target port by name that no container has leaves an endpoint without a port."""
    endpoints = view.endpoints.get(service.name)
    if endpoints is None or not endpoints.ready:
        return
    if all(":" not in address for address in endpoints.ready):
        yield broken(
            "service-target-port", f"app/{application}", on=f"Service/{service.name}",
            field="spec.ports[*].targetPort", observed=port.target or "a name nobody has",
            expected="a port of the pods, by number or name", score=0.94,
            evidence=f"endpoints {', '.join(endpoints.ready[:3])} have no port",
        )  # fmt: skip


def _protocol(
    service: Service,
    application: str,
    port: ServicePort,
    observed: str,
    expected: str,
    score: float,
) -> ClusterFinding:
    return broken(
        "service-protocol", f"app/{application}", on=f"Service/{service.name}",
        field="spec.ports[*].protocol", observed=observed, expected=expected, score=score,
        evidence=f"{service.name}:{port.port} is {observed}, its pods speak {expected}",
    )  # fmt: skip


def _application_protocol(
    view: View, service: Service, application: str, port: ServicePort
) -> Iterator[ClusterFinding]:
    """The application protocol that the port states against the one that its probes speak.

    A mesh takes the protocol from `appProtocol`, or from the port's name. A name is often wrong
    without harm, so it counts only where nothing else is wrong with the application.
    """
    stated = (port.app_protocol or port.name.partition("-")[0]).lower().rpartition("/")[2]
    spoken = {
        probe.action
        for container in view.spec(application).containers
        for probe in container.probes
        if probe.port in (port.target, str(port.port)) and probe.action in ("http", "grpc")
    }
    if stated in ("http", "grpc") and spoken and stated not in spoken:
        meant = 0.9 if port.app_protocol else 0.8 if view.healthy(application) else 0.3
        yield _protocol(service, application, port, stated, " and ".join(sorted(spoken)), meant)


def environment(view: View) -> Iterator[ClusterFinding]:
    """Addresses of the environment whose service or port is not there.

    An address nobody uses is often left over. It is a cause when the log names it, when it is
    nearly the name of a service, or when the service is there and the port is not.
    """
    if "Service" not in view.state.listed:
        return
    known = list(view.state.listed["Service"])
    for application in view.workloads:
        for address in addresses(view, application):
            found = _leads_nowhere(view, address, known)
            if found is not None:
                yield found


def _leads_nowhere(view: View, address: Address, known: list[str]) -> ClusterFinding | None:
    service = view.services.get(address.service)
    if service is not None:
        offered = [port.port for port in service.ports]
        stored = address.paired and address in stores(view, address.application)
        if not offered or address.port is None or address.port in offered or stored:
            return None
        return _address(
            view, address, f"{address.service}:{', '.join(map(str, offered))}", 0.94, ""
        )
    if address.service in known or f"Service/{address.service}" in view.state.declared:
        return None
    close = similar(address.service, known)
    named = next((line for line in view.state.logs if _names(line, address.host)), None)
    score = 0.95 if named else 0.75 if close else 0.3
    return _address(view, address, close or "a service of the namespace", score,
                    named.message if named else "")  # fmt: skip


def _names(line: LogExcerpt, host: str) -> bool:
    return re.search(rf"(?<![\w\-.]){re.escape(host)}(?![\w\-])", line.message) is not None


def _address(
    view: View, address: Address, expected: str, score: float, evidence: str
) -> ClusterFinding:
    written = address.host if address.port is None else f"{address.host}:{address.port}"
    return broken(
        "gateway-route" if is_gateway(view, address.application) else "environment-address",
        f"app/{address.application}",
        on=f"Deployment/{address.application}",
        field=f"spec.template.spec.containers[*].env[{address.variable}]", observed=written,
        expected=expected, score=score, evidence=evidence or f"{address.variable}={written}",
    )  # fmt: skip


def resolution(view: View) -> Iterator[ClusterFinding]:
    """Pods whose own resolver is set wrong, or whose names do not resolve."""
    for application in view.workloads:
        spec = view.spec(application)
        yield from _aliases(view, application)
        own = spec.dns_policy == "None" or (spec.dns_policy == "Default" and not spec.host_network)
        lines = [line for line in view.logs(application) if _UNRESOLVED.search(line.message)]
        failing = [line for line in lines if _exists(view, line)]
        healthy = view.healthy(application)
        if own and (lines or not healthy):
            score = 0.96 if lines else 0.8
        elif failing and not healthy:
            score = 0.75
        else:
            continue
        yield broken(
            "name-resolution", f"app/{application}", on=f"Deployment/{application}",
            field="spec.template.spec.dnsPolicy",
            observed=f"{spec.dns_policy or 'ClusterFirst'} {', '.join(spec.nameservers)}".strip(),
            expected="ClusterFirst with the cluster's name server", score=score,
            evidence=(failing or lines)[0].message if lines else f"dnsPolicy {spec.dns_policy}",
        )  # fmt: skip


def _aliases(view: View, application: str) -> Iterator[ClusterFinding]:
    """Host aliases that give a service of the namespace another address than its own."""
    for host, address in view.spec(application).host_aliases:
        service = view.services.get(host.partition(".")[0])
        if service is not None and service.cluster_ip != address:
            yield broken(
                "name-resolution", f"app/{application}", on=f"Deployment/{application}",
                field="spec.template.spec.hostAliases", observed=f"{host} is {address}",
                expected=service.cluster_ip or "no alias", score=0.9,
                evidence=f"host alias {host} -> {address}",
            )  # fmt: skip


def _exists(view: View, line: LogExcerpt) -> bool:
    """The line is about a name that does exist in the cluster."""
    return any(_names(line, name) for name in view.services) or ".svc" in line.message


def isolation(view: View) -> Iterator[ClusterFinding]:
    """Applications for which all policies together leave a direction without any peer.

    Policies add up: one that opens a direction is enough, and an empty selector selects all pods.
    Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
    """
    chosen: dict[str, list[NetworkPolicy]] = defaultdict(list)
    for policy in view.state.policies:
        for application in view.carriers(policy.selector):
            chosen[application].append(policy)
    for application, policies in chosen.items():
        # A policy that a listing names may open what the others close.
        if any("directions" not in one.model_fields_set for one in policies):
            continue
        for direction in ("Ingress", "Egress"):
            closing = [one for one in policies if direction in one.directions]
            if not closing or (direction == "Ingress" and not view.services_of(application)):
                continue
            rules = [rule for one in closing for rule in _rules(one, direction)]
            if not any(_opens(view, rule) for rule in rules):
                yield _isolated(application, closing[0], direction, rules)


def _rules(policy: NetworkPolicy, direction: str) -> tuple[PolicyRule, ...]:
    return policy.ingress if direction == "Ingress" else policy.egress


def _opens(view: View, rule: PolicyRule) -> bool:
    """Somebody passes: everybody, somebody elsewhere, or a pod that exists."""
    return not rule.peers or any(_reaches_somebody(view, peer) for peer in rule.peers)


def _reaches_somebody(view: View, peer: PolicyPeer) -> bool:
    if peer.elsewhere or peer.pods is None or not view.complete("Pod"):
        return True
    return bool(view.carriers(peer.pods))


def _isolated(
    application: str, policy: NetworkPolicy, direction: str, rules: list[PolicyRule]
) -> ClusterFinding:
    way = "callers" if direction == "Ingress" else "callees"
    observed = "rules that match no pod" if rules else "no rule"
    # Without a rule nothing passes; a peer that is not there may only not have been started.
    score = NOTE if rules else HINT if direction == "Egress" else 0.5
    return broken(
        "policy-isolates", f"app/{application}", on=f"NetworkPolicy/{policy.name}",
        field=f"spec.{direction.lower()}", observed=observed,
        expected=f"a rule for its {way}", score=score,
        evidence=f"policy {policy.name} closes {direction.lower()} of {application}: {observed}",
    )  # fmt: skip
