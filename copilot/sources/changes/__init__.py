"""Changes that people and pipelines post, whoever sends them, as `Change` and `Commit`.

`read` takes a decoded document; each sender is a row of `SENDERS`. What is posted: docs/changes.md.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.sender import has, part
from copilot.sources.changes.flags import launchdarkly, openfeature, unleash
from copilot.sources.changes.forges import GITHUB, github, gitlab, repository_at
from copilot.sources.changes.pipelines import (
    ansible,
    argo,
    cdevents,
    flux,
    flyway,
    helm,
    terraform,
)
from copilot.sources.changes.posted import (
    ChangeReading,
    PostedChange,
    PostedPush,
    change_of,
    commits_of,
    posted,
)
from tools.log_retriever import Vault
from tools.types import Change, Commit, Timestamp

__all__ = ["SENDERS", "ChangeDelivery", "read", "repository_at"]

MOST = 1_000

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChangeDelivery:
    """What one request told: changes by their identity, commits, and what changed nothing."""

    changes: Mapping[str, Change] = field(default_factory=dict)
    commits: tuple[Commit, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeSender:
    """One product: how its documents are recognised, and who reads them, given a service."""

    name: str
    mark: Callable[[Object], bool]
    read: Callable[[Object, str], ChangeReading]


def _github_mark(document: Object) -> bool:
    shown = any(name in document for name, _ in GITHUB.values())
    return shown and isinstance(document.get("repository"), dict)


def _app(document: Object) -> object:
    return document.get("app", document)


SENDERS: tuple[ChangeSender, ...] = (
    ChangeSender("gitlab", lambda d: has(d, "object_kind", "project"), gitlab),
    ChangeSender("github", _github_mark, lambda d, service: github(d, service, "")),
    ChangeSender("argocd", lambda d: has(_app(d), "metadata", "status"), argo),
    ChangeSender("flux", lambda d: has(d, "involvedObject", "reason"), flux),
    ChangeSender("helm", lambda d: has(d, "history"), helm),
    ChangeSender("launchdarkly", lambda d: has(d, "_id", "accesses"), launchdarkly),
    ChangeSender("unleash", lambda d: has(d, "type", "createdBy", "featureName"), unleash),
    ChangeSender(
        "openfeature",
        lambda d: has(d, "flagsChanged") or d.get("type") == "configuration_change",
        openfeature,
    ),
    ChangeSender("terraform", lambda d: has(d, "notifications", "payload_version"), terraform),
    ChangeSender("ansible", lambda d: has(d, "plays", "stats"), ansible),
    ChangeSender("flyway", lambda d: has(d, "migrations", "flywayVersion"), flyway),
    ChangeSender("cdevents", lambda d: has(d, "context", "subject"), cdevents),
)
"""Whose documents are read; what none of them marks is of our own form."""

_BY_NAME = {one.name: one for one in SENDERS}


def read(
    document: object,
    now: Timestamp,
    *,
    sender: str = "",
    headers: Mapping[str, str] | None = None,
    service: str = "",
    environment: str = "",
) -> ChangeDelivery:
    """Read one document or a list of them: all of it, or nothing.

    `service` stands in for what a sender cannot name, `environment` leaves out what was changed in
    another. A change of which nobody says when it was made was made now; then only its `id` keeps
    it from being told twice. Raises `PayloadError` with the place of what is wrong.
    """
    if _is_history(document):
        document = {"history": document}
    listed = document if isinstance(document, list) else [document]
    if len(listed) > MOST:
        raise PayloadError("", f"at most {MOST} changes in one request", listed)
    vault, found, commits, ignored = Vault(), dict[str, Change](), list[Commit](), list[str]()
    for place, item in enumerate(listed):
        path = f"[{place}]" if isinstance(document, list) else ""
        reading = _read(
            item, path, sender, {k.lower(): v for k, v in (headers or {}).items()}, service
        )
        if isinstance(reading, str):
            ignored.append(reading)
            continue
        for one in reading:
            if isinstance(one, PostedPush):
                commits += commits_of(one, now, vault)
            elif environment and one.environment and one.environment != environment:
                ignored.append(
                    f"it was made in {one.environment[:60]!r}, not in {environment[:60]!r}"
                )
            else:
                key, change = change_of(one, now, vault)
                found[key] = change
    return ChangeDelivery(found, tuple(commits), tuple(ignored))


def _is_history(document: object) -> bool:
    """Whether it is what `helm history -o json` prints: a list without a release's name."""
    return isinstance(document, list) and bool(document) and has(document[0], "chart", "updated")


def _read(
    item: object, path: str, sender: str, headers: Mapping[str, str], service: str
) -> ChangeReading:
    if not isinstance(item, dict):
        raise PayloadError(path, "an object", item)
    if "specversion" in item or "ce-specversion" in headers:
        item = _inside(item, headers, path)
    event = headers.get("x-github-event", "")
    if event and sender in ("", "github"):
        return github(item, service, event)
    known = _BY_NAME.get(sender) or next((one for one in SENDERS if one.mark(item)), None)
    if known is not None:
        return known.read(item, service)
    own = item if item.get("service") or not service else {**item, "service": service}
    try:
        return (posted(PostedChange, own, path),)
    except PayloadError as problem:
        raise problem.told("read as our own form; for the others see docs/changes.md") from problem


def _inside(item: Object, headers: Mapping[str, str], path: str) -> Object:
    """What a CloudEvent carries, structured or binary with `ce-` headers, with its time and id."""
    if "specversion" not in item:
        content: object = item
        envelope: Object = {"id": headers.get("ce-id", ""), "time": headers.get("ce-time")}
    else:
        envelope = item
        content = item.get("data")
        encoded = part(item, "data_base64")
        if isinstance(encoded, str):
            try:
                content = decoded(base64.b64decode(encoded, validate=True))
            except binascii.Error as problem:
                raise PayloadError(f"{path}data_base64", "base64") from problem
    if not isinstance(content, dict):
        raise PayloadError(f"{path}data", "an object", content)
    return {"id": envelope.get("id"), "at": envelope.get("time"), **content}
