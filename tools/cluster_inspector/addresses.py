"""Addresses in a pod's environment: which service each means, and whether it is there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.cluster_inspector.view import View
from tools.types import EnvVar

_AUTHORITY = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.\-:]*)://)?(?:[^/@\s]*@)?"
    r"(?P<host>[A-Za-z][A-Za-z0-9\-]*(?:\.[A-Za-z0-9\-]+)*)(?::(?P<port>\d{1,5}))?(?:[/?].*)?"
)
_HOST = re.compile(r"(?P<stem>.*?)_?(?:HOST(?:NAME)?|SERVER|ADDR(?:ESS)?)", re.IGNORECASE)
_PORT_SUFFIX = "_PORT"
_PORT = re.compile(r"[0-9]{1,5}")
_INSIDE = (".svc", ".local", ".cluster")
_NAMED = re.compile(r"ADDR|HOST|URL|URI|ENDPOINT|SERVER|SERVICE", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """One address of an application's environment; `port` is None where none is written."""

    application: str
    variable: str
    origin: str
    host: str
    port: int | None
    paired: bool = False  # the port stands in a setting of its own

    @property
    def service(self) -> str:
        """The name of the service that the host means, inside the cluster."""
        return self.host.partition(".")[0]


def settings(view: View, application: str) -> dict[str, tuple[str, str]]:
    """The application's environment: name to (value, origin), config maps and secrets resolved."""
    sources = view.settings
    found: dict[str, tuple[str, str]] = {}
    for container in view.spec(application).containers:
        for source in container.env_from:
            for name, value in sources.get(source, {}).items():
                found[name] = (value, source)
        for variable in container.env:
            found[variable.name] = (variable.value or _referred(variable, sources), "env")
    return found


def _referred(variable: EnvVar, sources: dict[str, dict[str, str]]) -> str:
    return sources.get(variable.source, {}).get(variable.name, "")


def addresses(view: View, application: str) -> Iterator[Address]:
    """Every address: `host:port`, a URL, or a pair of `X_HOST` and `X_PORT`.

    A word without a port counts as one only when its variable is named like an address.
    """
    environment = settings(view, application)
    for name, (value, origin) in environment.items():
        written = _AUTHORITY.fullmatch(value.strip())
        if written is None:
            continue
        port = int(written["port"]) if written["port"] else _paired_port(name, environment)
        if (port is None and not written["scheme"]) or not _NAMED.search(name):
            continue
        host = written["host"]
        if "." in host and not any(part in f"{host}." for part in _INSIDE):
            continue  # outside of the cluster
        yield Address(application, name, origin, host, port, paired=not written["port"])


def _paired_port(name: str, environment: dict[str, tuple[str, str]]) -> int | None:
    stem = _HOST.fullmatch(name)
    if stem is None:
        return None
    value, _ = environment.get(f"{stem['stem']}{_PORT_SUFFIX}", ("", ""))
    return int(value) if _PORT.fullmatch(value) else None


def similar(name: str, known: list[str]) -> str:
    """The known name that differs by a slip of the pen or an ending; empty when there is none.

    >>> similar("cartservices", ["cartservice", "adservice"])
    'cartservice'
    """
    for candidate in known:
        if name != candidate and (name.startswith(candidate) or candidate.startswith(name)):
            return candidate
    close = [candidate for candidate in known if _distance(name, candidate) <= 2]
    return min(close, key=lambda candidate: _distance(name, candidate), default="")


def _distance(one: str, other: str) -> int:
    """Levenshtein distance."""
    if abs(len(one) - len(other)) > 2:
        return 3
    row = list(range(len(other) + 1))
    for index, char in enumerate(one, start=1):
        before, row[0] = row[0], index
        for place, there in enumerate(other, start=1):
            before, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, before + (char != there)),
            )
    return row[-1]
