"""What feature flag services post: LaunchDarkly, Unleash, OpenFeature providers and flagd.

Sources: launchdarkly.com/docs/api/webhooks (an audit log entry); docs.getunleash.io, webhook (an
event); openfeature.dev/specification/sections/events and flagd's `configuration_change`.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import Payload, Word, as_object
from copilot.alerts.formats.sender import read_as
from copilot.sources.changes.posted import NO_SERVICE, ChangeReading, Raw, one_change

Object = Mapping[str, Any]


class LaunchDarklyAccess(Payload):
    """What was done to which resource."""

    action: Word = ""
    resource: Word = ""


class LaunchDarklyMember(Payload):
    """Who did it."""

    email: Raw = ""
    firstName: Raw = ""
    lastName: Raw = ""


class LaunchDarklyEntry(Payload):
    """An entry of the audit log."""

    id: Word = Field(default="", validation_alias="_id")
    date: Any = None
    kind: Word = ""
    name: Word = ""
    accesses: tuple[LaunchDarklyAccess, ...] = ()
    member: Annotated[LaunchDarklyMember, BeforeValidator(as_object)] = LaunchDarklyMember()
    titleVerb: Raw = ""
    comment: Raw = ""
    currentVersion: Any = None
    previousVersion: Any = None


_RULED = frozenset({"flag", "segment", "environment", "project", "experiment"})


def launchdarkly(document: Object, service: str) -> ChangeReading:
    """Read an audit log entry; `proj/P:env/E:flag/F` names project, environment and flag."""
    entry = read_as(LaunchDarklyEntry, document)
    if entry.kind not in _RULED:
        return f"a change of a {entry.kind[:40]!r} is none of what the system does"
    where = entry.accesses[0].resource if entry.accesses else ""
    parts = dict(part.split("/", 1) for part in where.split(":") if "/" in part)
    flag = parts.get(entry.kind, entry.name).partition(";")[0]
    return one_change(
        id=f"launchdarkly {entry.id}" if entry.id else "",
        at=entry.date,
        service=service or parts.get("proj", "").partition(";")[0] or flag,
        kind="flag",
        to_version=flag,
        summary=f"{entry.titleVerb or 'changed the ' + entry.kind} {flag}. {entry.comment}".strip(),
        author=f"{entry.member.firstName} {entry.member.lastName}".strip() or entry.member.email,
        environment=parts.get("env", "").partition(";")[0],
        **_switched(flag, entry.previousVersion, entry.currentVersion),
    )


class UnleashEvent(Payload):
    """An event of Unleash."""

    id: Word = ""
    type: Word = Field(min_length=1)
    createdBy: Raw = ""
    createdAt: Any = None
    featureName: Word = ""
    project: Word = ""
    environment: Word = ""
    data: Any = None
    preData: Any = None


_TURNED = {
    "feature-environment-enabled": ({"enabled": False}, {"enabled": True}),
    "feature-environment-disabled": ({"enabled": True}, {"enabled": False}),
}


def unleash(document: Object, service: str) -> ChangeReading:
    """Read an event; names and tags of a feature change nothing."""
    event = read_as(UnleashEvent, document)
    if not event.type.startswith(("feature-environment-", "feature-strategy-", "feature-archived")):
        return f"{event.type[:60]!r} does not change what a feature does"
    before, now = _TURNED.get(event.type, (event.preData, event.data))
    return one_change(
        id=f"unleash {event.id}" if event.id else "",
        at=event.createdAt,
        service=service or event.project or event.featureName,
        kind="flag",
        to_version=event.featureName,
        summary=f"{event.type} {event.featureName}",
        author=event.createdBy,
        environment=event.environment,
        **_switched(event.featureName, before, now),
    )


def _switched(flag: str, before: Any, now: Any) -> dict[str, Any]:
    """What a flag was and is, as lines of a diff; nothing where it is not told."""
    was, turned = (dict(_flat(one)) if isinstance(one, dict) else {} for one in (before, now))
    lines = [f"-{k}: {v}" for k, v in was.items() if turned.get(k) != v]
    lines += [f"+{k}: {v}" for k, v in turned.items() if was.get(k) != v]
    return {"files": [{"path": f"flags/{flag}", "diff": "\n".join(lines)}]} if lines else {}


def _flat(document: Object, prefix: str = "", depth: int = 0) -> list[tuple[str, str]]:
    """Plain values of an object by their path; what is nested very deep is left out."""
    found: list[tuple[str, str]] = []
    for name, value in list(document.items())[:200]:
        if isinstance(value, dict) and depth < 4:
            found += _flat(value, f"{prefix}{name}.", depth + 1)
        elif isinstance(value, str | int | float):
            found.append((f"{prefix}{name}", str(value)[:200]))
    return found


class OpenFeatureEvent(Payload):
    """`PROVIDER_CONFIGURATION_CHANGED` as a hook forwards it, or flagd's `configuration_change`."""

    type: Word = ""
    providerName: Word = ""
    domain: Word = ""
    message: Raw = ""
    flagsChanged: tuple[Word, ...] = ()
    timestamp: Any = None
    data: Any = None


def openfeature(document: Object, service: str) -> ChangeReading:
    """Read which flags of a provider have changed; what they are now it does not say."""
    event = read_as(OpenFeatureEvent, document)
    nested = event.data.get("flags") if isinstance(event.data, dict) else None
    flags = event.flagsChanged or tuple(nested if isinstance(nested, dict) else ())
    name = service or event.domain or event.providerName
    if not name:
        raise PayloadError("domain", NO_SERVICE)
    return one_change(
        at=event.timestamp,
        service=name,
        kind="flag",
        to_version=", ".join(flags[:5]),
        summary=event.message or f"flags changed: {', '.join(flags[:20]) or 'not said which'}",
    )
