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
_BLOCK = re.compile(r"(?m)^\s*-\s+id:|\blocation\s+(?=[=~^*/])|\{(?=\s*\")")
_NOBODY = re.compile(
    r"(?:Unable to find instance for|No servers available for service:?|UnknownHostException:?|"
    r"upstream host not found:?|host not found in upstream|could not be resolved:?|"
    r"Load balancer does not contain an instance for the service|[Ff]ailed to resolve|"
    r"lookup) [\"']?(?P<host>[A-Za-z][\w\-]+)"
)
_REFUSED_AT = re.compile(r"(?P<host>[A-Za-z][\w\-]+)(?:[\w.\-]*)/[\d.]+:(?P<port>\d+)")
_NOT_THERE = re.compile(r"\b(404|405|421)\b")
_NOT_REACHED = re.compile(r"\b(502|503|504)\b")
_PLAIN = re.compile(r"[^a-z0-9]")
_GENERIC = frozenset({"api", "v1", "v2", "v3", "rest", "service", "services", "index", "health"})


def _texts(view: View, application: str) -> list[str]:
    """Where an application may be told its routes: environment, arguments, mounted config maps."""
    spec = view.spec(application)
    volumes = {volume.source for volume in spec.volumes if volume.kind == "configmap"}
    texts = [f"{name}={value}" for name, (value, _) in sorted(settings(view, application).items())]
    texts += [word for container in spec.containers for word in container.command]
    texts += [
        value
        for name in sorted(volumes)
        for value in view.settings.get(f"configmap/{name}", {}).values()
    ]
    return texts


def is_gateway(view: View, application: str) -> bool:
    """Named like one, or told where to send which path."""
    if _WORDS & set(re.split(r"[^a-z]+", application.lower())):
        return True
    return any(_TARGET.search(text) and _PATH.search(text) for text in _texts(view, application))


def _written(view: View, application: str) -> Iterator[Route]:
    """Routes in the application's settings, in the order they are written."""
    for text in _texts(view, application):
        yield from _routes(application, text)
    yield from _indexed(view, application)


def _routes(application: str, text: str) -> Iterator[Route]:
    """Each block that has a target, with the path in the same block."""
    starts = [found.start() for found in _BLOCK.finditer(text)]
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        target, path = _TARGET.search(text, start, end), _PATH.search(text, start, end)
        if target is not None and (path or len(starts)):
            yield Route(
                source=f"ConfigMap/{application}",
                path=path["path"] if path else "",
                service=target["host"],
                port=int(target["port"]) if target["port"] else None,
            )


_INDEX = re.compile(
    r"(?P<stem>.*ROUTES[_.]?\[?\d+\]?)[_.](?P<part>URI|URL|PREDICATES|PATH)", re.IGNORECASE
)
_ARGUMENT = re.compile(r"(?:--|-D)(?P<name>[\w.\[\]\-]+)=(?P<value>\S+)")


def _indexed(view: View, application: str) -> Iterator[Route]:
    """Routes as `..._ROUTES_0_URI` and `..._ROUTES_0_PREDICATES_0`, or as `--...routes[0].uri`."""
    pairs = [(name, value) for name, (value, _) in settings(view, application).items()]
    for text in _texts(view, application):
        pairs += [(said["name"], said["value"]) for said in _ARGUMENT.finditer(text)]
    parts: dict[str, dict[str, str]] = {}
    for name, value in pairs:
        found = _INDEX.match(name)
        if found is not None:
            parts.setdefault(found["stem"].upper(), {})[found["part"][:3].upper()] = value
    for part in parts.values():
        target = _TARGET.search(f"uri={part.get('URI') or part.get('URL') or ''}")
        if target is not None:
            path = re.search(r"/[\w\-/.]*", part.get("PRE") or part.get("PAT") or "")
            yield Route(
                source=f"Deployment/{application}", path=path.group() if path else "",
                service=target["host"], port=int(target["port"]) if target["port"] else None,
            )  # fmt: skip


def meant(path: str, known: list[str]) -> list[str]:
    """Return the known services that a part of `path` spells, ignoring case and punctuation.

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


_REFERRING = ("Ingress/", "HTTPRoute/", "GRPCRoute/")


def _wrong(view: View, application: str, route: Route, known: list[str]) -> ClusterFinding | None:
    service = view.services.get(route.service)
    wanted = meant(route.path, known)
    offered = [port.port for port in service.ports] if service else []
    judged = route.source.startswith(_REFERRING)
    if judged and (route.service not in known or route.port not in (None, *offered)):
        return None  # an object that names none is told by the rules of references
    if route.service not in known:
        expected, score = ", ".join(wanted) or "a service of the namespace", 0.94
    elif offered and route.port is not None and route.port not in offered:
        expected, score = f"{route.service}:{', '.join(map(str, offered))}", 0.94
    elif wanted and route.service not in wanted:
        expected, score = ", ".join(wanted), 0.92
    elif not route.path and route.source.startswith("Deployment/"):
        # One route alone, set from outside over those the program brings with it.
        expected, score = "the route the program brings with it", 0.6
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
            target = _astray(view, line.message, known)
            if target:
                yield broken(
                    "gateway-route", f"app/{application}", on=f"Deployment/{application}",
                    field="routes", observed=target, expected="a service of the namespace",
                    score=0.93, evidence=line.message,
                )  # fmt: skip


def _astray(view: View, message: str, known: set[str]) -> str:
    """The target a gateway complains of, when there is no such service or no such port of it."""
    missing = _NOBODY.search(message)
    if missing is not None and known and missing["host"] not in known:
        return missing["host"]
    refused = _REFUSED_AT.search(message)
    service = view.services.get(refused["host"]) if refused else None
    if refused is None or service is None:
        return ""
    offered = {str(port.port) for port in service.ports}
    return refused.group() if offered and refused["port"] not in offered else ""


def lost_requests(view: View) -> Iterator[ClusterFinding]:
    """Calls that fail before the service meant for them, which serves: a wrong route.

    "Not found" is said by a service that was not meant, or by the gateway. "Unavailable" is the
    gateway's word too, and a weaker one: the service may have been down for a moment.
    """
    gateways = [name for name in view.workloads if is_gateway(view, name)]
    for alert in view.state.alerts:
        said = alert.annotations.get("description", "")
        strays = _NOT_THERE.search(said)
        known = alert.service in view.workloads
        if not gateways or alert.service in gateways or (known and not view.healthy(alert.service)):
            continue
        if not strays and not _NOT_REACHED.search(said):
            continue
        path = alert.labels.get("path", "")
        yield broken(
            "gateway-route", f"app/{gateways[0]}", on=f"Deployment/{gateways[0]}",
            field=f"route {path or '*'}", observed=said, expected=f"an answer of {alert.service}",
            score=(0.75 if strays else 0.5) - (0.0 if known else 0.1), evidence=f"{path}: {said}",
        )  # fmt: skip
