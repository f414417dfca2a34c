"""Gateways: requests come in and are sent to the wrong service, or to none."""

import re
from collections.abc import Iterator

from tools.cluster_inspector.addresses import settings
from tools.cluster_inspector.findings import ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View
from tools.types import Route

_WORDS = frozenset({"gateway", "ingress", "proxy", "router", "edge", "nginx", "envoy", "apigw"})
_TARGET = re.compile(
    r"(?:uri|url|proxy_pass|target|upstream|backend|destination)\"?\s*[:=\s]\s*\"?'?"
    r"(?P<scheme>lb|https?|grpc|ws)://(?P<host>[A-Za-z][\w\-]*)[\w.\-]*(?::(?P<port>\d+))?",
    re.IGNORECASE,
)
_PATH = re.compile(
    r"(?:Path\s*=\s*|location\s+(?:[=~^*]+\s+)?|path\"?\s*:\s*\"?)(?P<path>/[\w\-/.]*)"
)
_NOBODY = re.compile(
    r"(?:Unable to find instance for|No servers available for service:?|"
    r"UnknownHostException:?|upstream host not found:?|host not found in upstream|"
    r"could not be resolved:?|Load balancer does not contain an instance for the service) "
    r"\"?(?P<host>[A-Za-z][\w\-]+)"
)
_REFUSED_PATH = re.compile(r"\b(404|405|421)\b")
_PLAIN = re.compile(r"[^a-z0-9]")
_GENERIC = frozenset({"api", "v1", "v2", "v3", "rest", "service", "services", "index", "health"})


def is_gateway(view: View, application: str) -> bool:
    """Named like one, or told routes by its environment."""
    if _WORDS & set(re.split(r"[^a-z]+", application.lower())):
        return True
    return any("ROUTES" in name.upper() for name in settings(view, application))


def _written(view: View, application: str) -> Iterator[Route]:
    """Routes in the application's environment and config maps, in the order they are written."""
    texts = [f"{name}={value}" for name, (value, _) in sorted(settings(view, application).items())]
    volumes = {v.source for v in view.spec(application).volumes if v.kind == "configmap"}
    texts += [
        value
        for item in view.state.settings
        if item.name in volumes
        for value in item.values.values()
    ]
    for text in texts:
        yield from _routes(application, text)
    yield from _indexed(application, settings(view, application))


def _routes(application: str, text: str) -> Iterator[Route]:
    """Each target with the path nearest to it in its own block, before or after."""
    blocks = re.split(r"(?m)^\s*-\s+id:|^\s*location\b(?=\s)", text)
    for block in blocks if len(blocks) > 1 else [text]:
        whole = block if len(blocks) == 1 else f"location{block}"
        target, path = _TARGET.search(whole), _PATH.search(whole)
        if target is not None:
            yield Route(
                source=f"ConfigMap/{application}",
                path=path["path"] if path else "",
                service=target["host"],
                port=int(target["port"]) if target["port"] else None,
            )


_INDEX = re.compile(
    r"(?P<stem>.*ROUTES_?\[?\d+\]?)_(?P<part>URI|URL|PREDICATES|PATH)", re.IGNORECASE
)


def _indexed(application: str, environment: dict[str, tuple[str, str]]) -> Iterator[Route]:
    """Routes as `..._ROUTES_0_URI` and `..._ROUTES_0_PREDICATES_0`."""
    parts: dict[str, dict[str, str]] = {}
    for name, (value, _) in environment.items():
        found = _INDEX.match(name)
        if found is not None:
            parts.setdefault(found["stem"], {})[found["part"][:3].upper()] = value
    for part in parts.values():
        target = _TARGET.search(f"uri={part.get('URI') or part.get('URL') or ''}")
        if target is not None:
            path = re.search(r"/[\w\-/.]*", part.get("PRE") or part.get("PAT") or "")
            yield Route(
                source=f"Deployment/{application}", path=path.group() if path else "",
                service=target["host"], port=int(target["port"]) if target["port"] else None,
            )  # fmt: skip


def meant(path: str, known: list[str]) -> list[str]:
    """The services whose name a part of the path spells, but for case and punctuation.

    >>> meant("/api/v1/orderservice/order", ["shop-order-service", "shop-price-service"])
    ['shop-order-service']
    """
    words = [_PLAIN.sub("", part.lower()) for part in path.split("/")]
    telling = [word for word in words if len(word) >= 4 and word not in _GENERIC]
    plain = {name: _PLAIN.sub("", name.lower()) for name in known}
    for word in telling:
        exact = [name for name in known if plain[name].endswith(word) or plain[name] == word]
        if exact:
            return exact
    return []


def routes(view: View) -> Iterator[ClusterFinding]:
    """Routes to services or ports that are not there, or to another service than the path names."""
    if "Service" not in view.state.listed:
        return
    known = list(view.state.listed["Service"])
    for application in view.workloads:
        if not is_gateway(view, application):
            continue
        for route in (*_written(view, application), *view.state.routes):
            found = _wrong(view, application, route, known)
            if found is not None:
                yield found


def _wrong(view: View, application: str, route: Route, known: list[str]) -> ClusterFinding | None:
    service = view.services.get(route.service)
    wanted = meant(route.path, known)
    offered = [port.port for port in service.ports] if service else []
    if route.service not in known:
        expected, score = ", ".join(wanted) or "a service of the namespace", 0.94
    elif offered and route.port is not None and route.port not in offered:
        expected, score = f"{route.service}:{', '.join(map(str, offered))}", 0.94
    elif wanted and route.service not in wanted:
        expected, score = ", ".join(wanted), 0.92
    else:
        return None
    target = route.service if route.port is None else f"{route.service}:{route.port}"
    return broken(
        "gateway-route", f"app/{application}", on=route.source, field=f"route {route.path or '*'}",
        observed=target, expected=expected, score=score, evidence=f"{route.path} -> {target}",
    )  # fmt: skip


def complaints(view: View) -> Iterator[ClusterFinding]:
    """Gateways that log targets nobody answers for."""
    known = set(view.state.listed.get("Service", ())) or set(view.services)
    for application in view.workloads:
        if not is_gateway(view, application):
            continue
        for line in view.logs(application):
            target = _NOBODY.search(line.message)
            if target is not None and known and target["host"] not in known:
                yield broken(
                    "gateway-route", f"app/{application}", on=f"Deployment/{application}",
                    field="routes", observed=target["host"], expected="a service of the namespace",
                    score=0.93, evidence=line.message,
                )  # fmt: skip


def lost_requests(view: View) -> Iterator[ClusterFinding]:
    """Calls answered with "not found" although the service meant for them serves: a wrong route."""
    gateways = [name for name in view.workloads if is_gateway(view, name)]
    for alert in view.state.alerts:
        said = alert.annotations.get("description", "")
        if not gateways or not _REFUSED_PATH.search(said) or not view.healthy(alert.service):
            continue
        path = alert.labels.get("path", "")
        yield broken(
            "gateway-route", f"app/{gateways[0]}", on=f"Deployment/{gateways[0]}",
            field=f"route {path or '*'}", observed=said, expected=f"an answer of {alert.service}",
            score=0.75, evidence=f"{path}: {said}",
        )  # fmt: skip
