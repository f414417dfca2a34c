"""Databases: their clients end because the database refuses, is full, read-only or elsewhere."""

import re
from collections.abc import Iterator

from tools.cluster_inspector.addresses import Address, addresses
from tools.cluster_inspector.findings import ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View, matches
from tools.log_retriever.causes import signature_of
from tools.types import LogExcerpt

_REFUSED = "store refuses the credentials"
_FULL = "server takes no more clients"
_READ_ONLY = "store takes no writes"
"""Rows of the catalogue of log signatures (`tools/log_retriever/causes.yaml`)."""

_NO_ANSWER = re.compile(
    r"Communications link failure|Connection refused|ECONNREFUSED|Can't connect to (?:MySQL|local)|"
    r"could not connect to server|No connection could be made|Connection timed out",
    re.IGNORECASE,
)
_STORES = {"mysql", "mariadb", "postgres", "postgresql", "mongo", "mongodb", "redis", "db", "sql"}
_WORDS = re.compile(r"[a-z]+")
DATABASE_PORTS = frozenset({1433, 1521, 3306, 5432, 6379, 27017, 9042})


def stores(view: View, application: str) -> list[Address]:
    """The databases an application is told to use."""
    return [
        address
        for address in addresses(view, application)
        if address.port in DATABASE_PORTS
        or _STORES & set(_WORDS.findall(f"{address.variable} {address.host}".lower()))
    ]


def backend(view: View, service: str) -> str:
    """The application that answers for a service: by its endpoints, its selector, its name."""
    endpoints = view.endpoints.get(service)
    hosts = {address.partition(":")[0] for address in endpoints.ready} if endpoints else set()
    for pod in view.state.pods:
        if pod.ip and pod.ip in hosts:
            return view.application(pod.name)
    known = view.services.get(service)
    for application in view.pods_by_application:
        if known and known.selector and matches(known.selector, view.labels(application)):
            return application
    named = [name for name in view.workloads if service.startswith(name)]
    return max(named, key=len, default=service)


def _first(lines: tuple[LogExcerpt, ...], pattern: re.Pattern[str]) -> LogExcerpt | None:
    return next((line for line in lines if pattern.search(line.message)), None)


def _first_saying(lines: tuple[LogExcerpt, ...], signature: str) -> LogExcerpt | None:
    return next((line for line in lines if _says(line.message, signature)), None)


def _says(text: str, signature: str) -> bool:
    row = signature_of(text)
    return row is not None and row.name == signature


def _database_of(view: View, application: str) -> str:
    """The database application behind the first store; the application itself when unknown."""
    told = stores(view, application)
    return backend(view, told[0].service) if told else ""


def clients(view: View) -> Iterator[ClusterFinding]:
    """What the logs of a client say of its database."""
    for application in {line.component: None for line in view.state.logs}:
        lines = view.logs(application)
        refused, full = _first_saying(lines, _REFUSED), _first_saying(lines, _FULL)
        sealed = _first_saying(lines, _READ_ONLY)
        database = _database_of(view, application) or _only_database(view)
        if refused and not view.healthy(application):
            yield broken(
                "database-credentials", f"app/{application}", on=f"Deployment/{application}",
                field="spec.template.spec.containers[*].env", observed="user or password refused",
                expected="the credentials of the database", score=0.95, evidence=refused.message,
            )  # fmt: skip
        for line, rule, field, want in (
            (full, "database-connections", "max_connections", "a free connection"),
            (sealed, "database-read-only", "read_only", "a database that takes writes"),
        ):
            if line is not None:
                yield broken(
                    rule, f"app/{database or application}",
                    on=f"StatefulSet/{database or application}", field=field,
                    observed=f"said to {application}", expected=want,
                    score=0.97 if database else 0.8, evidence=line.message,
                )  # fmt: skip


def _only_database(view: View) -> str:
    """The namespace's one stateful database, when there is one."""
    named = [
        name
        for name, item in view.workloads.items()
        if item.kind == "StatefulSet" and _STORES & set(_WORDS.findall(name))
    ]
    return named[0] if len(named) == 1 else ""


def servers(view: View) -> Iterator[ClusterFinding]:
    """What a database's own probes and events say."""
    for event in view.state.events:
        if event.type != "Warning" or event.kind != "pod":
            continue
        for signature, rule, field, want in (
            (_FULL, "database-connections", "max_connections", "a free connection"),
            (_READ_ONLY, "database-read-only", "read_only", "a database that takes writes"),
        ):
            if _says(event.message, signature):
                yield broken(
                    rule, f"app/{view.application(event.object)}", on=f"Pod/{event.object}",
                    field=field, observed=event.message, expected=want, score=0.97,
                    evidence=event.message,
                )  # fmt: skip


def wrong_port(view: View) -> Iterator[ClusterFinding]:
    """Clients that ask an existing database at a port its service does not offer."""
    for application in view.workloads:
        for address in stores(view, application):
            service = view.services.get(address.service)
            if service is None or address.port is None or not service.ports or not address.paired:
                continue
            offered = [port.port for port in service.ports]
            if address.port in offered:
                continue
            line = _first(view.logs(application), _NO_ANSWER)
            yield broken(
                "database-port", f"app/{application}", on=f"Deployment/{application}",
                field=f"{address.origin}[{address.variable}]",
                observed=f"{address.host}:{address.port}",
                expected=f"{address.service}:{', '.join(map(str, offered))}",
                score=0.96 if line or not view.healthy(application) else 0.9,
                evidence=line.message if line else f"{address.variable} with port {address.port}",
            )  # fmt: skip


def silent(view: View) -> Iterator[ClusterFinding]:
    """Clients whose database does not answer although their address is right."""
    for application in view.workloads:
        line = _first(view.logs(application), _NO_ANSWER)
        if line is None or view.healthy(application):
            continue
        for address in stores(view, application):
            server = backend(view, address.service)
            if not view.healthy(server):
                yield broken(
                    "database-down", f"app/{server}", on=f"Service/{address.service}",
                    field="status", observed=f"no answer to {application}",
                    expected="a database that answers", score=0.75, evidence=line.message,
                )  # fmt: skip


def unspoken(view: View) -> Iterator[ClusterFinding]:
    """Clients that exit without a word although their database serves at the address they have.

    A suspicion only: of what a client needs of its database, the credentials are the one part that
    cannot be seen from outside.
    """
    for application in view.workloads:
        pods = [pod for pod in view.unready if view.application(pod.name) == application]
        ended = any(
            state.exit_code not in (None, 0, 137, 143)
            for pod in pods
            for container in pod.spec.containers
            for state in (container.state, container.last_state)
        )
        asked = any(k.verb == "errors" and k.name == application for k in view.state.looked)
        if not ended or not asked or view.logs(application):
            continue
        for address in stores(view, application)[:1]:
            service = view.services.get(address.service)
            right = service and address.port in [port.port for port in service.ports]
            if right and view.healthy(backend(view, address.service)):
                yield broken(
                    "database-credentials", f"app/{application}", on=f"Deployment/{application}",
                    field=f"{address.origin} beside {address.variable}", observed="exits silently",
                    expected="the credentials of the database", score=0.5,
                    evidence=f"{address.host}:{address.port} serves, and {application} exits",
                )  # fmt: skip
