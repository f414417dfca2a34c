"""Who owns a service: the entities of a Backstage catalogue, read from its descriptor files.

https://backstage.io/docs/features/software-catalog/descriptor-format, kinds Component, Resource,
API, System, Group and User. A catalogue is what people wrote down: it names owners, and is the
call graph only where no source measures one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from copilot.settings import SettingsError
from prompts import Language
from tools.log_retriever.sanitize import plain
from tools.types import Edge, FrozenModel, Topology

MOST_FILES, MOST_BYTES, MOST_ENTITIES = 5000, 2 * 1024 * 1024, 50_000

SERVICES = frozenset({"Component", "Resource", "API"})

ON_CALL: Mapping[str, str] = {
    "incident-copilot/on-call": "",
    "pagerduty.com/service-id": "PagerDuty service",
    "opsgenie.com/team": "Opsgenie team",
    "goalert.io/service-id": "GoAlert service",
    "splunk.com/on-call-team": "Splunk On-Call team",
    "slack.com/channel": "Slack",
}
"""Annotations that say who is called, and what their value is; the first that is there counts.
`pagerduty.com/integration-key` is a secret and is never read."""

_NAME = "backstage.io/kubernetes-id"
"""What Kubernetes calls a component, where that is another name."""


class ServiceOwner(FrozenModel):
    """Who answers for a service, as its catalogue says; empty where it does not say."""

    service: str
    team: str = ""
    contact: str = ""
    on_call: str = ""
    system: str = ""

    def told(self, language: Language) -> str:
        """`Logistics (logistics@example.org), system fulfilment, on call: PagerDuty service P1`."""
        chinese = language == "zh"
        team = self.team or ("未注明" if chinese else "not named")
        parts = [f"{team} ({self.contact})" if self.contact else team]
        if self.system:
            parts.append(f"{'系统' if chinese else 'system'} {self.system}")
        if self.on_call:
            parts.append(f"{'值班' if chinese else 'on call'}: {self.on_call}")
        return (",".join if chinese else ", ".join)(parts)


@dataclass(frozen=True, slots=True)
class ServiceCatalogue:
    """Owners by the name of their service, and the dependencies that are written down."""

    owners: Mapping[str, ServiceOwner]
    depends: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.owners)

    def of(self, service: str) -> ServiceOwner | None:
        """Who owns a service; None where the catalogue does not know it."""
        return self.owners.get(service.strip().lower())

    def lines(self, services: Iterable[str], language: Language) -> list[str]:
        """A line for each service it knows."""
        known = (self.of(one) for one in dict.fromkeys(services))
        return [f"{one.service}: {one.told(language)}" for one in known if one is not None]

    def topology(self) -> Topology:
        """The dependencies, as the call graph that nobody measured."""
        names = tuple(one.service for one in self.owners.values())
        return Topology(
            nodes=tuple(dict.fromkeys(names)),
            edges=tuple(Edge(caller=caller, callee=callee) for caller, callee in self.depends),
        )


NO_CATALOGUE = ServiceCatalogue({})


def read_catalogue(path: Path) -> ServiceCatalogue:
    """A descriptor file, or all `*.yaml` of a folder; raises `SettingsError` saying which is wrong.

    Of two entities with one name the first stands, files in the order of their names.
    """
    entities = list(_entities(path))
    groups = {
        _key(_text(one, "metadata", "name")): one
        for one in reversed(entities)
        if one.get("kind") in ("Group", "User")
    }
    owners: dict[str, ServiceOwner] = {}
    depends: dict[tuple[str, str], None] = {}
    for one in (e for e in entities if e.get("kind") in SERVICES):
        owner = _owner(one, groups)
        for name in (owner.service, _text(one, "metadata", "name")):
            owners.setdefault(name.lower(), owner)
        for reference in _list(one, "dependsOn"):
            depends[owner.service, _key(reference)] = None
        for reference in _list(one, "dependencyOf"):
            depends[_key(reference), owner.service] = None
    called = {_text(e, "metadata", "name").lower(): _called(e) for e in entities}
    named = ((called.get(a.lower(), a), called.get(b.lower(), b)) for a, b in depends)
    return ServiceCatalogue(owners, tuple(named))


def _entities(path: Path) -> Iterator[dict[str, Any]]:
    try:
        files = sorted(path.rglob("*.y*ml")) if path.is_dir() else [path]
        if len(files) > MOST_FILES:
            raise _wrong(path, f"has {len(files)} files; at most {MOST_FILES} are read")
        count = 0
        for file in files:
            if file.stat().st_size > MOST_BYTES:
                raise _wrong(file, f"is larger than {MOST_BYTES} bytes")
            text = file.read_text(encoding="utf-8")
            for one in yaml.load_all(text, Loader=yaml.CSafeLoader):
                if not isinstance(one, dict) or "kind" not in one:
                    continue  # comments alone, or another file of the repository
                count += 1
                if count > MOST_ENTITIES or not _text(one, "metadata", "name"):
                    raise _wrong(file, f"entity {count} has no metadata.name, or is one too many")
                yield one
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(path, f"cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError) as error:  # a date that is none is a ValueError
        raise _wrong(path, f"is not YAML: {error}") from error


def _owner(entity: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]]) -> ServiceOwner:
    team = _key(_text(entity, "spec", "owner"))
    group = groups.get(team, {})
    spec = group.get("spec")
    profile = {"profile": spec.get("profile")} if isinstance(spec, dict) else {}
    noted = ((kind, _noted(entity, name)) for name, kind in ON_CALL.items())
    called = next((f"{kind} {value}".strip() for kind, value in noted if value), "")
    return ServiceOwner(
        service=_called(entity),
        team=plain(_text(profile, "profile", "displayName") or team, 80),
        contact=plain(_text(profile, "profile", "email"), 120),
        on_call=plain(called, 120),
        system=plain(_key(_text(entity, "spec", "system")), 80),
    )


def _called(entity: Mapping[str, Any]) -> str:
    return plain(_noted(entity, _NAME) or _text(entity, "metadata", "name"), 120)


def _noted(entity: Mapping[str, Any], annotation: str) -> str:
    return _text(entity["metadata"], "annotations", annotation)


def _text(entity: Mapping[str, Any], part: str, field: str) -> str:
    """A text or number; empty for anything else, which may be of any size."""
    held = entity.get(part)
    told = held.get(field) if isinstance(held, dict) else None
    return str(told) if isinstance(told, str | int) else ""


def _list(entity: Mapping[str, Any], field: str) -> list[str]:
    held = entity.get("spec")
    told = held.get(field) if isinstance(held, dict) else None
    return [str(one) for one in told if isinstance(one, str)] if isinstance(told, list) else []


def _key(reference: str) -> str:
    """The name in `[KIND:][NAMESPACE/]NAME`."""
    return reference.rpartition(":")[2].rpartition("/")[2].strip()


def _wrong(path: Path, problem: str) -> SettingsError:
    return SettingsError(f"catalogue {str(path)!r} {problem}")
